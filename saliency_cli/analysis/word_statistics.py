"""Which words lead for each label, and which of them look like shortcuts.

A word's share of a text is the sum of its occurrences' scores; the word with the largest share
leads the text. With signed scores, a word with a negative share leads no text.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import chain
from math import log

from saliency_cli.analysis.finding import EXAMPLE_ROWS
from saliency_cli.analysis.word_shares import RowStats

MAX_PAIRS = 50_000
"""Pairs of label and word that are kept: at twice as many, the rarer half is dropped."""

SUSPECTS_SHOWN = 10
"""Suspects that the page lists."""

LABELS_SHOWN = 8
"""Labels that the page lists leading words for, the most frequent first."""

WORDS_SHOWN = 8
"""Leading words that the page lists for each label."""

LIFT = 3.0
"""A suspect leads at least this many times as many texts as expected by chance."""

PURITY = 0.9
"""Of the texts that contain a suspect, at least this share has the same predicted label."""

ERROR_RATE = 0.01
"""Bound on the probability that a run without shortcuts has any suspect."""


@dataclass(frozen=True, slots=True)
class LeadingWord:
    """A word in the texts with one predicted label, or with any (of a suspect).

    Attributes:
        word: the word's key.
        label: the predicted label; None for a regression.
        texts: how many texts contain the word.
        share: its mean share in those texts.
        leads: how many texts it leads.
        with_gold: how many of the texts that it leads have a known gold label.
        wrong: how many of the texts that it leads have a wrong prediction.
        rows: the ordinals of the first texts that it leads.
    """

    word: str
    label: str | None
    texts: int
    share: float
    leads: int
    with_gold: int
    wrong: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LabelWords:
    """The words that lead most texts with one predicted label, in descending order."""

    label: str | None
    texts: int
    words: tuple[LeadingWord, ...]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A word that leads far more texts than expected by chance and occurs with one label.

    Attributes:
        word: the counts of the word over all labels; `word.label` is the label it occurs with.
        expected: how many texts it would lead if each text's leading word were drawn at random
            from the text's different words.
        purity: the share of the texts with the word that have this label.
        base: the share of all texts that have this label.
        evidence: -ln (in nats) of an upper bound on the probability that chance alone gives as
            many led texts, or on that of this purity, whichever bound is larger.
    """

    word: LeadingWord
    expected: float
    purity: float
    base: float
    evidence: float

    @property
    def lift(self) -> float:
        """How many times as many texts the word leads as expected by chance."""
        return self.word.leads / self.expected


@dataclass(frozen=True, slots=True)
class WordFindings:
    """The suspects, strongest evidence first, and the leading words of each label.

    `hidden_labels` is how many labels occur but are not in `labels`.
    """

    suspects: tuple[Suspect, ...]
    labels: tuple[LabelWords, ...]
    hidden_labels: int

    @property
    def priority_rows(self) -> Iterator[int]:
        """Texts that the suspects lead."""
        return chain.from_iterable(suspect.word.rows for suspect in self.suspects)

    @property
    def example_rows(self) -> Iterator[int]:
        """Texts that the leading words of each label lead."""
        return (row for label in self.labels for word in label.words for row in word.rows)


@dataclass(slots=True)
class _WordCount:
    """What is counted of one word under one predicted label; see `LeadingWord` for the fields.

    `share` is a sum here.
    """

    texts: int = 0
    share: float = 0.0
    expected: float = 0.0
    leads: int = 0
    with_gold: int = 0
    wrong: int = 0
    rows: tuple[int, ...] = ()

    def count_led_text(self, row: RowStats) -> None:
        self.leads += 1
        self.with_gold += row.correct is not None
        self.wrong += row.correct is False
        if len(self.rows) < EXAMPLE_ROWS:
            self.rows = (*self.rows, row.record["ordinal"])


