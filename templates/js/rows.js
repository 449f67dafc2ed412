// The rows that stand on this page: what is not found is hidden, and the order is that of the search.

function rowsListing(list) {
  const rows = [...list.querySelectorAll(".row")];

  function load() {
    const read = (row, place) =>
      entryOf(JSON.parse(row.querySelector("script.entry").textContent), place);
    return Promise.resolve(rows.map(read));
  }

  function order(found) {
    const shown = new Set(found.map((entry) => rows[entry.place]));
    return [...shown, ...rows.filter((row) => !shown.has(row))];
  }

  // Moving a row costs more than hiding it, so rows move only where their order is another.
  function show(found) {
    const places = new Set(found.map((entry) => entry.place));
    rows.forEach((row, place) => (row.hidden = !places.has(place)));
    const wanted = order(found);
    const sortedAlready = found.every((entry, i) => !i || found[i - 1].place < entry.place);
    if (sortedAlready && list.dataset.moved !== "yes") return;
    list.dataset.moved = sortedAlready ? "no" : "yes";
    list.append(...(sortedAlready ? rows : wanted));
  }

  return { load, show, pages: () => 1 };
}
