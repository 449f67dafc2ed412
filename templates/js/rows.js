// The listing for rows on this page: hides the rows that do not match, and sorts the others.

function rowsListing(list) {
  const rows = [...list.querySelectorAll(".row")];
  const entryOf = entryReader(list);

  function load() {
    const read = (row, place) =>
      entryOf(JSON.parse(row.querySelector("script.entry").textContent), place);
    return Promise.resolve(rows.map(read));
  }

  function matchesFirst(matches) {
    const first = new Set(matches.map((entry) => rows[entry.place]));
    return [...first, ...rows.filter((row) => !first.has(row))];
  }

  // Moving a row costs more than hiding it, so rows move only if their order changes.
  function show(matches) {
    const places = new Set(matches.map((entry) => entry.place));
    rows.forEach((row, place) => (row.hidden = !places.has(place)));
    const inInputOrder = matches.every((entry, i) => !i || matches[i - 1].place < entry.place);
    if (inInputOrder && list.dataset.moved !== "yes") return;
    list.dataset.moved = inInputOrder ? "no" : "yes";
    list.append(...(inInputOrder ? rows : matchesFirst(matches)));
  }

  return { load, show, pages: () => 1 };
}
