// The search language: a query becomes a list of tests. A test maps an entry to true or false, or to
// null if the row has no value to test (whether it is correct, without a gold label). null never
// matches, negated or not.

// Search terms and the fields of an entry that they test. The fields are those of `Entry` in
// search_index.py; the page has their names in data-fields.
const TEXT_TERMS = {
  label: "predicted", gold: "gold", lead: "lead", id: "id", reason: "reason",
};
const NUMBER_TERMS = {
  conf: "probability", error: "error", flips: "flip_rate", special: "special_share",
};
const FLAGS = ["quarantined", "truncated", "windows", "pair"];
// A term is `field:="a JSON string"`, or a field with a sign and a value, or a value.
const EXACT = /([a-z]+):=("(?:[^"\\]|\\.)*"?)/u;
const PLAIN = /(?:([a-z]+)([:<>]))?(?:"([^"]*)"?|(\S+))?/u;
const TERM = new RegExp(`(!?)(?:${EXACT.source}|${PLAIN.source})`, "giu");

const folded = (text) => text.normalize().toLowerCase();

// Returns a function that makes an object from an entry's array of values. `place` is the row's
// position, from 0, among all rows that the report shows.
function entryReader(list) {
  const fields = list.dataset.fields.split(" ");
  return (values, place) => {
    const entry = { place };
    fields.forEach((name, index) => (entry[name] = values[index]));
    return entry;
  };
}

function searchText(entry) {
  entry.searchText ??= folded(`${entry.text}\n${entry.id ?? ""}`);
  return entry.searchText;
}

function containsText(text) {
  const wanted = folded(text);
  return (entry) => searchText(entry).includes(wanted);
}

function fieldEquals(field, text) {
  const wanted = folded(text);
  return (entry) => (entry[field] === null ? null : folded(entry[field]) === wanted);
}

// `json` is a JSON string; one without its end is not complete yet, and is ignored.
function fieldIs(key, json) {
  if (!/^".*"$/su.test(json)) return null;
  const field = TEXT_TERMS[key];
  const wanted = parsed(json, `${key}:= needs a JSON string, not ${json}`);
  return (entry) => (entry[field] === null ? null : exactValue(entry, field) === wanted);
}

// Some fields are shown in another way than the records have them.
const exactValue = (entry, field) => entry.exact?.[field] ?? entry[field];

function parsed(json, message) {
  try {
    return JSON.parse(json);
  } catch {
    throw new Error(message);
  }
}

function fieldCompares({ key, sign, text }) {
  const field = NUMBER_TERMS[key];
  const bound = text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (Number.isNaN(bound)) throw new Error(`${key}${sign} needs a number, not “${text}”`);
  const holds = sign === "<" ? (value) => value < bound : (value) => value > bound;
  return (entry) => (entry[field] === null ? null : holds(entry[field]));
}

function hasFlag(word) {
  if (word === "correct") return (entry) => entry.correct;
  return (entry) => entry.flags.split(" ").includes(word);
}

function negated(test) {
  return (entry) => {
    const answer = test(entry);
    return answer === null ? null : !answer;
  };
}

function testOf({ key, sign, text, quoted }) {
  if (sign === ":=" && Object.hasOwn(TEXT_TERMS, key)) return fieldIs(key, text);
  if (sign === ":" && Object.hasOwn(TEXT_TERMS, key)) {
    return text && fieldEquals(TEXT_TERMS[key], text);
  }
  if ((sign === "<" || sign === ">") && Object.hasOwn(NUMBER_TERMS, key)) {
    return text && fieldCompares({ key, sign, text });
  }
  if (sign) return containsText(`${key}${sign}${text}`);
  const word = folded(text);
  if (!quoted && (word === "correct" || FLAGS.includes(word))) return hasFlag(word);
  return text && containsText(text);
}

function termsOf(query) {
  return [...query.matchAll(TERM)]
    .filter(([whole]) => whole)
    .map(([whole, bang, exactKey, json, key = "", sign = "", quoted, plain]) => ({
      whole,
      not: bang === "!",
      key: (exactKey ?? key).toLowerCase(),
      sign: exactKey ? ":=" : sign,
      text: json ?? quoted ?? plain ?? "",
      quoted: quoted !== undefined,
    }));
}

// Terms without a value yet, such as `label:`, are ignored.
function testsOf(query) {
  const tests = termsOf(query).map((term) => [term.not, testOf(term)]);
  return tests.filter(([, test]) => test).map(([not, test]) => (not ? negated(test) : test));
}

// Rows without a value come last; equal rows stay in the order of the input.
function compareBy(field, direction) {
  return (a, b) => {
    if (a[field] === null || b[field] === null) {
      return (a[field] === null) - (b[field] === null) || a.place - b.place;
    }
    return direction * (a[field] - b[field]) || a.place - b.place;
  };
}

function sorted(entries, sort) {
  const term = sort.replace("-", "");
  if (!Object.hasOwn(NUMBER_TERMS, term)) return entries;
  return entries.toSorted(compareBy(NUMBER_TERMS[term], sort.startsWith("-") ? -1 : 1));
}

function find(entries, { q, sort }) {
  const tests = testsOf(q);
  return sorted(entries.filter((entry) => tests.every((test) => test(entry))), sort);
}

function totals(matches, all) {
  const rows = `${matches.length} of ${all.length} rows`;
  const withGold = matches.filter((entry) => entry.correct !== null);
  if (!withGold.length) return rows;
  const correct = withGold.filter((entry) => entry.correct).length;
  return `${rows}, accuracy ${((100 * correct) / withGold.length).toFixed(1)} %`;
}
