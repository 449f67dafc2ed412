"use strict";
// Shows a word's share on hover and on keyboard focus. Each row is one tab stop: the arrow keys,
// Home and End move inside it. Without scripts the pages can still be read, and hovering still works
// (by CSS).

const page = document.documentElement;
const tip = document.createElement("div");
const STOPS = { words: ".text > .w, .text > .t", tokens: ".text .t" };
let current = null;

const view = () => (page.classList.contains("tokens") ? "tokens" : "words");
const stopsOf = (row) => [...row.querySelectorAll(`h3 a, ${STOPS[view()]}, .act`)];

function stopAt(node) {
  const token = node.closest(".text .t");
  return view() === "words" ? (node.closest(".text .w") ?? token) : token;
}

function placeTip() {
  if (!current) return;
  const box = current.getBoundingClientRect();
  const left = Math.min(box.left, page.clientWidth - tip.offsetWidth - 4);
  const above = box.top - tip.offsetHeight - 4;
  tip.style.left = `${Math.max(left, 4)}px`;
  tip.style.top = `${above > 0 ? above : box.bottom + 8}px`;
}

function showTip(stop) {
  hideTip();
  current = stop;
  stop.setAttribute("aria-describedby", tip.id);
  tip.textContent = stop.dataset.score;
  tip.hidden = false;
  placeTip();
}

function hideTip() {
  current?.removeAttribute("aria-describedby");
  current = null;
  tip.hidden = true;
}

function moveFocus(from, to) {
  from.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

// In a right-to-left text, the next word is on the left.
function step(key, stop) {
  const text = stop.closest(".text");
  const forward = text && getComputedStyle(text).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
  return key === forward ? 1 : -1;
}

function nextStop(key, stops, index) {
  if (key === "Home") return stops[0];
  if (key === "End") return stops.at(-1);
  return key.startsWith("Arrow") ? stops[index + step(key, stops[index])] : undefined;
}

function onArrow(event) {
  if (event.key === "Escape") return hideTip();
  const row = event.target.closest(".row");
  if (!row || !["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
  if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  const stops = stopsOf(row);
  const to = nextStop(event.key, stops, stops.indexOf(event.target));
  if (!to) return;
  event.preventDefault();
  moveFocus(event.target, to);
}

function onEnter(event) {
  const stop = stopAt(event.target);
  if (stop) showTip(stop);
}

// The stops differ between the views, so each row starts again at its heading.
function resetStops() {
  hideTip();
  for (const stop of document.querySelectorAll(".row .text [tabindex]")) {
    stop.removeAttribute("tabindex");
  }
  for (const link of document.querySelectorAll(".row h3 a[tabindex]")) link.tabIndex = 0;
}

function startTokens(main) {
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  main.append(tip);
  page.classList.add("scripted");
  main.addEventListener("keydown", onArrow);
  main.addEventListener("focusin", onEnter);
  main.addEventListener("focusout", hideTip);
  main.addEventListener("mouseover", onEnter);
  main.addEventListener("mouseout", hideTip);
  document.addEventListener("scroll", placeTip, { passive: true });
}

startTokens(document.querySelector("main"));
