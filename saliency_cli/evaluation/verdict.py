"""The verdict: sentences that follow from the numbers, by the rules of docs/evaluate.md."""

from collections.abc import Iterator, Mapping
from math import hypot
from typing import Any, TypeAlias

Figures: TypeAlias = Mapping[str, Mapping[str, Any]]
RANKED_BY = "comprehensiveness"
FLOOR = "random"
ERRORS = 2
"""Standard errors beyond which a difference counts."""
UNCHANGED = 0.7
"""A rank correlation with the scores of a model without its weights that is too high."""
HALF = 0.5
FOUND = 0.9


def verdict(methods: Figures) -> list[str]:
    """Return the sentences of the verdict.

    Args:
        methods: The figures of each method, as `evaluation.json` has them.
    """
    return [*_best(methods), *(line for name in methods for line in _doubts(name, methods))]


def _mean(methods: Figures, name: str, metric: str) -> float | None:
    figure = methods[name].get(metric)
    return None if figure is None else figure["mean"]


def _best(methods: Figures) -> Iterator[str]:
    """Yield which method leads, and which ones are level with it at less cost."""
    means = {name: _mean(methods, name, RANKED_BY) for name in methods if name != FLOOR}
    known = {name: mean for name, mean in means.items() if mean is not None}
    if not known:
        return
    first, *others = sorted(known, key=lambda name: (-known[name], name))
    level = [name for name in others if not _is_beyond(methods, first, name)]
    if not level:
        yield f"{first} is the most faithful method: its {RANKED_BY} is {known[first]:.2f}."
        return
    yield (
        f"{first} has the highest {RANKED_BY}, {known[first]:.2f}, and no clear lead: "
        f"{', '.join(level)} {'is' if len(level) == 1 else 'are'} within {ERRORS} standard errors."
    )
    cheapest = min([first, *level], key=lambda name: (methods[name]["evaluations"], name))
    if cheapest != first:
        yield (
            f"{cheapest} is level with it at {_cost(methods, cheapest)} forward passes a text, "
            f"where {first} takes {_cost(methods, first)}."
        )


def _cost(methods: Figures, name: str) -> str:
    return f"{methods[name]['evaluations']:.0f}"


def _is_beyond(methods: Figures, better: str, worse: str) -> bool:
    """Whether one method's number is above another's by more than their errors."""
    first, second = (_gain(methods, name) for name in (better, worse))
    gap: float = first["mean"] - second["mean"]
    return gap > ERRORS * hypot(first["se"], second["se"])


def _gain(methods: Figures, name: str) -> Mapping[str, float]:
    """Return the gain over a random order, which has a smaller error than the normalised number."""
    found: Mapping[str, float] = methods[name][RANKED_BY]["gain"]
    return found


def _doubts(name: str, methods: Figures) -> Iterator[str]:
    """Yield what is to be doubted of a method."""
    own = methods[name]
    if name == FLOOR:
        return
    if _mean(methods, name, RANKED_BY) is not None:
        gain = _gain(methods, name)
        if gain["mean"] <= ERRORS * gain["se"]:
            yield f"Doubt {name}: it is no better than random scores ({RANKED_BY})."
    unchanged = _mean(methods, name, "randomisation")
    if unchanged is not None and unchanged > UNCHANGED:
        yield (
            f"Doubt {name}: without the model's weights its scores are nearly the same "
            f"(rank correlation {unchanged:.2f})."
        )
    halves = _mean(methods, name, "mosaic")
    if halves is not None and halves <= HALF + ERRORS * own["mosaic"]["se"]:
        yield (
            f"Doubt {name}: of two joined texts it does not find the one that speaks for a label "
            f"({halves:.2f} of the positive scores lie on it)."
        )
    found = _mean(methods, name, "planted")
    if found is not None and found < FOUND:
        yield f"Doubt {name}: it finds a planted word first in {found:.0%} of the texts."
