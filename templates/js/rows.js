// The listing for rows on this page: hides the rows that do not match, and sorts the others.

function rowsListing(list) {
  const rows = [...list.querySelectorAll(".row")];
  const entryOf = entryReader(list);
  let order = rows; // in the document

  function load() {
    const read = (row, place) =>
      entryOf(JSON.parse(row.querySelector("script.entry").textContent), place);
    return Promise.resolve(rows.map(read));
  }

  // Moving a row costs more than hiding it, so rows move only if the order of those shown changes.
  function show(matches) {
    const shown = matches.map((entry) => rows[entry.place]);
    const isShown = new Set(shown);
    for (const row of rows) row.hidden = !isShown.has(row);
    const inPlace = order.filter((row) => isShown.has(row));
    if (inPlace.every((row, index) => row === shown[index])) return;
    order = [...shown, ...rows.filter((row) => !isShown.has(row))];
    list.append(...order);
  }

  return { load, show, pages: () => 1, isSample: list.dataset.sample === "yes" };
}
