"""The numbers of a finished run that gates can bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from saliency_cli.analysis.findings import collect_words
from saliency_cli.analysis.suspect_checks import SuspectCheck
from saliency_cli.analysis.word_statistics import WordFindings
from saliency_cli.gates.expressions import LABEL
from saliency_cli.gates.gate import GateNames, Part
from saliency_cli.gates.results import Measured
from saliency_cli.gates.sentences import no_such
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.summary import NUMBERS, Summary
from saliency_cli.runs.suspects_file import read_suspects

SUSPECTS, CONFIRMED = "suspects", "confirmed_suspects"
OF_LABELS = ("precision", "recall", "f1")
OF_SLICES = ("rows", "gold_rows", "gold_known", "accuracy", "ece", "mae")
RUN_NAMES = GateNames((*NUMBERS, SUSPECTS, CONFIRMED), OF_SLICES, OF_LABELS)
"""What a gate on a run can be about."""
SHARES = {
    *("accuracy", "mean_probability", "flip_rate", "special_share", "ece", "macro_f1"),
    *("micro_f1", "exact_match", *OF_LABELS),
}


@dataclass(frozen=True)
class RunNumbers:
    """The numbers of a run: of its summary, its labels, its slices and its suspects.

    Suspects need the words of all records, which are read only if a gate asks for them.

    Attributes:
        summary: The run's summary.
        folder: The run's folder, with the records and the check of the suspects.
        partly: Whether the accuracy may leave out rows with an unknown gold label.
        words: The words of the records, where they are known.
    """

    summary: Summary
    folder: RunFolder
    partly: bool = False
    words: WordFindings | None = None

    @classmethod
    def of(cls, run: FinishedRun, *, partly: bool = False) -> "RunNumbers":
        """Return the numbers of a finished run.

        Args:
            run: The run.
            partly: Whether the accuracy may leave out rows with an unknown gold label.
        """
        return cls(run.summary, run.folder, partly)

    def measure(self, name: str, part: Part | None) -> Measured:
        """Return a number; see `gates.Figures`."""
        if name == SUSPECTS:
            found = self._words
            return Measured(len(found.suspects) + len(found.pairs))
        if name == CONFIRMED:
            return self._confirmed()
        if part is not None and part.column == LABEL and name in OF_LABELS:
            return _of_part(name, part.value, self.summary.labels, kind="label")
        if part is None:
            return self._figure(name, self.summary.numbers())
        of = self.summary.slices.get(part.column, {}).get(part.value)
        if of is None:
            return Measured(None, name in SHARES, self._unknown_slice())
        return self._figure(name, of)

    @cached_property
    def _words(self) -> WordFindings:
        return self.words or collect_words(self.folder.records())

    def _confirmed(self) -> Measured:
        entries = read_suspects(self.folder)
        if entries is None:
            return Measured(None, problem="the suspects were not checked")
        return Measured(sum(SuspectCheck.from_json(each).is_confirmed for each in entries))

    def _figure(self, name: str, figures: Mapping[str, Any]) -> Measured:
        value, rows, known = (figures[each] for each in (name, "gold_rows", "gold_known"))
        problem = ""
        if name == "accuracy" and value is not None and known < rows and not self.partly:
            problem = (
                f"it covers {known:,} of {rows:,} rows with a gold label, and the model does not "
                f"have the labels of {rows - known:,} (--allow-unknown-gold)"
            )
        return Measured(value, name in SHARES, problem)

    def _unknown_slice(self) -> str:
        slices = self.summary.slices.items()
        return no_such("slice", (str(Part(c, v)) for c, of in slices for v in of))


def _of_part(
    name: str, value: str, figures: Mapping[str, Mapping[str, Any]], *, kind: str
) -> Measured:
    if value not in figures:
        return Measured(None, name in SHARES, no_such(kind, figures))
    return Measured(figures[value][name], name in SHARES)
