// Single-key shortcuts, the help that lists them, and the buttons of a row.

const help = document.getElementById("help");
const KEYS_OFF = "saliency-keys-off";
const ITEMS = ".row:not([hidden]) h3 a, .result a";

// Stores the choice if a value is given, and returns it. Some browsers store nothing for pages from
// file://; there the choice lasts only until the page is closed.
function keysOff(value) {
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
  const index = items.findIndex((item) => row?.contains(item));
  goTo(index < 0 ? items[0] : items[index + by]);
}

// On the last page, goes to its last row instead; on the first page, to its first row.
function goPage(by) {
  const rel = by > 0 ? "next" : "prev";
  const selector = `a[rel=${rel}], nav:not([hidden]) > button[data-turn="${by}"]:enabled`;
  const link = document.querySelector(selector);
  if (link) return link.click();
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
  if (keysOff() === "yes") return;
  event.preventDefault();
  KEYS[event.key]();
}

const COPIED_TEXT = {
  link: (row) => `${location.href.split("#")[0]}#${row.id}`,
  record: (row) => row.querySelector("script.record").textContent,
};

async function copy(button) {
  const row = button.closest(".row");
  const name = button.textContent;
  try {
    await navigator.clipboard.writeText(COPIED_TEXT[button.dataset.copy](row));
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not copied";
  }
  setTimeout(() => (button.textContent = name), 1500);
}

function startKeys() {
  const off = document.getElementById("keys-off");
  off.checked = keysOff() === "yes";
  off.addEventListener("change", () => keysOff(off.checked ? "yes" : "no"));
  document.getElementById("help-open")?.addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (button) copy(button);
  });
}

startKeys();
