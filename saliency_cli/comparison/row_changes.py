"""What changed in one row between two runs."""

from dataclasses import dataclass
from typing import Any

from saliency_cli.comparison.distance import (
    Distance,
    WordMove,
    common_target,
    distance_between,
)
from saliency_cli.figures.correctness import prediction_is_correct
from saliency_cli.figures.regression import gold_number
from saliency_cli.figures.rounding import rounded
from saliency_cli.records import Record
from saliency_cli.safe_text import excerpt

ONLY_BEFORE, ONLY_AFTER = "only before", "only after"
BROKEN, FIXED, FLIPPED, SAME = "broken", "fixed", "flipped", "same"
LOST, GAINED, QUARANTINED = "newly quarantined", "no longer quarantined", "quarantined"
"""The kinds of change. Of two predictions that are both wrong, or without a gold label, a changed
label is `flipped`."""
URGENCY = {BROKEN: 4, LOST: 3, FLIPPED: 2, FIXED: 1}
"""In which order pages and exports show changed predictions and statuses, the largest first."""
TEXT_SHOWN = 240
"""Characters of the text that `rows.jsonl` has."""
WORDS_SHOWN = 5
"""Words that moved most, which `rows.jsonl` has and the page outlines."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row of one run or both, and what changed in it.

    Attributes:
        kind: one of the kinds above.
        before: its record in the first run, or None.
        after: its record in the second run, or None.
        correct: whether either prediction is correct; None without a known gold label.
        shift: the change of the probability of the label that the first run predicts; of a
            regression, of its value.
        gold_shift: the change of the probability of the gold label.
        distance: how far the saliency moved; None where that cannot be compared.
        by_size: whether words are compared by the size of their shares alone: the runs explain
            different labels, and a word that speaks for one label may speak against the other.
        same_text: whether both runs explain the row with the same text and pair.
    """

    kind: str
    before: Record | None
    after: Record | None
    correct: tuple[bool | None, bool | None] = (None, None)
    shift: float | None = None
    gold_shift: float | None = None
    distance: Distance | None = None
    by_size: bool = False
    same_text: bool = False

    @property
    def record(self) -> Record:
        """The record of the second run; of a row that only the first one has, that."""
        record = self.after or self.before
        assert record is not None  # noqa: S101 - one of the runs has the row
        return record

    @property
    def explained(self) -> tuple[Record, Record] | None:
        """Both records, of a row that both runs explain."""
        if self.before is None or self.after is None:
            return None
        both = self.before, self.after
        return both if all(record["status"] == "ok" for record in both) else None

    @property
    def is_change(self) -> bool:
        """Whether a row of both runs has another prediction, status or saliency."""
        if self.kind in {SAME, QUARANTINED, ONLY_BEFORE, ONLY_AFTER}:
            return self.distance is not None and self.distance.moved
        return True

    @property
    def moves(self) -> tuple[WordMove, ...]:
        """The words that moved visibly, the largest change first; see `by_size`."""
        if self.distance is not None:
            words = self.distance.words
        elif self.by_size and self.explained is not None:
            words = distance_between(*self.explained, signed=False).words
        else:
            return ()
        moved = [word for word in words if word.is_visible]
        return tuple(sorted(moved, key=lambda word: (-abs(word.change), word.word)))

    def as_json(self) -> dict[str, Any]:
        """Return the row as `rows.jsonl` has it."""
        distance, record = self.distance, self.record
        text = record["text"] if record["status"] == "ok" else record["excerpt"]
        return {
            "after": _prediction(self.after, correct=self.correct[1]),
            "before": _prediction(self.before, correct=self.correct[0]),
            "change": self.kind,
            "distance": None if distance is None else rounded(distance.value),
            "expected_distance": None if distance is None else rounded(distance.expected),
            "id": record["id"],
            "moved": distance is not None and distance.moved,
            "shift": None if self.shift is None else rounded(self.shift),
            "text": excerpt(text, limit=TEXT_SHOWN),
            "words": [_move(each) for each in self.moves[:WORDS_SHOWN]] if self.is_change else [],
            "words_by_size": self.by_size,
        }


def _move(move: WordMove) -> dict[str, Any]:
    return {"word": move.word, "before": rounded(move.before), "after": rounded(move.after)}


def _prediction(record: Record | None, *, correct: bool | None) -> dict[str, Any] | None:
    """Return what a run says of a row; None if it does not have it."""
    if record is None:
        return None
    if record["status"] != "ok":
        return {"ordinal": record["ordinal"], "status": record["status"]}
    names = ("ordinal", "status", "predicted", "probability", "gold", "value")
    return {**{name: record.get(name) for name in names}, "correct": correct}


def row_change(before: Record | None, after: Record | None, *, comparable: bool) -> RowChange:
    """Return what changed in a row.

    Args:
        before: Its record in the first run, or None.
        after: Its record in the second run, or None.
        comparable: Whether the saliency of the two runs can be compared.
    """
    if before is None or after is None:
        return RowChange(ONLY_AFTER if before is None else ONLY_BEFORE, before, after)
    statuses = before["status"] == "ok", after["status"] == "ok"
    if statuses != (True, True):
        kind = {(True, False): LOST, (False, True): GAINED}.get(statuses, QUARANTINED)
        return RowChange(kind, before, after)
    correct = prediction_is_correct(before), prediction_is_correct(after)
    same_text = (before["text"], before["pair"]) == (after["text"], after["pair"])
    targets = common_target(before, after) if comparable and same_text else None
    return RowChange(
        _kind(before, after, correct),
        before,
        after,
        correct,
        _shift(before, after),
        _gold_shift(before, after),
        None if targets is None else distance_between(*targets),
        by_size=comparable and same_text and targets is None,
        same_text=same_text,
    )


def _kind(before: Record, after: Record, correct: tuple[bool | None, bool | None]) -> str:
    if before["predicted"] == after["predicted"]:
        return SAME
    if correct == (True, False):
        return BROKEN
    return FIXED if correct == (False, True) else FLIPPED


def _shift(before: Record, after: Record) -> float | None:
    if before["predicted"] is None:
        return None if "value" not in after else float(after["value"] - before["value"])
    return _difference(before, after, before["predicted"])


def _gold_shift(before: Record, after: Record) -> float | None:
    """Return the change of the gold label's probability; of a regression, of its error."""
    if before["predicted"] is None:
        gold = gold_number(after)
        if gold is None or "value" not in before:
            return None
        return float(abs(after["value"] - gold) - abs(before["value"] - gold))
    return None if after["gold"] is None else _difference(before, after, after["gold"])


def _difference(before: Record, after: Record, label: str) -> float | None:
    """Return the change of a label's probability; None if a model does not have the label."""
    old, new = before["probabilities"].get(label), after["probabilities"].get(label)
    return None if old is None or new is None else new - old
