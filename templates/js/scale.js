// The switch "scale": shades relative to the text. On the fixed scale a text of 400 tokens has hardly any
// shade, since no word has 1 % of it.

const STEPS = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]; // of the strongest word; the next shade from each on
const fixedClasses = new Map();

const isUndecided = (span) => span.dataset.score.split("\n")[0].includes("undecided");
const shareOf = (span) => Number(span.dataset.score.split("\n")[1].split(" ")[0].replace("−", "-"));

function relativeClass(css, share, largest) {
  const level = STEPS.filter((step) => Math.abs(share) >= step * largest).length;
  return css.replace(/\b[sn]\d\b/u, `${share < 0 && level ? "n" : "s"}${level}`);
}

function shadeRelatively(texts) {
  const spans = texts.flatMap((text) => [...text.querySelectorAll("[data-score]")]);
  const words = spans.filter((span) => span.matches(".text > *:not(.special)"));
  const largest = Math.max(...words.map((span) => Math.abs(shareOf(span))));
  for (const span of spans) {
    if (!fixedClasses.has(span)) fixedClasses.set(span, span.className);
    if (!largest || isUndecided(span)) continue;
    span.className = relativeClass(fixedClasses.get(span), shareOf(span), largest);
  }
}

// The texts of a pair are compared with each other; each target has a scale of its own.
function showScale(isRelative) {
  page.classList.toggle("relative", isRelative);
  for (const [span, css] of fixedClasses) span.className = css;
  fixedClasses.clear();
  if (!isRelative) return;
  for (const text of document.querySelectorAll(".row .text:not(.text + .text)")) {
    const next = text.nextElementSibling;
    shadeRelatively(next?.matches(".text") ? [text, next] : [text]);
  }
}
