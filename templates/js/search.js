// Search, sort and view. The state is in the URL's hash, so that a link opens the same view:
// #q=label:spam !correct&sort=-error&page=2&view=tokens&shades=magnitude&scale=relative

const DEFAULTS = { q: "", sort: "", page: "1", view: "words", shades: "signed", scale: "fixed" };
const element = (id) => document.getElementById(id);

function stateOf(hash) {
  const parameters = new URLSearchParams(hash.slice(1).replaceAll("+", "%2B"));
  const state = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) state[name] = parameters.get(name) ?? DEFAULTS[name];
  return { ...state, page: Math.max(1, Math.trunc(Number(state.page)) || 1) };
}

function hashOf(state) {
  const parts = Object.keys(DEFAULTS)
    .filter((name) => String(state[name]) !== DEFAULTS[name])
    .map((name) => `${name}=${encodeURIComponent(state[name])}`);
  return parts.length ? `#${parts.join("&")}` : "#";
}

const isRow = (hash) => /^#row-\d+$/u.test(hash);
let state = stateOf(isRow(location.hash) ? "" : location.hash);
let redraw = () => {};

// Any change also takes over the text in the search box, which may be newer than the state.
// replaceState adds no entry to the history for each key that is typed.
function change(changes) {
  const q = element("q")?.value.trim() ?? "";
  state = { ...state, q, page: 1, ...changes };
  history.replaceState(null, "", hashOf(state));
  showView();
  redraw();
}

function showView() {
  if (page.classList.contains("tokens") !== (state.view === "tokens")) resetStops();
  page.classList.toggle("tokens", state.view === "tokens");
  page.classList.toggle("magnitude", state.shades === "magnitude");
  const isRelative = state.scale === "relative";
  if (isRelative !== page.classList.contains("relative")) showScale(isRelative);
  for (const button of document.querySelectorAll("[data-set]")) {
    const [name, value] = button.dataset.set.split("=");
    button.setAttribute("aria-pressed", String(state[name] === value));
  }
}

function toggled(query, term) {
  const terms = termsOf(query).map(({ whole }) => whole);
  const rest = terms.filter((whole) => whole !== term);
  return (rest.length < terms.length ? rest : [...terms, term]).join(" ");
}

function showChips() {
  const terms = termsOf(state.q).map(({ whole }) => whole);
  for (const chip of document.querySelectorAll("[data-term]")) {
    chip.setAttribute("aria-pressed", String(terms.includes(chip.dataset.term)));
  }
}

// A chip says how many rows its own term finds, whatever else is searched for; of none it is hidden.
function countChips(entries) {
  for (const chip of document.querySelectorAll("[data-term]")) {
    const count = find(entries, { q: chip.dataset.term, sort: "input" }).length;
    chip.hidden = !count;
    chip.querySelector(".count").textContent = ` ${count.toLocaleString("en")}`;
  }
}

function showControls() {
  if (element("q").value.trim() !== state.q) element("q").value = state.q;
  element("sort").value = state.sort;
  page.dataset.query = state.q;
  showChips();
}

function showStatus(text, { invalid = false } = {}) {
  element("totals").textContent = text;
  element("q").setAttribute("aria-invalid", String(invalid));
}

function showPageButtons(pages) {
  const turns = element("turns");
  if (!turns) return;
  turns.hidden = pages < 2;
  element("turn").textContent = `${state.page} of ${pages}`;
  turns.querySelector("[data-turn='-1']").disabled = state.page <= 1;
  turns.querySelector("[data-turn='1']").disabled = state.page >= pages;
}

function drawListing(listing, entries) {
  showControls();
  try {
    const matches = find(entries, state);
    const pages = listing.pages(matches);
    state.page = Math.min(state.page, pages);
    listing.show(matches, state);
    showPageButtons(pages);
    showStatus(matches.length ? totals(matches, entries, { ...listing, q: state.q }) : advice(state.q, entries));
  } catch (error) {
    showStatus(error.message, { invalid: true });
  }
}

function onHash() {
  element(location.hash.slice(1))?.closest("details")?.setAttribute("open", "");
  if (isRow(location.hash)) return revealRow();
  if (location.hash === "#q") return element("q").focus();
  if (location.hash && !location.hash.includes("=")) return;
  state = stateOf(location.hash);
  showView();
  redraw();
  if (state.q || state.sort) element("texts").scrollIntoView();
}

// Clears the search if it hides the row that the link leads to. The order of the rows may have
// changed since the browser went to the row.
function revealRow() {
  const row = document.querySelector(location.hash);
  if (row?.hidden) {
    state = { ...state, q: "" };
    redraw();
  }
  row?.scrollIntoView();
}

// The search box stays at the top of the window, so its results may be far below.
function revealTexts() {
  const texts = element("totals").getBoundingClientRect();
  if (texts.top < 0 || texts.bottom > innerHeight / 2) element("texts").scrollIntoView();
}

function searchFor(q) {
  change({ q });
  revealTexts();
}

function onClick(event) {
  const button = event.target.closest("button");
  if (!button) return;
  const { term, set, turn } = button.dataset;
  if (term) searchFor(toggled(state.q, term));
  if (set) change({ page: state.page, [set.split("=")[0]]: set.split("=")[1] });
  if (turn) turnPage(Number(turn));
}

function turnPage(by) {
  change({ page: state.page + by });
  element("texts").scrollIntoView();
}

async function startSearch(listing) {
  showStatus("Loading the search index …");
  const entries = await listing.load();
  entries.forEach(searchText); // 100 ms for 10,000 rows, which the first search would take longer
  redraw = () => drawListing(listing, entries);
  redraw();
  countChips(entries);
  let timer;
  element("q").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => searchFor(element("q").value.trim()), 60);
  });
  element("sort").addEventListener("change", () => change({ sort: element("sort").value }));
  page.dataset.ready = "yes";
}

function start() {
  const [rows, results] = [element("rows"), element("results")];
  for (const hidden of document.querySelectorAll("[data-scripted]")) hidden.hidden = false;
  document.addEventListener("click", onClick);
  window.addEventListener("hashchange", onHash);
  window.addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });
  showView();
  if (!element("q")) return;
  const listing = results ? resultsListing(results) : rowsListing(rows);
  startSearch(listing).then(onHash, (error) => showStatus(error.message, { invalid: true }));
}

start();