@dataclass(slots=True)
class WordCounts:
    """Counts the words of all texts by predicted label.

    Attributes:
        max_pairs: half the number of (label, word) pairs that may be held at a time.
        counts: (predicted label, word) -> its counts.
        texts: predicted label -> number of texts.
        pairs_created: number of pairs that were ever created, dropped ones included.
    """

    max_pairs: int = MAX_PAIRS
    counts: dict[tuple[str | None, str], _WordCount] = field(default_factory=dict)
    texts: dict[str | None, int] = field(default_factory=dict)
    pairs_created: int = 0

    def add(self, row: RowStats) -> None:
        """Count the words of a text under its predicted label."""
        label, chance = row.record["predicted"], 1 / max(len(row.shares), 1)
        self.texts[label] = self.texts.get(label, 0) + 1
        for word, share in row.shares.items():
            count = self.counts.get((label, word)) or self._new_count(label, word)
            count.texts += 1
            count.share += share
            count.expected += chance
        if row.leading_word is not None:
            self.counts[label, row.leading_word].count_led_text(row)
        if len(self.counts) > 2 * self.max_pairs:
            self._drop_rarest()

    def _new_count(self, label: str | None, word: str) -> _WordCount:
        self.pairs_created += 1
        return self.counts.setdefault((label, word), _WordCount())

    def _drop_rarest(self) -> None:
        """Keep the words of most texts; a dropped word that occurs again is counted from 0."""
        kept = nlargest(self.max_pairs, self.counts.items(), key=lambda item: item[1].texts)
        self.counts = dict(kept)

    def result(self) -> WordFindings:
        """Return the suspects and the leading words of the texts that were added."""
        labels = self._leading_words_by_label()
        return WordFindings(
            self._suspects(), labels[:LABELS_SHOWN], hidden_labels=len(labels[LABELS_SHOWN:])
        )

    def _leading_words_by_label(self) -> tuple[LabelWords, ...]:
        """Return the leading words of each label, the most frequent label first."""
        labels = sorted(self.texts, key=lambda label: (-self.texts[label], label or ""))
        words: dict[str | None, list[LeadingWord]] = {label: [] for label in labels}
        for (label, word), count in self.counts.items():
            if count.leads:
                words[label].append(_leading_word(word, label, [count]))
        top = {label: nlargest(WORDS_SHOWN, each, key=_rank) for label, each in words.items()}
        return tuple(LabelWords(label, self.texts[label], tuple(top[label])) for label in labels)

    def _suspects(self) -> tuple[Suspect, ...]:
        candidates = (self._suspect(word, counts) for word, counts in self._by_word().items())
        suspects = [suspect for suspect in candidates if suspect is not None]
        return tuple(
            nlargest(SUSPECTS_SHOWN, suspects, key=lambda each: (each.evidence, each.word.word))
        )

    def _by_word(self) -> dict[str, dict[str, _WordCount]]:
        """Return word -> predicted label -> counts; a regression has no labels, and no suspects."""
        words: dict[str, dict[str, _WordCount]] = {}
        for (label, word), count in self.counts.items():
            if label is not None:
                words.setdefault(word, {})[label] = count
        return words

    def _suspect(self, word: str, counts: dict[str, _WordCount]) -> Suspect | None:
        """Return the word as a suspect, or None if it does not reach all thresholds.

        Dividing ERROR_RATE by the number of pairs is Bonferroni's correction for testing many.
        """
        label = max(counts, key=lambda each: (counts[each].texts, each))
        total = _leading_word(word, label, counts.values())
        expected = sum(count.expected for count in counts.values())
        purity = counts[label].texts / total.texts
        base = self.texts[label] / sum(self.texts.values())
        if total.leads < LIFT * expected or purity < PURITY:
            return None
        evidence = min(
            count_tail_bound(total.leads, expected), total.texts * bernoulli_kl(purity, base)
        )
        if evidence < log(self.pairs_created / ERROR_RATE):
            return None
        return Suspect(total, expected, purity, base, evidence)


def _leading_word(word: str, label: str | None, counts: Iterable[_WordCount]) -> LeadingWord:
    """Return the sum of a word's counts."""
    parts = list(counts)
    texts = sum(part.texts for part in parts)
    return LeadingWord(
        word,
        label,
        texts=texts,
        share=sum(part.share for part in parts) / texts,
        leads=sum(part.leads for part in parts),
        with_gold=sum(part.with_gold for part in parts),
        wrong=sum(part.wrong for part in parts),
        rows=tuple(sorted(row for part in parts for row in part.rows)[:EXAMPLE_ROWS]),
    )


def _rank(word: LeadingWord) -> tuple[int, float, str]:
    return word.leads, word.share, word.word


def count_tail_bound(count: int, expected: float) -> float:
    """Return a bound b, in nats, such that P(X >= count) <= exp(-b).

    X is the number of independent events that happen, whatever their probabilities. Here an event
    is that the word is drawn at random as a text's leading word. This is Chernoff's bound
    (Mitzenmacher and Upfal 2017, theorem 4.4).

    Args:
        count: the number of events that happened.
        expected: the mean of X.
    """
    return count * log(count / expected) - count + expected if count > expected else 0.0


def bernoulli_kl(share: float, base: float) -> float:
    """Return KL(share ‖ base) of two Bernoulli distributions, in nats; 0 if share <= base.

    By Chernoff's bound, n draws with probability `base` reach the share `share` with a probability
    of at most exp(-n · KL).

    Args:
        share: the observed share, 0 to 1.
        base: the probability of each draw, 0 to 1.
    """
    if share <= base:
        return 0.0
    rest = (1 - share) * log((1 - share) / (1 - base)) if share < 1 else 0.0
    return share * log(share / base) + rest
