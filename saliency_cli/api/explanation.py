"""What `explain` and a finished run give for each row: an explanation, or why there is none."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from saliency_cli.analysis.words import whole_words
from saliency_cli.errors import UsageError
from saliency_cli.percentages import percent_number
from saliency_cli.records import Record
from saliency_cli.report.explanation_view import explanation_html
from saliency_cli.runs.record_lines import record_line
from saliency_cli.safe_text import excerpt, listed, visible


class WordScore(NamedTuple):
    """A word of a text, its share of the text's saliency, and the share's standard error.

    Attributes:
        word: The word as it is written in the text.
        score: Its share, the sum of its tokens' scores.
        error: The standard error of the share; None for a method that draws nothing at random.
    """

    word: str
    score: float
    error: float | None


@dataclass(frozen=True, slots=True, repr=False)
class QuarantinedRow:
    """A text that could not be explained, and why; a notebook shows the reason.

    Attributes:
        explained: Always False; of an `Explanation`, True.
    """

    _record: Record
    explained: ClassVar[Literal[False]] = False

    @property
    def ordinal(self) -> int:
        """The row's number in the input, from 0."""
        return int(self._record["ordinal"])

    @property
    def id(self) -> str | None:
        """The row's id, where it could be read."""
        found: str | None = self._record["id"]
        return found

    @property
    def reason(self) -> str:
        """Why it could not be explained."""
        return str(self._record["reason"])

    @property
    def excerpt(self) -> str:
        """The start of what the row holds, with control characters escaped."""
        return str(self._record["excerpt"])

    def to_dict(self) -> Record:
        """Return the record of the row, as a run writes it ([records](records.md))."""
        return deepcopy(self._record)

    def _repr_html_(self) -> str:
        return explanation_html(record_line(self._record))

    def __repr__(self) -> str:
        return f"<QuarantinedRow {self.ordinal}: {visible(self.reason)}>"


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """The prediction for a text, and a score for each of its tokens; a notebook shows it shaded.

    Attributes:
        explained: Always True; of a `QuarantinedRow`, False.
    """

    _record: Record
    explained: ClassVar[Literal[True]] = True

    @property
    def ordinal(self) -> int:
        """The row's number in the input, from 0."""
        return int(self._record["ordinal"])

    @property
    def id(self) -> str | None:
        """The row's id, or None."""
        found: str | None = self._record["id"]
        return found

    @property
    def text(self) -> str:
        """The text as it was given."""
        return str(self._record["text"])

    @property
    def pair(self) -> str | None:
        """The second text of a pair, or None."""
        found: str | None = self._record["pair"]
        return found

    @property
    def label(self) -> str | None:
        """The predicted label; None of a regression."""
        found: str | None = self._record["predicted"]
        return found

    @property
    def probability(self) -> float | None:
        """The probability of the predicted label; None of a regression."""
        found: float | None = self._record["probability"]
        return found

    @property
    def probabilities(self) -> dict[str, float]:
        """Label -> its probability; empty of a regression."""
        return {**self._record["probabilities"]}

    @property
    def value(self) -> float | None:
        """The number that a regression gives; else None."""
        found: float | None = self._record.get("value")
        return found

    @property
    def gold(self) -> str | None:
        """The gold label as the record has it, or None."""
        found: str | None = self._record["gold"]
        return found

    @property
    def target(self) -> str:
        """What the scores explain: a label, `spam - ham` with `contrast`."""
        return str(self._record["target"])

    @property
    def targets(self) -> tuple[str, ...]:
        """All targets that have scores, `target` first."""
        others = (str(each["target"]) for each in self._record.get("others", ()))
        return (self.target, *others)

    def words(self, target: str | None = None) -> list[WordScore]:
        """Return the words of the text, then of its pair, in reading order, with their scores.

        They are the words that the report shades, with its numbers; special tokens and white space
        are left out. A word of several tokens has the sum of their scores.

        Args:
            target: One of `targets`; None for the first.

        Raises:
            UsageError: There is no such target.

        Example:
            >>> import saliency_cli
            >>> classifier = saliency_cli.load("sample_data/model.pt")
            >>> (found,) = saliency_cli.explain(classifier, ["win a free prize now"])
            >>> [word for word, score, error in found.words()]
            ['win', 'a', 'free', 'prize', 'now']
        """
        return [*self._words(self._scores_of(target))]

    def _scores_of(self, target: str | None) -> Record:
        """Return the record with the scores for a target."""
        for each in (self._record, *self._record.get("others", ())):
            if target in {None, each["target"]}:
                return {**self._record, **each}
        shown = visible(str(target))
        raise UsageError(f"'{shown}' is not explained", f"give one of {listed(self.targets)}")

    def _words(self, record: Record) -> Iterator[WordScore]:
        for segment in (0,) if self.pair is None else (0, 1):
            for piece in whole_words(record, segment=segment):
                if piece.tokens and not piece.special and piece.text.strip():
                    yield WordScore(piece.text.strip(), piece.score, piece.error)

    def to_dict(self) -> Record:
        """Return the record of the text, as a run writes it ([records](records.md))."""
        return deepcopy(self._record)

    def _repr_html_(self) -> str:
        return explanation_html(record_line(self._record))

    def __repr__(self) -> str:
        shown = f"{self.value:.4g}" if self.label is None else visible(self.label)
        if self.probability is not None:
            shown += f" {percent_number(self.probability)} %"
        return f"<Explanation {self.ordinal}: {shown}, '{excerpt(self.text, limit=60)}'>"


def shown_row(record: Record) -> Explanation | QuarantinedRow:
    """Return the explanation that a record holds, or the reason why it holds none."""
    return Explanation(record) if record["status"] == "ok" else QuarantinedRow(record)
