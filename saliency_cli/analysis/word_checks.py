"""What the checks of a record say: how far the target moved without a word, and which way."""

from dataclasses import dataclass

from saliency_cli.percentages import percent_number
from saliency_cli.records import Record

NEGLIGIBLE = 0.0005
"""A change of probability that is shown as none: less than 0.05 percentage points."""


@dataclass(frozen=True, slots=True)
class CheckView:
    """A check as pages, terminals and exports show it.

    Attributes:
        word: The word that was left out.
        label: The label whose probability was looked at; None of a regression.
        output: That probability without the word; of a regression the value.
        effect: What follows, in words: "up 13 points: it spoke against".
    """

    word: str
    label: str | None
    output: float
    effect: str


def check_views(record: Record) -> list[CheckView]:
    """Return the checks of an explained record, the strongest word first."""
    if not record.get("checks"):
        return []
    label = _label(record)
    before = record["value"] if label is None else record["probabilities"].get(label, 0.0)
    return [_view(check, label, before) for check in record["checks"]]


def _label(record: Record) -> str | None:
    """Return the label that the first target is about, or is about in contrast to another."""
    if record["predicted"] is None:
        return None
    target: str = record["target"]
    labels: dict[str, float] = record["probabilities"]
    if target in labels:
        return target
    contrasted = (label for label in labels if target.startswith(f"{label} - "))
    return next(contrasted, target)


def _view(check: Record, label: str | None, before: float) -> CheckView:
    output = check["value"] if label is None else check["probability"]
    moved = output - before
    if label is None:
        return CheckView(check["word"], None, output, f"{_direction(moved)} {abs(moved):.3g}")
    if abs(moved) < NEGLIGIBLE:
        return CheckView(check["word"], label, output, "it changes next to nothing")
    side = "for" if moved < 0 else "against"
    points = f"{_direction(moved)} {percent_number(abs(moved))} points"
    return CheckView(check["word"], label, output, f"{points}: it spoke {side}")


def _direction(moved: float) -> str:
    return "down" if moved < 0 else "up"
