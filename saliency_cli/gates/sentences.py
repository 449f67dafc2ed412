"""What a gate found, in one sentence: "accuracy is 95.8 %, and must not be below 96 %"."""

from collections.abc import Iterable

from saliency_cli.gates.gate import Gate, Part, number_text
from saliency_cli.safe_text import excerpt, listed

TITLES = {
    "ece": "expected calibration error",
    "f1": "F1",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "brier": "Brier score",
    "pearson": "correlation",
    "special_share": "share on special tokens",
    "mean_probability": "mean probability",
    "samples": "mean number of samples",
    "rows": "number of rows",
    "ok": "number of explained rows",
    "quarantined": "number of quarantined rows",
    "truncated": "number of truncated texts",
    "mislabelled": "number of gold labels to check",
    "gold_rows": "number of rows with a gold label",
    "gold_known": "number of rows with a gold label that the model has",
    "suspects": "number of shortcut suspects",
    "confirmed_suspects": "number of confirmed shortcut suspects",
    "broken": "number of broken predictions",
    "fixed": "number of fixed predictions",
    "flipped": "number of changed predictions",
    "changed": "number of changed rows",
    "moved": "number of texts whose saliency moved",
    "only_before": "number of rows that only BEFORE has",
    "only_after": "number of rows that only AFTER has",
    "newly_quarantined": "number of newly quarantined rows",
    "new_suspects": "number of new shortcut suspects",
    "new_confirmed_suspects": "number of new confirmed shortcut suspects",
    "stronger_suspects": "number of stronger shortcut suspects",
    "mean_distance": "mean distance of the saliency",
    "accuracy_after": "accuracy after",
}
"""Names that are no words by themselves; of all others the underscores are left out."""
_SIDES = {"<": "below", ">": "above"}
_SHOWN_CHARACTERS = 60
PARTS_LISTED = 20
_MOST_DIGITS = 17


def comparison_sentence(
    gate: Gate, value: float, bound: float, *, baseline: float | None, is_share: bool
) -> str:
    """Return the number and the bound of a gate as a sentence, whether or not the gate is met.

    Args:
        gate: The gate.
        value: The number.
        bound: The bound.
        baseline: The number of the baseline; None where the gate has none.
        is_share: Whether the numbers are shares.
    """
    shown, limit = distinct(value, bound, is_share=is_share)
    sentence = f"{subject(gate.name, gate.part)} is {shown}, and must not be {_side(gate)} {limit}"
    return (
        sentence if baseline is None else f"{sentence} ({_of_baseline(gate, baseline, is_share)})"
    )


def unmeasured_sentence(gate: Gate, problem: str, *, of_baseline: bool) -> str:
    """Return why a gate has no number.

    Args:
        gate: The gate.
        problem: The reason; empty if there is no other than that there is no number.
        of_baseline: Whether it is the baseline that has none.
    """
    where = " in the baseline" if of_baseline else ""
    sentence = f"{subject(gate.name, gate.part)} could not be measured{where}"
    return f"{sentence}: {problem}" if problem else sentence


def no_such(kind: str, names: Iterable[str]) -> str:
    """Return the sentence for a slice or a label that the run does not have, with those it has.

    Args:
        kind: What it is: "slice" or "label".
        names: The parts that there are.
    """
    known = listed([*names], most=PARTS_LISTED)
    return f"there is no such {kind}; there are {known or 'none'}"


def subject(name: str, part: Part | None) -> str:
    """Return what a number is: "accuracy", or "accuracy of lang de".

    Args:
        name: The name that a gate has for it.
        part: The slice or the label; None for all rows.
    """
    title = TITLES.get(name, name.replace("_", " "))
    if part is None:
        return title
    column, value = (excerpt(each, limit=_SHOWN_CHARACTERS) for each in part)
    return f"{title} of {column} {value or '(empty)'}"


def distinct(value: float, bound: float, *, is_share: bool) -> tuple[str, str]:
    """Return two numbers as texts with the fewest digits that show which one is larger.

    Args:
        value: A number.
        bound: Another one.
        is_share: Whether to write percentages: at least one decimal of these.
    """
    for digits in range(3, _MOST_DIGITS):
        texts = [figure(each, is_share=is_share, digits=digits) for each in (value, bound)]
        if texts[0] != texts[1] or value == bound:
            break
    return texts[0], texts[1]


def figure(value: float, *, is_share: bool, digits: int = 3) -> str:
    """Return a number as text: `95.8 %` of a share, else `1,234` or `0.0123`.

    Args:
        value: The number.
        is_share: Whether it is a share.
        digits: Significant digits; whole numbers have all of theirs.
    """
    if is_share:
        decimals = f"{100 * value:z.{digits - 2}f}"
        return f"{decimals.rstrip('0').rstrip('.') if '.' in decimals else decimals} %"
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:.{digits}g}"


def _side(gate: Gate) -> str:
    return _SIDES[gate.sign]


def _of_baseline(gate: Gate, baseline: float, is_share: bool) -> str:  # noqa: FBT001
    """Return how the bound follows from the baseline: "95.8 % in the baseline, less 1 %"."""
    before = f"{figure(baseline, is_share=is_share)} in the baseline"
    if gate.relation == "*":
        return f"{before}, times {number_text(gate.bound)}"
    if not gate.bound:
        return before
    word = "less" if gate.bound < 0 else "plus"
    change = figure(abs(gate.bound), is_share=False)
    if is_share:
        points = 100 * abs(gate.bound)
        change = f"{points:.3g} point{'s' if f'{points:.3g}' != '1' else ''}"
    return f"{before}, {word} {change}"
