"""The numbers of a comparison that gates can bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saliency_cli.gates import GateNames, Measured, Part
from saliency_cli.gates.sentences import no_such

OF_SLICES = ("rows", "gold_known", "broken", "fixed", "accuracy_before", "accuracy_after")
COMPARISON_NAMES = GateNames(
    (
        *("rows", "matched", "only_before", "only_after", "explained", "changed"),
        *("newly_quarantined", "no_longer_quarantined", "gold_changed"),
        *("texts_changed", "tokens_changed"),
        *("flipped", "fixed", "broken", "gold_known", "accuracy_before", "accuracy_after"),
        *("accuracy_change", "p_value", "mean_probability_shift", "gold_shift"),
        *("compared", "mean_distance", "expected_distance", "moved", "new_suspects"),
        *("new_confirmed_suspects", "gone_suspects", "stronger_suspects", "weaker_suspects"),
    ),
    OF_SLICES,
    owner="the comparison",
    example="broken>0",
    has_baseline=False,
)
"""What a gate on a comparison can be about."""
SHARES = {
    *("accuracy_before", "accuracy_after", "accuracy_change", "mean_probability_shift"),
    *("gold_shift", "mean_distance", "expected_distance"),
}


@dataclass(frozen=True, slots=True)
class ComparisonNumbers:
    """The numbers of a comparison: of all rows, and of its slices.

    Attributes:
        result: What `comparison.json` holds.
    """

    result: Mapping[str, Any]

    def measure(self, name: str, part: Part | None) -> Measured:
        """Return a number; see `gates.Figures`."""
        if part is None:
            return Measured(self.result[name], name in SHARES)
        slices = self.result["slices"]
        figures = slices.get(part.column, {}).get(part.value)
        if figures is not None:
            return Measured(figures[name], name in SHARES)
        known = (str(Part(column, value)) for column, of in slices.items() for value in of)
        return Measured(None, name in SHARES, no_such("slice", known))
