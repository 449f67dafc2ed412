"""What each method found of the planted shortcuts, told by kind of shortcut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from saliency_cli.report.evaluation.figures import Method
from saliency_cli.report.number_format import figure_text

KINDS = ("token", "pair", "order")
"""One word that decides; two together; one before the other."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How often a method found a planted word.

    Attributes:
        method: the method.
        found: texts in which a planted word has the largest score.
        explained: texts that it explained, for the label that the shortcut decides on.
        first: the same as a share, with its error.
        mrr: the mean of 1 / rank of the first planted word, with its error.
    """

    method: Method
    found: int
    explained: int
    first: str
    mrr: str


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A kind of shortcut, what the copy learned of it, and what the methods found."""

    kind: str
    words: Sequence[str]
    label: str
    texts: int
    accuracy_with: float
    accuracy_without: float
    findings: tuple[Finding, ...]


def planted_shortcuts(result: Mapping[str, Any], methods: Sequence[Method]) -> list[Shortcut]:
    """Return the kinds of shortcut that the copy has learned; none if nothing was planted.

    Args:
        result: what `evaluation.json` holds.
        methods: the methods, in the order in which they are told.
    """
    kinds = {
        method: result["methods"][method.name].get("planted", {}).get("kinds", {})
        for method in methods
    }
    found = {
        kind: {method: each[kind] for method, each in kinds.items() if _is_known(each.get(kind))}
        for kind in KINDS
    }
    return [_shortcut(kind, each) for kind, each in found.items() if each]


def _is_known(figures: Mapping[str, Any] | None) -> bool:
    return figures is not None and figures["explained"] > 0


def _shortcut(kind: str, found: Mapping[Method, Mapping[str, Any]]) -> Shortcut:
    learned = next(iter(found.values()))
    names = ("words", "label", "texts", "accuracy_with", "accuracy_without")
    return Shortcut(
        kind,
        **{name: learned[name] for name in names},
        findings=tuple(_finding(method, each) for method, each in found.items()),
    )


def _finding(method: Method, figures: Mapping[str, Any]) -> Finding:
    first, mrr, explained = figures["first"], figures["mrr"], figures["explained"]
    return Finding(
        method,
        round(first["mean"] * explained),
        explained,
        figure_text(first["mean"], first["se"]),
        figure_text(mrr["mean"], mrr["se"]),
    )
