// Single keys, the help that lists them, and the buttons of a row.

const help = document.getElementById("help");
const KEYS_OFF = "saliency-keys-off";
const ITEMS = ".row:not([hidden]) h3 a, .result a";

// Where a browser keeps nothing for pages from file://, the choice holds for the page.
function remembered(value) {
  try {
    if (value !== undefined) localStorage.setItem(KEYS_OFF, value);
    return localStorage.getItem(KEYS_OFF);
  } catch {
    return value ?? null;
  }
}

function goTo(item) {
  if (!item) return;
  const row = item.closest(".row");
  if (row) for (const stop of row.querySelectorAll("[tabindex='0']")) stop.tabIndex = -1;
  item.tabIndex = 0;
  item.focus({ preventScroll: true });
  item.closest(".row, .result").scrollIntoView({ block: "center" });
}

function goBy(by) {
  const items = [...document.querySelectorAll(ITEMS)];
  const row = document.activeElement?.closest(".row, .result");
  const at = items.findIndex((item) => row?.contains(item));
  goTo(at < 0 ? items[0] : items[at + by]);
}

// Beyond the last page there is its last row, before the first its first.
function goPage(by) {
  const rel = by > 0 ? "next" : "prev";
  const turn = `a[rel=${rel}], nav:not([hidden]) > button[data-turn="${by}"]:enabled`;
  const turning = document.querySelector(turn);
  if (turning) return turning.click();
  goTo([...document.querySelectorAll(ITEMS)].at(by > 0 ? -1 : 0));
}

function goSearch() {
  const box = document.getElementById("q");
  if (box) box.select();
  else document.querySelector("a.find")?.click();
}

const KEYS = {
  "/": goSearch,
  j: () => goBy(1),
  k: () => goBy(-1),
  "[": () => goPage(-1),
  "]": () => goPage(1),
  "?": () => help.showModal(),
};

function onKey(event) {
  const typing = event.target.closest("input, select, textarea, dialog");
  if (typing || event.ctrlKey || event.altKey || event.metaKey || !(event.key in KEYS)) return;
  if (remembered() === "yes") return;
  event.preventDefault();
  KEYS[event.key]();
}

const copies = {
  link: (row) => `${location.href.split("#")[0]}#${row.id}`,
  record: (row) => row.querySelector("script.record").textContent,
};

async function copy(button) {
  const row = button.closest(".row");
  const name = button.textContent;
  try {
    await navigator.clipboard.writeText(copies[button.dataset.copy](row));
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not copied";
  }
  setTimeout(() => (button.textContent = name), 1500);
}

function startKeys() {
  const off = document.getElementById("keys-off");
  off.checked = remembered() === "yes";
  off.addEventListener("change", () => remembered(off.checked ? "yes" : "no"));
  document.getElementById("help-open")?.addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (button) copy(button);
  });
}

startKeys();
