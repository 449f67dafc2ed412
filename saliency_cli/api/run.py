"""`Run`: a finished run of the command line, read from its folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from saliency_cli.analysis.findings import word_findings
from saliency_cli.api.data_frames import data_frame
from saliency_cli.api.explanation import Explanation, QuarantinedRow, shown_row
from saliency_cli.api.hints import notes_of_hints
from saliency_cli.errors import UsageError
from saliency_cli.records import Record
from saliency_cli.report.pages import finding_sentences, run_findings
from saliency_cli.runs.finished_run import FinishedRun, open_run
from saliency_cli.runs.summary import Summary

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class SuspectWords:
    """A shortcut suspect: a word, or a pair of words, that decides more texts than by chance.

    Attributes:
        words: The word, or both.
        label: The predicted label that it leads texts of.
        texts: How many different texts it leads.
        check: What taking it out and putting it into other texts does, as an entry of
            [suspects.json](records.md#suspects); None if that was not checked.
    """

    words: tuple[str, ...]
    label: str
    texts: int
    check: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RunFindings:
    """What the first screen of a report says.

    Attributes:
        sentences: Its sentences as plain text, the most important first.
        words: Predicted label -> the words that lead most of its texts; the label is "" of a
            regression.
        suspects: The shortcut suspects.
    """

    sentences: tuple[str, ...]
    words: dict[str, tuple[str, ...]]
    suspects: tuple[SuspectWords, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A finished run; its records are read from the disk each time they are needed.

    Nothing in the folder is written.

    Example:
        >>> import saliency_cli
        >>> run = saliency_cli.Run.open("report")
        >>> run.summary.rows, run.labels
        (240, ('ham', 'spam'))
        >>> wrong = [each for each in run if each.explained and each.label != each.gold]
        >>> len(wrong)
        10
    """

    _run: FinishedRun

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Return the run in a folder, after a check of its manifest and its records' SHA-256.

        Args:
            folder: What `saliency explain` wrote with `--out`.

        Raises:
            UsageError: There is no finished run in it, or it is damaged.
        """
        with notes_of_hints():
            return cls(open_run(Path(folder)))

    @property
    def manifest(self) -> dict[str, Any]:
        """[The manifest](records.md#the-manifest): what decided the numbers."""
        return self._run.manifest

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's labels, in the order of its logits."""
        return tuple(self._run.manifest["model"]["labels"])

    @property
    def summary(self) -> Summary:
        """The figures that `saliency explain --json` prints, as attributes."""
        return self._run.summary

    @cached_property
    def findings(self) -> RunFindings:
        """What the first screen of the report says; the records are read for it once."""
        manifest = self._run.manifest
        found = run_findings(self._run.folder, manifest)
        words = word_findings(found)
        choice = self._run.page_choice({}, template_dir=None)
        singles = (SuspectWords(s.words, s.label, s.word.leads, _entry(s)) for s in words.suspects)
        pairs = (SuspectWords(p.words, p.label, p.texts, _entry(p)) for p in words.pairs)
        return RunFindings(
            finding_sentences(manifest, found, choice),
            {each.label or "": tuple(word.word for word in each.words) for each in words.labels},
            (*singles, *pairs),
        )

    def records(self) -> Iterator[Record]:
        """Return an iterator over the records ([keys](records.md)), in input order.

        Raises:
            UsageError: A record is damaged, or their number is not that of the manifest.
        """
        return self._run.records()

    def explanation(self, ordinal: int) -> Explanation | QuarantinedRow:
        """Return the explanation of a row, or why it has none.

        Args:
            ordinal: The row's number in the input, from 0.

        Raises:
            UsageError: There is no such row, or its record is damaged.
        """
        with notes_of_hints():
            rows = self.summary.rows
            if not 0 <= ordinal < rows:
                raise UsageError(f"there is no row {ordinal}", f"give 0 to {rows - 1}")
            return shown_row(self._run.record(ordinal))

    def __iter__(self) -> Iterator[Explanation | QuarantinedRow]:
        return map(shown_row, self.records())

    def __len__(self) -> int:
        return self.summary.rows

    def to_pandas(self, *, tokens: bool = False) -> "pd.DataFrame":
        """Return a data frame with a line for each row; pandas must be installed.

        Args:
            tokens: Whether it has a line for each token instead, with the columns of
                [`saliency export --format csv`](exports.md).

        Raises:
            UsageError: pandas is not installed, or a record is damaged.
        """
        with notes_of_hints():
            return data_frame(self._run.records(), tokens=tokens)

    def __repr__(self) -> str:
        return f"<Run of {self._run.manifest['model']['name']}: {len(self)} rows>"


def _entry(suspect: Any) -> dict[str, Any] | None:  # noqa: ANN401 - of one word, or of two
    return None if suspect.check is None else suspect.check.as_json()
