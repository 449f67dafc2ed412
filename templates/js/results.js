// The rows of all pages, from the search index beside them: short results that lead to the rows.
// The index comes as script files, the only kind of data that a page from file:// may load.

const RESULTS = 100;
const EXCERPT = 160;
const arrived = new Map();

async function unpacked(part) {
  const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

const partName = (number) => `pages/index-${String(number).padStart(4, "0")}.js`;
const pageName = (number) => `pages/page-${String(number).padStart(4, "0")}.html`;

window.saliencyPart = (number, part) => arrived.set(number, unpacked(part));

function loadPart(number) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = partName(number);
    script.onload = () => resolve(arrived.get(number));
    script.onerror = () => reject(new Error(`${partName(number)} is missing`));
    document.head.append(script);
  });
}

// A result begins a little before the first word that was searched for.
function excerptOf(entry, words) {
  const hits = words.map((word) => haystack(entry).indexOf(word)).filter((at) => at >= 0);
  const from = Math.max(0, Math.min(...hits, entry.text.length) - 40);
  const start = hits.length && from > 0 ? from : 0;
  const text = entry.text.slice(start, start + EXCERPT);
  const rest = start + EXCERPT < entry.text.length;
  return `${start ? "…" : ""}${text}${rest ? "…" : ""}`;
}

function resultsListing(list) {
  const template = document.getElementById("result");
  const { parts, rowsPerPage } = list.dataset;

  async function load() {
    const numbers = Array.from({ length: Number(parts) }, (_, index) => index + 1);
    const loaded = await Promise.all(numbers.map(loadPart));
    return loaded.flat().map(entryOf);
  }

  function hrefOf(entry) {
    const number = Math.floor(entry.place / Number(rowsPerPage)) + 1;
    return `${pageName(number)}#row-${entry.ordinal}`;
  }

  function outcome(entry) {
    if (entry.flags.includes("quarantined")) return "quarantined";
    return entry.right === null ? "" : entry.right ? "right" : "wrong";
  }

  function resultOf(entry, words) {
    const item = template.content.cloneNode(true);
    const fill = (name, text) => (item.querySelector(name).textContent = text);
    item.querySelector("a").href = hrefOf(entry);
    fill("a", `Row ${entry.ordinal}`);
    fill(".predicted bdi", entry.predicted ?? "");
    fill(".probability", entry.conf === null ? "" : `${(100 * entry.conf).toFixed(1)} %`);
    fill(".gold-name", entry.gold ?? "");
    fill(".excerpt", excerptOf(entry, words));
    if (entry.predicted === null) item.querySelector(".predicted").remove();
    for (const mark of item.querySelectorAll("[data-outcome]")) {
      if (mark.dataset.outcome !== outcome(entry)) mark.remove();
    }
    return item;
  }

  function show(found, { q, page: number }) {
    const terms = termsOf(q).filter((term) => !term.sign && !term.not && term.text);
    const words = terms.map((term) => folded(term.text));
    const from = (number - 1) * RESULTS;
    list.replaceChildren(...found.slice(from, from + RESULTS).map((e) => resultOf(e, words)));
  }

  return { load, show, pages: (found) => Math.max(1, Math.ceil(found.length / RESULTS)) };
}
