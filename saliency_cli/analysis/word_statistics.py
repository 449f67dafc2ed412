"""Which words lead for each label, and which of them look like shortcuts.

A word's share of a text is the sum of its occurrences' scores; the word with the largest share
leads the text. With signed scores, a word with a negative share leads no text.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import nlargest
from itertools import chain

from saliency_cli.analysis.suspect_checks import SuspectCheck
from saliency_cli.analysis.suspects import Suspect, SuspectCounts, in_order_of_checks
from saliency_cli.analysis.word_counts import BoundedCounts, LeadingWord, WordCount, sum_of_counts
from saliency_cli.analysis.word_pairs import PairSuspect
from saliency_cli.analysis.word_shares import RowStats

MAX_PAIRS = 50_000
"""Pairs of label and word that are kept: at twice as many, the rarer half is dropped."""

LABELS_SHOWN = 8
"""Labels that the page lists leading words for, the most frequent first."""

WORDS_SHOWN = 8
"""Leading words that the page lists for each label."""


@dataclass(frozen=True, slots=True)
class LabelWords:
    """The words that lead most texts with one predicted label, in descending order."""

    label: str | None
    texts: int
    words: tuple[LeadingWord, ...]


@dataclass(frozen=True, slots=True)
class WordFindings:
    """The suspects and the leading words of each label.

    Attributes:
        suspects: single words; the largest effect first where they were checked, else the strongest
            evidence.
        labels: the most frequent labels with their leading words.
        hidden_labels: how many labels occur but are not in `labels`.
        pairs: pairs of words that are suspects together, in the same order.
        controls: a suspect's word -> a word of about the same frequency that leads nothing.
    """

    suspects: tuple[Suspect, ...]
    labels: tuple[LabelWords, ...]
    hidden_labels: int
    pairs: tuple[PairSuspect, ...] = ()
    controls: Mapping[str, str] = field(default_factory=dict)

    @property
    def priority_rows(self) -> Iterator[int]:
        """Texts that the suspects lead."""
        words = (suspect.word.rows for suspect in self.suspects)
        return chain.from_iterable(chain(words, (pair.rows for pair in self.pairs)))

    @property
    def example_rows(self) -> Iterator[int]:
        """Texts that the leading words of each label lead."""
        return (row for label in self.labels for word in label.words for row in word.rows)

    @property
    def checks(self) -> tuple[SuspectCheck, ...]:
        """What was found for those suspects that were checked."""
        found = chain((each.check for each in self.suspects), (pair.check for pair in self.pairs))
        return tuple(check for check in found if check)

    def with_checks(self, checks: Iterable[SuspectCheck]) -> "WordFindings":
        """Return the findings with what was found for some of the suspects, ordered by it."""
        found = {(check.words, check.label): check for check in checks}
        return replace(
            self,
            suspects=in_order_of_checks(self.suspects, found),
            pairs=in_order_of_checks(self.pairs, found),
        )


class WordCounts:
    """Counts the words of all texts by predicted label.

    Attributes:
        counts: (predicted label, word) -> its counts.
        texts: predicted label -> number of texts.
    """

    def __init__(self, *, max_pairs: int = MAX_PAIRS) -> None:
        self.counts: BoundedCounts[tuple[str | None, str], WordCount] = BoundedCounts(
            WordCount, most=max_pairs
        )
        self.texts: Counter[str | None] = Counter()
        self._suspects = SuspectCounts(max_pairs=max_pairs)

    def add(self, row: RowStats) -> None:
        """Count the words of a text under its predicted label."""
        label = row.record["predicted"]
        self.texts[label] += 1
        for word, share in row.shares.items():
            count = self.counts[label, word]
            count.texts += 1
            count.share += share
        if row.leading_word is not None:
            self.counts[label, row.leading_word].count_led_text(row)
        self.counts.drop_rarest()
        self._suspects.add(row)

    def result(self) -> WordFindings:
        """Return the suspects and the leading words of the texts that were added."""
        labels = self._leading_words_by_label()
        suspects, pairs, controls = self._suspects.result()
        return WordFindings(
            suspects,
            labels[:LABELS_SHOWN],
            hidden_labels=len(labels[LABELS_SHOWN:]),
            pairs=pairs,
            controls=controls,
        )

    def _leading_words_by_label(self) -> tuple[LabelWords, ...]:
        """Return the leading words of each label, the most frequent label first."""
        labels = sorted(self.texts, key=lambda label: (-self.texts[label], label or ""))
        words: dict[str | None, list[LeadingWord]] = {label: [] for label in labels}
        for (label, word), count in self.counts.items():
            if count.leads:
                words[label].append(sum_of_counts(word, label, [count]))
        top = {label: nlargest(WORDS_SHOWN, each, key=_rank) for label, each in words.items()}
        return tuple(LabelWords(label, self.texts[label], tuple(top[label])) for label in labels)


def _rank(word: LeadingWord) -> tuple[int, float, str]:
    return word.leads, word.share, word.word
