"""Pairs of words that lead together, and have one label more often than each of them alone.

A pair leads a text if both words are among the strongest of the text. Near-duplicate texts count
once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import combinations
from math import log, prod

from saliency_cli.analysis.finding import EXAMPLE_ROWS
from saliency_cli.analysis.suspect_checks import SuspectCheck
from saliency_cli.analysis.tail_bounds import bernoulli_kl, count_tail_bound
from saliency_cli.analysis.word_counts import BoundedCounts
from saliency_cli.analysis.word_shares import RowStats, Shares

STRONGEST = 3
"""Words of a text that are taken in pairs: those with the largest shares, for or against."""

PAIRS_SHOWN = 5
"""Pairs that the page lists."""


@dataclass(frozen=True, slots=True)
class WordTotals:
    """What is counted of a word over the different texts of a run.

    Attributes:
        texts: predicted label -> how many texts contain the word.
        strong: how many texts it is among the strongest words of.
    """

    texts: Mapping[str, int]
    strong: int

    def share(self, label: str) -> float:
        """Return the share of the word's texts that have a label."""
        return self.texts.get(label, 0) / sum(self.texts.values())


@dataclass(frozen=True, slots=True)
class PairSuspect:
    """Two words that lead together more often than chance, and nearly always with one label.

    Attributes:
        words: the two words' keys, in alphabetical order.
        label: the predicted label.
        texts: how many different texts the pair leads.
        expected: how many it would lead if each word were among the strongest of as many texts,
            independently of the other.
        purity: the share of the texts that it leads which have the label.
        single: the larger of the two words' own shares, over all texts that contain the word.
        rows: the ordinals of the first texts that it leads.
        evidence: -ln (in nats) of the larger of two bounds on the probability by chance: that of
            leading as many texts, and that of this purity where `single` is the share expected.
        check: what taking it out and putting it in does; None if that was not checked.
    """

    words: tuple[str, str]
    label: str
    texts: int
    expected: float
    purity: float
    single: float
    rows: tuple[int, ...]
    evidence: float
    check: SuspectCheck | None = None

    @property
    def lift(self) -> float:
        """How many times as many texts the pair leads as expected by chance."""
        return self.texts / self.expected


@dataclass(slots=True)
class _PairCount:
    """How many texts of one predicted label a pair leads, and the first of them."""

    texts: int = 0
    rows: tuple[int, ...] = ()


class PairCounts:
    """Counts the pairs of strongest words of the texts by predicted label."""

    def __init__(self, *, max_pairs: int) -> None:
        self._counts: BoundedCounts[tuple[str, str, str], _PairCount] = BoundedCounts(
            _PairCount, most=max_pairs
        )

    def add(self, row: RowStats, strong: Sequence[str]) -> None:
        """Count the pairs of a text's strongest words.

        Args:
            row: the text.
            strong: what `strongest` returns for it.
        """
        for first, second in combinations(sorted(strong), 2):
            count = self._counts[row.record["predicted"], first, second]
            count.texts += 1
            if len(count.rows) < EXAMPLE_ROWS:
                count.rows = (*count.rows, row.record["ordinal"])
        self._counts.drop_rarest()

    def suspects(
        self, words: Mapping[str, WordTotals], *, texts: int, purity: float, error_rate: float
    ) -> tuple[PairSuspect, ...]:
        """Return the pairs that reach all thresholds, the strongest evidence first.

        Args:
            words: the words that may be in a pair: none that is a suspect by itself.
            texts: number of different texts.
            purity: the smallest share of a pair's texts with one label.
            error_rate: bound on the probability that there is any by chance. Dividing it by the
                number of pairs is Bonferroni's correction for testing many.
        """
        least = log(max(self._counts.created, 1) / error_rate)
        found = [
            each
            for each in self._candidates(words, texts)
            if each.purity >= purity and each.evidence >= least
        ]
        return tuple(nlargest(PAIRS_SHOWN, found, key=lambda each: (each.evidence, each.words)))

    def _candidates(self, words: Mapping[str, WordTotals], texts: int) -> Iterator[PairSuspect]:
        pairs: dict[tuple[str, str], dict[str, _PairCount]] = {}
        for (label, first, second), count in self._counts.items():
            if first in words and second in words:
                pairs.setdefault((first, second), {})[label] = count
        for pair, counts in pairs.items():
            label = max(counts, key=lambda each: (counts[each].texts, each))
            totals = [words[word] for word in pair]
            led = sum(count.texts for count in counts.values())
            # A word that was dropped and counted anew may be strong in fewer texts than its pairs.
            expected = prod(max(each.strong, led) for each in totals) / texts
            purity = counts[label].texts / led
            single = max(each.share(label) for each in totals)
            rows = sorted(row for count in counts.values() for row in count.rows)[:EXAMPLE_ROWS]
            evidence = min(count_tail_bound(led, expected), led * bernoulli_kl(purity, single))
            yield PairSuspect(
                pair, label, led, expected, purity, single, tuple(rows), evidence=evidence
            )


def strongest(shares: Shares) -> list[str]:
    """Return the words with the largest shares, whatever their signs, the largest first.

    With signs, a word that speaks for a label leads only texts of that label. Two such words would
    then have one label together more often than alone, although neither needs the other.
    """
    words = nlargest(STRONGEST, shares, key=lambda word: abs(shares[word]))
    return [word for word in words if shares[word]]
