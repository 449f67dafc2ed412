"""Shortcut suspects: words, and pairs of words, that lead far more texts than by chance.

Evidence counts near-duplicate texts once (`near_duplicates`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from math import inf, log
from typing import TypeVar

from saliency_cli.analysis.near_duplicates import SeenTexts
from saliency_cli.analysis.suspect_checks import SuspectCheck
from saliency_cli.analysis.tail_bounds import bernoulli_kl, count_tail_bound
from saliency_cli.analysis.word_counts import BoundedCounts, LeadingWord, WordCount, sum_of_counts
from saliency_cli.analysis.word_pairs import PairCounts, PairSuspect, WordTotals, strongest
from saliency_cli.analysis.word_shares import RowStats

SUSPECTS_SHOWN = 10
"""Suspects that the page lists."""

LIFT = 3.0
"""A suspect leads at least this many times as many texts as expected by chance."""

PURITY = 0.9
"""Of the texts that contain a suspect, or that a pair leads, at least this share has one label."""

ERROR_RATE = 0.01
"""Bound on the probability that a run without shortcuts has any suspect, and any pair."""

SIMILAR_FREQUENCY = 2.0
"""A control word is in at most this many times as many texts as the suspect, or as few."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A word that leads far more texts than expected by chance and occurs with one label.

    Attributes:
        word: the counts of the word over all labels and different texts; `word.label` is the label
            it occurs with.
        expected: how many texts it would lead if each text's leading word were drawn at random
            from the text's different words.
        purity: the share of the texts with the word that have this label.
        base: the share of all texts that have this label.
        evidence: -ln (in nats) of an upper bound on the probability that chance alone gives as
            many led texts, or on that of this purity, whichever bound is larger.
        check: what taking it out and putting it in does; None if that was not checked.
    """

    word: LeadingWord
    expected: float
    purity: float
    base: float
    evidence: float
    check: SuspectCheck | None = None

    @property
    def lift(self) -> float:
        """How many times as many texts the word leads as expected by chance."""
        return self.word.leads / self.expected

    @property
    def words(self) -> tuple[str, ...]:
        """The word's key, as `PairSuspect` has two."""
        return (self.word.word,)

    @property
    def label(self) -> str:
        """The label that the word occurs with."""
        return self.word.label or ""


@dataclass(slots=True)
class _Evidence(WordCount):
    """A word's counts over different texts.

    Attributes:
        expected: see `Suspect`.
        strong: how many texts it is among the strongest words of.
    """

    expected: float = 0.0
    strong: int = 0


_ByLabel = dict[str, _Evidence]
AnySuspect = TypeVar("AnySuspect", Suspect, PairSuspect)


class SuspectCounts:
    """Counts what makes words suspects, over the different texts of a run."""

    def __init__(self, *, max_pairs: int) -> None:
        self._counts: BoundedCounts[tuple[str, str], _Evidence] = BoundedCounts(
            _Evidence, most=max_pairs
        )
        self._texts: Counter[str] = Counter()
        self._pairs = PairCounts(max_pairs=max_pairs)
        self._seen = SeenTexts()

    def add(self, row: RowStats) -> None:
        """Count the words of a text, unless it has no label or is a near-duplicate."""
        label: str | None = row.record["predicted"]
        if label is None or not self._seen.is_new(row.shares):
            return
        self._texts[label] += 1
        chance, strong = 1 / max(len(row.shares), 1), strongest(row.shares)
        for word, share in row.shares.items():
            count = self._counts[label, word]
            count.texts += 1
            count.share += share
            count.expected += chance
        for word in strong:
            self._counts[label, word].strong += 1
        if row.leading_word is not None:
            self._counts[label, row.leading_word].count_led_text(row)
        self._pairs.add(row, strong)
        self._counts.drop_rarest()

    def result(self) -> tuple[tuple[Suspect, ...], tuple[PairSuspect, ...], dict[str, str]]:
        """Return the suspects, the pairs that are suspects together, and the control words."""
        words = self._by_word()
        found = [each for each in (self._suspect(*item) for item in words.items()) if each]
        suspects = nlargest(SUSPECTS_SHOWN, found, key=lambda each: (each.evidence, each.word.word))
        others = {word: counts for word, counts in words.items() if word not in _words_of(found)}
        pairs = self._pairs.suspects(
            {word: _totals(counts) for word, counts in others.items()},
            texts=self._texts.total(),
            purity=PURITY,
            error_rate=ERROR_RATE,
        )
        return tuple(suspects), pairs, _controls(_words_of([*suspects, *pairs]), words)

    def _by_word(self) -> dict[str, _ByLabel]:
        """Return word -> predicted label -> counts."""
        words: dict[str, _ByLabel] = {}
        for (label, word), count in self._counts.items():
            words.setdefault(word, {})[label] = count
        return words

    def _suspect(self, word: str, counts: _ByLabel) -> Suspect | None:
        """Return the word as a suspect, or None if it does not reach all thresholds.

        Dividing ERROR_RATE by the number of words is Bonferroni's correction for testing many.
        """
        label = max(counts, key=lambda each: (counts[each].texts, each))
        total = sum_of_counts(word, label, counts.values())
        expected = sum(count.expected for count in counts.values())
        purity = counts[label].texts / total.texts
        base = self._texts[label] / self._texts.total()
        if total.leads < LIFT * expected or purity < PURITY:
            return None
        evidence = min(
            count_tail_bound(total.leads, expected), total.texts * bernoulli_kl(purity, base)
        )
        if evidence < log(self._counts.created / ERROR_RATE):
            return None
        return Suspect(total, expected, purity, base, evidence)


def _words_of(suspects: Sequence[Suspect | PairSuspect]) -> list[str]:
    """Return the words of some suspects, each once."""
    return [*dict.fromkeys(word for suspect in suspects for word in suspect.words)]


def _totals(counts: _ByLabel) -> WordTotals:
    texts = {label: count.texts for label, count in counts.items()}
    return WordTotals(texts, sum(count.strong for count in counts.values()))


def _controls(suspects: Sequence[str], words: Mapping[str, _ByLabel]) -> dict[str, str]:
    """Return a control for each of the suspects' words that has one, each of them another word.

    Of the words with letters or digits that occur in about as many texts, it is the one that leads
    fewest of what it would lead by chance, and among equals the one nearest in frequency.
    """
    texts = {word: sum(n.texts for n in counts.values()) for word, counts in words.items()}
    rates = {
        word: sum(n.leads for n in counts.values()) / sum(n.expected for n in counts.values())
        for word, counts in words.items()
        if word not in suspects and any(map(str.isalnum, word))
    }
    chosen: dict[str, str] = {}
    for suspect in suspects:
        own = texts[suspect]
        near = [
            (rate, abs(log(texts[word] / own)), word)
            for word, rate in rates.items()
            if word not in chosen.values() and abs(log(texts[word] / own)) <= log(SIMILAR_FREQUENCY)
        ]
        if near:
            chosen[suspect] = min(near)[2]
    return chosen


def in_order_of_checks(
    suspects: Sequence[AnySuspect], found: Mapping[tuple[tuple[str, ...], str], SuspectCheck]
) -> tuple[AnySuspect, ...]:
    """Return suspects with their checks, the largest effect first, those without a check last.

    Args:
        suspects: the suspects, the strongest evidence first.
        found: the words and the label of a suspect -> its check.
    """
    checked = [replace(each, check=found.get((each.words, each.label))) for each in suspects]
    return tuple(sorted(checked, key=lambda each: -each.check.effect if each.check else inf))
