"""The interface of a finding: one statistic over the records, with its section on the page."""

from collections.abc import Iterable
from typing import Protocol

from saliency_cli.analysis.word_shares import RowStats

EXAMPLE_ROWS = 5
"""Maximum number of rows that a finding lists as examples of one count."""


class FindingResult(Protocol):
    """What a finding's template shows.

    Rows are given by their ordinals. When the pages cannot show all rows, they show the priority
    rows of all findings first, then the example rows.
    """

    @property
    def priority_rows(self) -> Iterable[int]:
        """The rows that a reader should look at."""

    @property
    def example_rows(self) -> Iterable[int]:
        """The rows that are listed beside a count."""


class Finding(Protocol):
    """Collects one statistic, in memory that does not grow with the number of rows."""

    def add(self, row: RowStats) -> None:
        """Count one explained row."""

    def result(self) -> FindingResult:
        """Return the statistic over all rows that were added."""
