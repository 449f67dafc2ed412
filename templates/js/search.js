// Search, sort and view. Their state is in the URL's hash, so that a link opens the same view:
// #q=label:spam !correct&sort=-error&page=2&view=tokens&shades=magnitude

const PLAIN = { q: "", sort: "", page: "1", view: "words", shades: "signed" };
const element = (id) => document.getElementById(id);

function stateOf(hash) {
  const given = new URLSearchParams(hash.slice(1).replaceAll("+", "%2B"));
  const state = { ...PLAIN };
  for (const name of Object.keys(PLAIN)) state[name] = given.get(name) ?? PLAIN[name];
  return { ...state, page: Math.max(1, Math.trunc(Number(state.page)) || 1) };
}

function hashOf(state) {
  const parts = Object.keys(PLAIN)
    .filter((name) => String(state[name]) !== PLAIN[name])
    .map((name) => `${name}=${encodeURIComponent(state[name])}`);
  return parts.length ? `#${parts.join("&")}` : "#";
}

const isRow = (hash) => /^#row-\d+$/u.test(hash);
let state = stateOf(isRow(location.hash) ? "" : location.hash);
let redraw = () => {};

// What is being typed goes with any other change. replaceState keeps the history free of letters.
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

function showControls() {
  if (element("q").value.trim() !== state.q) element("q").value = state.q;
  element("sort").value = state.sort;
  page.dataset.query = state.q;
  showChips();
}

function tell(text, { wrong = false } = {}) {
  element("totals").textContent = text;
  element("q").setAttribute("aria-invalid", String(wrong));
}

function showTurns(pages) {
  const turns = element("turns");
  if (!turns) return;
  turns.hidden = pages < 2;
  element("turn").textContent = `${state.page} of ${pages}`;
  turns.querySelector("[data-turn='-1']").disabled = state.page <= 1;
  turns.querySelector("[data-turn='1']").disabled = state.page >= pages;
}

function draw(listing, entries) {
  showControls();
  try {
    const found = find(entries, state);
    const pages = listing.pages(found);
    state.page = Math.min(state.page, pages);
    listing.show(found, state);
    showTurns(pages);
    tell(totals(found, entries));
  } catch (error) {
    tell(error.message, { wrong: true });
  }
}

function onHash() {
  if (isRow(location.hash)) return revealRow();
  if (location.hash === "#q") return element("q").focus();
  if (location.hash && !location.hash.includes("=")) return;
  state = stateOf(location.hash);
  showView();
  redraw();
  if (state.q || state.sort) element("texts").scrollIntoView();
}

// A link to a row that the search hides shows all rows again.
function revealRow() {
  const row = document.querySelector(location.hash);
  if (!row?.hidden) return;
  state = { ...state, q: "" };
  redraw();
  row.scrollIntoView();
}

function onClick(event) {
  const button = event.target.closest("button");
  if (!button) return;
  const { term, set, turn } = button.dataset;
  if (term) change({ q: toggled(state.q, term) });
  if (set) change({ page: state.page, [set.split("=")[0]]: set.split("=")[1] });
  if (turn) turnBy(Number(turn));
}

function turnBy(by) {
  change({ page: state.page + by });
  element("texts").scrollIntoView();
}

async function startSearch(listing) {
  tell("The index is being read …");
  const entries = await listing.load();
  redraw = () => draw(listing, entries);
  redraw();
  let waiting;
  element("q").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => change({ q: element("q").value.trim() }), 60);
  });
  element("sort").addEventListener("change", () => change({ sort: element("sort").value }));
  page.dataset.ready = "yes";
}

function start() {
  const [rows, results] = [element("rows"), element("results")];
  for (const hidden of document.querySelectorAll("[data-scripted]")) hidden.hidden = false;
  document.addEventListener("click", onClick);
  window.addEventListener("hashchange", onHash);
  showView();
  if (!element("q")) return;
  const listing = results ? resultsListing(results) : rowsListing(rows);
  startSearch(listing).then(onHash, (error) => tell(error.message, { wrong: true }));
}

start();
