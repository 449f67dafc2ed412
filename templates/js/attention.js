
// The grid of heads, the lines of the chosen head, and the shading by the attention that each token
// receives. The weights are bytes, 255·√w, in the order of the grid's pictures; in a picture, in the
// order token that attends, token that is attended to.

const WEIGHTS = Float32Array.from({ length: 256 }, (_, code) => (code / 255) ** 2);
const THUMBNAIL = 64; // pixels; of a longer text, a pixel shows the largest of its weights
const LEAST_LINE = 0.05;
const LEAST_NUMBER = 0.005;
const attention = JSON.parse(document.getElementById("attention").textContent);
const tokenCount = attention.tokens.length;
const percentText = (weight) => `${Math.round(100 * weight)} %`;
const grid = document.getElementById("grid");
const cells = [...grid.querySelectorAll("[role=gridcell]")];
const rowWidth = grid.querySelectorAll("thead th").length; // the mean, and each head
const columns = Object.fromEntries(
  [...document.querySelectorAll("#lines ol")].map((list) => [list.dataset.side, list]),
);
const chosen = { cell: null, codes: null, token: null };

async function unpackedBytes(text) {
  const packed = atob(text);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function codesOf(place) {
  const size = tokenCount ** 2;
  return attention.bytes.subarray(place * size, (place + 1) * size);
}

function largestOfBlocks(codes, side) {
  const largest = new Uint8Array(side * side);
  const blocks = attention.tokens.map((_, token) => Math.floor((token * side) / tokenCount));
  for (let from = 0, i = 0; from < tokenCount; from++) {
    for (let to = 0; to < tokenCount; to++, i++) {
      const pixel = blocks[from] * side + blocks[to];
      if (codes[i] > largest[pixel]) largest[pixel] = codes[i];
    }
  }
  return largest;
}

// White for no weight; the style sheet blends it with the colour of the theme.
function draw(canvas, codes) {
  const side = Math.min(tokenCount, THUMBNAIL);
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  largestOfBlocks(codes, side).forEach((code, pixel) => {
    image.data.fill(255 - code, 4 * pixel, 4 * pixel + 3);
    image.data[4 * pixel + 3] = 255;
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const weightBetween = (from, to) => WEIGHTS[chosen.codes[from * tokenCount + to]];

function received() {
  const sum = new Float32Array(tokenCount);
  attention.read.forEach((share, from) => {
    if (!share) return;
    for (let to = 0; to < tokenCount; to++) sum[to] += share * weightBetween(from, to);
  });
  return sum;
}

const level = (share) => attention.bounds.filter((bound) => share >= bound).length;

function shadeSpan(span, share) {
  span.className = span.className.replace(/\bs\d\b/, `s${level(share)}`);
  span.dataset.score = `${(100 * share).toFixed(1)} % of the attention`;
}

function shadeText() {
  const shares = received();
  const total = shares.reduce((sum, share) => sum + share, 0);
  const spans = [...document.querySelectorAll("#received .text .t")];
  const ofSpan = new Map(
    spans.map((span, i) => [
      span,
      attention.spans[i].reduce((sum, token) => sum + shares[token], 0) / total,
    ]),
  );
  for (const [span, share] of ofSpan) shadeSpan(span, share);
  for (const word of document.querySelectorAll("#received .text .w")) {
    shadeSpan(word, [...word.children].reduce((sum, span) => sum + ofSpan.get(span), 0));
  }
}

function choose(cell) {
  if (chosen.cell === cell) return;
  for (const each of [chosen.cell, cell]) {
    each?.setAttribute("aria-selected", String(each === cell));
    if (each) each.tabIndex = each === cell ? 0 : -1;
  }
  chosen.cell = cell;
  chosen.codes = codesOf(cells.indexOf(cell));
  for (const node of document.querySelectorAll("[data-chosen]")) {
    node.textContent = cell.dataset[node.dataset.chosen];
  }
  shadeText();
  chooseToken(chosen.token);
}

function lineBetween(from, to, weight) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  const ends = { x1: 0, y1: from + 0.5, x2: 100, y2: to + 0.5 };
  for (const [name, value] of Object.entries(ends)) line.setAttribute(name, value);
  line.setAttribute("stroke-opacity", Math.sqrt(weight).toFixed(3));
  return line;
}

// The lines of one token, or of all; a token is [side, number].
function* pairsOf(token) {
  for (let from = 0; from < tokenCount; from++) {
    if (token?.[0] === "from" && token[1] !== from) continue;
    for (let to = 0; to < tokenCount; to++) {
      if (token?.[0] === "to" && token[1] !== to) continue;
      const weight = weightBetween(from, to);
      if (weight >= (token ? LEAST_NUMBER : LEAST_LINE)) yield [from, to, weight];
    }
  }
}

function showLines(token = chosen.token) {
  const pairs = [...pairsOf(token)];
  document.querySelector("#lines svg").replaceChildren(...pairs.map((pair) => lineBetween(...pair)));
  for (const [side, list] of Object.entries(columns)) {
    [...list.children].forEach((item, number) => {
      const isChosen = token?.[0] === side && token[1] === number;
      item.firstChild.setAttribute("aria-pressed", String(isChosen));
      showWeight(item, 0);
    });
  }
  if (token) showNumbers(token, pairs);
}

function showWeight(item, weight) {
  const [name, number] = item.firstChild.children;
  name.className = `t s${level(weight)}`;
  number.textContent = weight ? percentText(weight) : "";
}

function showNumbers([side], pairs) {
  const other = columns[side === "from" ? "to" : "from"];
  for (const [from, to, weight] of pairs) {
    showWeight(other.children[side === "from" ? to : from], weight);
  }
}

function describe([side, number]) {
  const place = side === "from" ? 1 : 0;
  const largest = [...pairsOf([side, number])].sort((a, b) => b[2] - a[2]).slice(0, 3);
  const names = largest.map((pair) => `“${attention.tokens[pair[place]]}” ${percentText(pair[2])}`);
  const verb = side === "from" ? "attends most to" : "is attended to most by";
  return `“${attention.tokens[number]}” ${verb} ${names.join(", ") || "no token"}`;
}

function chooseToken(token) {
  chosen.token = token;
  document.getElementById("token").textContent = token ? describe(token) : "";
  if (token) {
    for (const each of columns[token[0]].querySelectorAll("button")) each.tabIndex = -1;
    columns[token[0]].children[token[1]].firstChild.tabIndex = 0;
  }
  showLines();
}

function tokenItem(side, name, number) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const [text, weight] = [document.createElement("bdi"), document.createElement("span")];
  text.textContent = name;
  weight.className = "weight";
  button.type = "button";
  button.tabIndex = number ? -1 : 0;
  button.append(text, weight);
  if (side === "from" && attention.read[number]) item.className = "read";
  item.append(button);
  return item;
}

function tokenAt(node) {
  const item = node.closest("#lines li");
  return item && [item.parentNode.dataset.side, [...item.parentNode.children].indexOf(item)];
}

const isPlainKey = (event) => !(event.ctrlKey || event.altKey || event.metaKey || event.shiftKey);

function onGridKey(event) {
  const place = cells.indexOf(event.target);
  const column = place % rowWidth;
  const moves = {
    ArrowLeft: column ? -1 : 0,
    ArrowRight: column < rowWidth - 1 ? 1 : 0,
    ArrowUp: -rowWidth,
    ArrowDown: rowWidth,
    Home: -column,
    End: rowWidth - 1 - column,
  };
  if (place < 0 || !isPlainKey(event) || !(event.key in moves)) return;
  event.preventDefault();
  cells[place + moves[event.key]]?.focus();
}

function onTokenKey(event) {
  if (event.key === "Escape") return chooseToken(null);
  const token = tokenAt(event.target);
  const moves = { ArrowUp: -1, k: -1, ArrowDown: 1, j: 1, Home: -tokenCount, End: tokenCount };
  const sides = { ArrowLeft: "from", ArrowRight: "to" };
  if (!token || !isPlainKey(event) || !(event.key in moves || event.key in sides)) return;
  event.preventDefault();
  const number = Math.min(Math.max(token[1] + (moves[event.key] ?? 0), 0), tokenCount - 1);
  columns[sides[event.key] ?? token[0]].children[number].firstChild.focus();
}

function listen() {
  const lines = document.getElementById("lines");
  grid.addEventListener("focusin", (event) => choose(event.target));
  grid.addEventListener("click", (event) => event.target.closest("[role=gridcell]")?.focus());
  grid.addEventListener("keydown", onGridKey);
  lines.addEventListener("keydown", onTokenKey);
  for (const kind of ["focusin", "click"]) {
    lines.addEventListener(kind, (event) => {
      const token = tokenAt(event.target);
      if (token) chooseToken(token);
    });
  }
  lines.addEventListener("mouseover", (event) => showLines(tokenAt(event.target) ?? chosen.token));
  lines.addEventListener("mouseleave", () => showLines());
  document.getElementById("all-lines").addEventListener("click", () => chooseToken(null));
}

async function startAttention() {
  attention.bytes = await unpackedBytes(attention.weights);
  grid.style.maxWidth = `${4.5 + 8 * rowWidth}rem`;
  document.querySelector("#lines svg").setAttribute("viewBox", `0 0 100 ${tokenCount}`);
  for (const [side, list] of Object.entries(columns)) {
    list.append(...attention.tokens.map((name, number) => tokenItem(side, name, number)));
  }
  const reader = attention.read.indexOf(1);
  if (reader >= 0) chosen.token = ["from", reader];
  choose(cells[cells.length - rowWidth]);
  listen();
  for (const [place, cell] of cells.entries()) {
    if (place % rowWidth === 0) await new Promise((done) => setTimeout(done));
    draw(cell.firstChild, codesOf(place));
  }
  grid.dataset.drawn = "yes";
}

startAttention().catch((error) => {
  document.getElementById("token").textContent = `The weights cannot be read: ${error.message}`;
});
