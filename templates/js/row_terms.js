// Search terms and the fields of an entry that they test. The fields are those of `Entry` in
// search_index.py; the page has their names in data-fields.
const TEXT_TERMS = {
  label: "predicted", gold: "gold", lead: "lead", id: "id", reason: "reason",
};
const NUMBER_TERMS = {
  conf: "probability", error: "error", flips: "flip_rate", special: "special_share",
};
const FLAGS = ["quarantined", "truncated", "windows", "pair"];
// Of these a row has one; there is none in a report.
const KINDS = [];
// Without another order, wrong predictions come first.
const defaultOrder = (entries) => wrongFirst(entries);
