// The search language: a query becomes a list of tests. A test maps an entry to true or false, or to
// null if the row has no value to test (whether it is correct, without a gold label). null never
// matches, negated or not.

// `TEXT_TERMS`, `NUMBER_TERMS`, `FLAGS`, `KINDS` and `defaultOrder` are declared by the file before this one:
// row_terms.js, or change_terms.js for a comparison.

// A term is `field:="a JSON string"`, or a field with a sign and a value, or a value.
const EXACT = /([a-z]+):=("(?:[^"\\]|\\.)*"?)/u;
const PLAIN = /(?:([a-z]+)(:|[<>]=?))?(?:"([^"]*)"?|(\S+))?/u;
const TERM = new RegExp(`(!?)(?:${EXACT.source}|${PLAIN.source})`, "giu");

// A quoted string; or a field, a sign and a percentage, with blanks between them.
const FIELDS = [...Object.keys(TEXT_TERMS), ...Object.keys(NUMBER_TERMS)].join("|");
const LOOSE = new RegExp(
  String.raw`"(?:[^"\\]|\\.)*"?|(?<![^\s!])(${FIELDS})\s*(:=?|[<>]=?)\s*(?:([\d.]+)\s*%)?`,
  "giu",
);

// `conf > 90 %` becomes `conf>90%`.
function withoutBlanks(query) {
  return query.replace(LOOSE, (whole, key, sign, percent) =>
    key ? `${key}${sign}${percent ? `${percent}%` : ""}` : whole,
  );
}

// As `percent_number` in percentages.py.
function percentText(share) {
  if (share > 0 && share < 0.0005) return "<0.1 %";
  if (share >= 0.9995 && share < 1) return ">99.9 %";
  const decimals = (share > 0 && share < 0.0995) || (share >= 0.99 && share < 1) ? 1 : 0;
  return `${(100 * share).toFixed(decimals)} %`;
}

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
  const number = Number(text.replace(/%$/u, ""));
  if (Number.isNaN(number)) throw new Error(`${key}${sign} needs a number, not “${text}”`);
  // The values are shares, so a number above 1 can only be meant as a percentage.
  const bound = number > 1 || text.endsWith("%") ? number / 100 : number;
  const holds = {
    "<": (value) => value < bound,
    "<=": (value) => value <= bound,
    ">": (value) => value > bound,
    ">=": (value) => value >= bound,
  }[sign];
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

const takesText = ({ key, sign }) => sign.startsWith(":") && Object.hasOwn(TEXT_TERMS, key);
const takesNumber = ({ key, sign }) => /^[<>]/u.test(sign) && Object.hasOwn(NUMBER_TERMS, key);

function testOf(term) {
  const { key, sign, text, quoted } = term;
  if (takesText(term)) {
    return sign === ":=" ? fieldIs(key, text) : text && fieldEquals(TEXT_TERMS[key], text);
  }
  if (takesNumber(term)) return text && fieldCompares(term);
  if (sign) return containsText(`${key}${sign}${text}`);
  const word = folded(text);
  if (!quoted && (word === "correct" || FLAGS.includes(word))) return hasFlag(word);
  return text && containsText(text);
}

function termsOf(query) {
  return [...withoutBlanks(query).matchAll(TERM)]
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

// A row has one label, one id …, so two terms of one field mean either. Returns null for any other.
function alternative({ not, key, sign, quoted, text }) {
  if (!not && !key && !quoted && KINDS.includes(text)) return "kind";
  return !not && takesText({ key, sign }) ? key : null;
}

// Terms without a value yet, such as `label:`, are ignored.
function testsOf(query) {
  const terms = termsOf(query).map((term) => ({ ...term, test: testOf(term) }));
  const groups = Map.groupBy(
    terms.filter(({ test }) => test),
    (term) => alternative(term) ?? term,
  );
  return [...groups.values()].map((group) =>
    group[0].not ? negated(group[0].test) : (entry) => group.some(({ test }) => test(entry)),
  );
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

// The wrong predictions first, the most probable of them first; the others in the order of the input.
function wrongFirst(entries) {
  const wrong = entries.filter((entry) => entry.correct === false);
  wrong.sort((a, b) => b.probability - a.probability);
  return [...wrong, ...entries.filter((entry) => entry.correct !== false)];
}

function sorted(entries, sort) {
  if (!sort) return defaultOrder(entries);
  const term = sort.replace("-", "");
  if (!Object.hasOwn(NUMBER_TERMS, term)) return entries;
  return entries.toSorted(compareBy(NUMBER_TERMS[term], sort.startsWith("-") ? -1 : 1));
}

function find(entries, { q, sort }) {
  const tests = testsOf(q);
  return sorted(entries.filter((entry) => tests.every((test) => test(entry))), sort);
}

// Rows that are chosen by being right or wrong have no accuracy.
function totals(matches, all, { isSample, q }) {
  const rows = `${matches.length} of ${all.length} rows`;
  const withGold = matches.filter((entry) => entry.correct !== null);
  const isChosen = termsOf(q).some(({ key, quoted, text }) => !key && !quoted && text === "correct");
  if (isSample || isChosen || !withGold.length) return rows;
  const correct = withGold.filter((entry) => entry.correct).length;
  return `${rows}, accuracy ${((100 * correct) / withGold.length).toFixed(1)} %`;
}

// A term such as `is:wrong` or `conf:0.9`: no field takes it, so it is searched for as text.
const isNoField = (term) => term.sign && !term.not && !takesText(term) && !takesNumber(term);

function searchTerms() {
  const texts = Object.keys(TEXT_TERMS).map((key) => `${key}:`);
  const numbers = Object.keys(NUMBER_TERMS).map((key) => `${key}<`);
  return [...texts, ...numbers, "correct", ...FLAGS].join(" ");
}

// Returns what to try where no row matches: a term that exists, or the search without the term that
// excludes most rows.
function advice(query, entries) {
  const unknown = termsOf(query).find(isNoField);
  if (unknown) return `No row has the text “${unknown.whole}”. Search terms are ${searchTerms()}`;
  const terms = termsOf(query).map(({ whole }) => whole);
  const counts = terms.map((left) => {
    const q = terms.filter((term) => term !== left).join(" ");
    return [find(entries, { q, sort: "input" }).length, left];
  });
  const [count, left] = counts.sort((a, b) => b[0] - a[0])[0] ?? [0];
  if (terms.length > 1 && count) return `No row matches. Without ${left}: ${count} rows`;
  return "No row matches. Try a shorter word; “Keys and search” lists the search terms";
}
