// Search terms of a comparison and the fields of an entry that they test. The fields are those of
// `ChangeEntry` in report/comparison/entries.py; the page has their names in data-fields.
const TEXT_TERMS = {
  label: "predicted", before: "before", gold: "gold", lead: "lead", id: "id",
};
const NUMBER_TERMS = { conf: "probability", shift: "shift", distance: "distance" };
const FLAGS = [
  "broken", "fixed", "flipped", "otherwise", "moved", "lost", "truncated", "windows", "pair",
];
// A row has one of these, so two of them mean either.
const KINDS = ["broken", "fixed", "otherwise", "lost"];
// The page has the rows in their order: broken ones first.
const defaultOrder = (entries) => entries;
