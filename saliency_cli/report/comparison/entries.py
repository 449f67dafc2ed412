"""What search and sort use of a changed row."""

import json
from dataclasses import dataclass, fields

from saliency_cli.comparison.row_changes import BROKEN, FIXED, FLIPPED, LOST
from saliency_cli.report.comparison.change_view import ChangeView
from saliency_cli.report.row_view import script_safe_json
from saliency_cli.report.search_index import four_digits, search_entry, shown_and_exact

FLAGS = {BROKEN: "broken", FIXED: "fixed", FLIPPED: "otherwise", LOST: "lost"}
"""Kind of change -> the word that a search finds it by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEntry:
    """What can be searched of one changed row; None where a row has no value.

    Attributes:
        ordinal: the row's number in the second run.
        predicted: the label that the second run predicts; `before` that of the first one.
        correct: whether the prediction of the second run is correct.
        probability: the probability of its label.
        shift: the change of the probability of the label that the first run predicts.
        distance: how far the saliency moved.
        flags: words that a search finds the row by, separated by spaces.
        exact: as in `search_index.Entry`.
    """

    ordinal: int
    id: str | None
    predicted: str | None
    before: str | None
    gold: str | None
    lead: str | None
    correct: bool | None
    probability: float | None
    shift: float | None
    distance: float | None
    flags: str
    text: str
    exact: dict[str, str] | None

    def json(self) -> str:
        """Return the entry as a JSON array of its fields, safe inside a script element."""
        values = [getattr(self, name) for name in ENTRY_FIELDS]
        line = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        return script_safe_json(line, values)


ENTRY_FIELDS = tuple(field.name for field in fields(ChangeEntry))


def change_entry(view: ChangeView) -> ChangeEntry:
    """Return the entry of a changed row."""
    entry, change = search_entry(view.shown), view.change
    before = None if change.before is None else change.before.get("predicted")
    names = {
        "before": before,
        **{n: getattr(entry, n) for n in ("id", "predicted", "gold", "lead")},
    }
    shown = shown_and_exact(names)
    exact = {**(shown.pop("exact") or {}), **(entry.exact or {})}
    return ChangeEntry(
        ordinal=entry.ordinal,
        correct=entry.correct,
        probability=entry.probability,
        shift=four_digits(change.shift),
        distance=None if change.distance is None else four_digits(change.distance.value),
        flags=_flags(view, entry.flags),
        text=entry.text,
        exact=exact or None,
        **shown,
    )


def _flags(view: ChangeView, flags: str) -> str:
    change = view.change
    is_flipped = change.kind in {BROKEN, FIXED, FLIPPED}
    moved = change.distance is not None and change.distance.moved
    found = [FLAGS.get(change.kind), "flipped" if is_flipped else None, "moved" if moved else None]
    return " ".join([*filter(None, found), *flags.split()])
