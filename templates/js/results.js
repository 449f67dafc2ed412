// The listing for rows on other pages: short shaded results with links, from the search index in pages/.
// The index is script files, because a page from file:// may load no other kind of data.

const RESULTS_PER_PAGE = 100;
const EXCERPT_LENGTH = 160;
const CONTEXT_LENGTH = 40;
const loadedParts = new Map();

async function decompressed(part) {
  const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

const partName = (number) => `pages/index-${String(number).padStart(4, "0")}.js`;
const pageName = (number) => `pages/page-${String(number).padStart(4, "0")}.html`;

window.saliencyPart = (number, part) => loadedParts.set(number, decompressed(part));

function loadPart(number) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = partName(number);
    script.onload = () => resolve(loadedParts.get(number));
    script.onerror = () => 
      reject(new Error(`${partName(number)} is missing: keep the folder pages/ beside index.html`));
    document.head.append(script);
  });
}

// The part of the text that is shown, [start, end): it starts shortly before the first match.
function excerptRange(entry, words) {
  const hits = words.map((word) => searchText(entry).indexOf(word)).filter((index) => index >= 0);
  const from = Math.max(0, Math.min(...hits, entry.text.length) - CONTEXT_LENGTH);
  const start = hits.length ? from : 0;
  return [start, Math.min(start + EXCERPT_LENGTH, entry.text.length)];
}

// "_5C4_" are five characters without a shade, four of shade 3, and one without (`shade_runs` in
// search_index.py).
function* shadeRuns(entry) {
  let start = 0;
  for (const [, code, length] of (entry.shades ?? "").matchAll(/(\D)(\d*)/gu)) {
    const end = start + Number(length || 1);
    const level = "_abcdef".indexOf(code.toLowerCase());
    yield [start, end, level && `t ${code < "a" ? "s" : "n"}${level}`];
    start = end;
  }
  yield [start, Infinity, ""];
}

function* excerptNodes(entry, [from, to]) {
  if (from) yield "…";
  for (const [start, end, css] of shadeRuns(entry)) {
    if (start >= to) break;
    const text = entry.text.slice(Math.max(start, from), Math.min(end, to));
    if (end <= from || !text) continue;
    if (!css) {
      yield text;
      continue;
    }
    const span = document.createElement("span");
    span.className = css;
    span.textContent = text;
    yield span;
  }
  if (to < entry.text.length) yield "…";
}

function resultsListing(list) {
  const template = document.getElementById("result");
  const { parts, rowsPerPage } = list.dataset;
  const entryOf = entryReader(list);

  async function load() {
    const numbers = Array.from({ length: Number(parts) }, (_, index) => index + 1);
    const entries = await Promise.all(numbers.map(loadPart));
    return entries.flat().map(entryOf);
  }

  function hrefOf(entry) {
    const number = Math.floor(entry.place / Number(rowsPerPage)) + 1;
    return `${pageName(number)}#row-${entry.ordinal}`;
  }

  function outcome(entry) {
    if (entry.flags.includes("quarantined")) return "quarantined";
    return entry.correct === null ? "" : entry.correct ? "right" : "wrong";
  }

  function resultOf(entry, words) {
    const item = template.content.cloneNode(true);
    const fill = (name, text) => (item.querySelector(name).textContent = text);
    item.querySelector("a").href = hrefOf(entry);
    fill("a", `Row ${entry.ordinal}`);
    fill(".predicted bdi", entry.predicted ?? "");
    fill(".probability", entry.probability === null ? "" : percentText(entry.probability));
    fill(".gold-name", entry.gold ?? "");
    item.querySelector(".excerpt").append(...excerptNodes(entry, excerptRange(entry, words)));
    if (entry.predicted === null) item.querySelector(".predicted").remove();
    for (const mark of item.querySelectorAll("[data-outcome]")) {
      if (mark.dataset.outcome !== outcome(entry)) mark.remove();
    }
    return item;
  }

  function show(matches, { q, page: number }) {
    const terms = termsOf(q).filter((term) => !term.sign && !term.not && term.text);
    const words = terms.map((term) => folded(term.text));
    const from = (number - 1) * RESULTS_PER_PAGE;
    const shown = matches.slice(from, from + RESULTS_PER_PAGE);
    list.replaceChildren(...shown.map((entry) => resultOf(entry, words)));
  }

  const pages = (matches) => Math.max(1, Math.ceil(matches.length / RESULTS_PER_PAGE));
  return { load, show, pages, isSample: list.dataset.sample === "yes" };
}
