"""Can the explanations of a run be trusted? What speaks against it, and what to do about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from saliency_cli.analysis.findings import Findings
from saliency_cli.analysis.first_look import FirstLook
from saliency_cli.analysis.notable_rows import NotableRows
from saliency_cli.plurals import counted
from saliency_cli.report.number_format import percent
from saliency_cli.runs.summary import FLIP_RATE_WARNING
from saliency_cli.safe_text import listed

MANY = 0.1
"""A larger part of undecided shares, or of rows with large errors or a cut text, is named."""

MOSTLY = 0.5
"""A larger share on special tokens leaves the words less than half of what decides."""

NO_EXPLANATION = {
    "random": "Random numbers say nothing about the model.",
    "attention": "Attention is the same for every label: it does not explain the decision.",
}


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing that speaks against the explanations.

    Attributes:
        fact: what was measured.
        remedy: what to do about it.
        kind: the kind of notable rows that shows where; empty if there is none.
    """

    fact: str
    remedy: str
    kind: str = ""


def doubts(manifest: Mapping[str, Any], findings: Findings) -> list[Doubt]:
    """Return what speaks against the explanations of a run, the gravest first.

    Args:
        manifest: the run's manifest.
        findings: its findings.
    """
    return [*_of_model(manifest), *_of_scores(manifest["counts"], findings)]


def _of_model(manifest: Mapping[str, Any]) -> Iterator[Doubt]:
    """Yield what follows from the model and the method."""
    name = manifest["method"]["name"]
    if name in NO_EXPLANATION:
        yield Doubt(NO_EXPLANATION[name], "Compare it with the default --method.")
    if not manifest.get("deterministic", True):
        yield Doubt(
            "Two passes of the model over one text may differ.",
            "Switch off dropout and random numbers in its forward.",
        )
    without_rule = manifest["model"].get("operations_without_rule")
    wanted = manifest["options"].get("propagation")
    if without_rule and wanted == "conservative" != manifest.get("propagation"):
        yield Doubt(
            f"Conservative propagation has no rule for {listed(without_rule)}: the gradients are "
            "plain ones, which are noisier.",
            "Let saliency evaluate say which method to trust on this model.",
        )


def _of_scores(counts: Mapping[str, Any], findings: Findings) -> Iterator[Doubt]:
    """Yield what the scores show."""
    if (counts["flip_rate"] or 0) > FLIP_RATE_WARNING:
        fact = f"Tiny changes overturn {percent(counts['flip_rate'])} of the predictions."
        yield Doubt(fact, "Use a smaller --noise.", "fragile")
    first = cast("FirstLook", findings["first_look"])
    if first.undecided > MANY * first.shares:
        share = percent(first.undecided / first.shares)
        fact = f"{share} of the shares are within their error, and so undecided."
        yield Doubt(fact, "Draw more --samples.", "imprecise")
    kinds = {kind.name: kind.count for kind in cast("NotableRows", findings["notable"]).kinds}
    if (imprecise := kinds.get("imprecise", 0)) > MANY * counts["ok"]:
        fact = f"{_texts(imprecise)} a standard error above 5 % of the largest score."
        yield Doubt(fact, "Draw more --samples.", "imprecise")
    if (counts["special_share"] or 0) > MOSTLY:
        fact = f"{percent(counts['special_share'])} of the shares are on special tokens."
        yield Doubt(fact, "Compare the words with --method occlusion.", "special")
    if (cut := counts["truncated"]) > MANY * counts["ok"]:
        fact = f"The model did not see the end of {_number(cut)}."
        yield Doubt(fact, "Read long texts in windows, with --stride.", "cut")


def _texts(count: int) -> str:
    return f"{_number(count)} {'has' if count == 1 else 'have'}"


def _number(count: int) -> str:
    return counted(count, "text")
