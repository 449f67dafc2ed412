// The search language: a query becomes tests of entries. A test answers true, false, or null where
// the question has no answer for a row, as whether it is right without a gold label; null never
// matches, negated or not.

const COLUMNS = [
  "ordinal", "id", "predicted", "gold", "right", "conf", "error", "flips", "special", "lead",
  "flags", "text",
];
const NAMES = { label: "predicted", gold: "gold", lead: "lead", id: "id" };
const NUMBERS = ["conf", "error", "flips", "special"];
const FLAGS = ["quarantined", "truncated", "windows", "pair"];
const TERM = /(!?)(?:([a-z]+)([:<>]))?(?:"([^"]*)"?|(\S+))?/giu;

const folded = (text) => text.normalize().toLowerCase();

function entryOf(values, place) {
  const entry = { place };
  COLUMNS.forEach((name, index) => (entry[name] = values[index]));
  return entry;
}

function haystack(entry) {
  entry.hay ??= folded(`${entry.text}\n${entry.id ?? ""}`);
  return entry.hay;
}

function hasText(text) {
  const wanted = folded(text);
  return (entry) => haystack(entry).includes(wanted);
}

function isNamed(column, text) {
  const wanted = folded(text);
  return (entry) => (entry[column] === null ? null : folded(entry[column]) === wanted);
}

function comparesTo(column, sign, text) {
  const bound = text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (Number.isNaN(bound)) throw new Error(`${column}${sign} needs a number, not “${text}”`);
  const holds = sign === "<" ? (value) => value < bound : (value) => value > bound;
  return (entry) => (entry[column] === null ? null : holds(entry[column]));
}

function flagged(word) {
  if (word === "correct") return (entry) => entry.right;
  return (entry) => entry.flags.split(" ").includes(word);
}

function negated(test) {
  return (entry) => {
    const answer = test(entry);
    return answer === null ? null : !answer;
  };
}

function testOf({ key, sign, text, quoted }) {
  if (sign === ":" && key in NAMES) return text && isNamed(NAMES[key], text);
  if (sign && sign !== ":" && NUMBERS.includes(key)) return text && comparesTo(key, sign, text);
  if (sign) return hasText(`${key}${sign}${text}`);
  if (!quoted && (text === "correct" || FLAGS.includes(text))) return flagged(text);
  return text && hasText(text);
}

function termsOf(query) {
  return [...query.matchAll(TERM)]
    .filter(([whole]) => whole)
    .map(([whole, bang, key = "", sign = "", quoted, plain]) => ({
      whole, key, sign, not: bang === "!", text: quoted ?? plain ?? "", quoted: quoted !== undefined,
    }));
}

// Unfinished terms, such as `label:`, ask for nothing yet.
function testsOf(query) {
  const tests = termsOf(query).map((term) => [term.not, testOf(term)]);
  return tests.filter(([, test]) => test).map(([not, test]) => (not ? negated(test) : test));
}

function compareBy(column, sign) {
  return (a, b) => {
    if (a[column] === null || b[column] === null) {
      return (a[column] === null) - (b[column] === null) || a.place - b.place;
    }
    return sign * (a[column] - b[column]) || a.place - b.place;
  };
}

function sorted(entries, sort) {
  const column = sort.replace("-", "");
  if (!NUMBERS.includes(column)) return entries;
  return entries.toSorted(compareBy(column, sort.startsWith("-") ? -1 : 1));
}

function find(entries, { q, sort }) {
  const tests = testsOf(q);
  return sorted(entries.filter((entry) => tests.every((test) => test(entry))), sort);
}

function totals(found, all) {
  const rows = `${found.length} of ${all.length} rows`;
  const judged = found.filter((entry) => entry.right !== null);
  if (!judged.length) return rows;
  const right = judged.filter((entry) => entry.right).length;
  return `${rows}, accuracy ${((100 * right) / judged.length).toFixed(1)} %`;
}
