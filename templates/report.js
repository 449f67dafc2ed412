"use strict";
// Shows a token's share on hover and on keyboard focus. Each text is one tab stop: the arrow keys,
// Home and End move inside it. Without this script the pages still read, and hovering still works.
(() => {
  const texts = [...document.querySelectorAll(".row .text")];
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.querySelector("main").append(tip);
  document.documentElement.classList.add("scripted");

  let current = null;

  const tokensOf = (text) => [...text.querySelectorAll(".t")];

  function place() {
    if (!current) return;
    const box = current.getBoundingClientRect();
    const left = Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 4);
    const above = box.top - tip.offsetHeight - 4;
    tip.style.left = `${Math.max(left, 4)}px`;
    tip.style.top = `${above > 0 ? above : box.bottom + 8}px`;
  }

  function show(token) {
    hide();
    current = token;
    token.setAttribute("aria-describedby", tip.id);
    tip.textContent = token.dataset.score;
    tip.hidden = false;
    place();
  }

  function hide() {
    if (current) current.removeAttribute("aria-describedby");
    current = null;
    tip.hidden = true;
  }

  function moveTo(from, to) {
    if (!to) return;
    from.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }

  function target(key, tokens, at) {
    const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tokens.length - 1 };
    return tokens[steps[key]];
  }

  function onKey(event) {
    if (event.key === "Escape") return hide();
    const token = event.target.closest(".t");
    if (!token || event.ctrlKey || event.altKey || event.metaKey) return;
    const tokens = tokensOf(event.currentTarget);
    const to = target(event.key, tokens, tokens.indexOf(token));
    if (!to) return;
    event.preventDefault();
    moveTo(token, to);
  }

  function onEnter(event) {
    const token = event.target.closest(".t");
    if (token) show(token);
  }

  for (const text of texts) {
    const first = text.querySelector(".t");
    if (first) first.tabIndex = 0;
    text.addEventListener("keydown", onKey);
    text.addEventListener("focusin", onEnter);
    text.addEventListener("focusout", hide);
    text.addEventListener("mouseover", onEnter);
    text.addEventListener("mouseout", hide);
  }
  document.addEventListener("scroll", place, { passive: true });
})();
