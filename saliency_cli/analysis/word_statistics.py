"""Which words lead, label by label, and which of them look like shortcuts.

A word's share of a text is what its occurrences there add up to; the word with the largest share
leads the text. Signed scores that speak against the target lead nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nlargest
from math import log

from saliency_cli.analysis.word_shares import RowStats

MOST_WORDS = 50_000
"""Pairs of label and word that are counted to the end; with twice as many, the rarest go."""

ROWS_KEPT = 5
"""Rows that are named for a word."""

LIFT = 3.0
"""A suspect leads at least that many times as often as one of its texts' words would by chance."""

PURITY = 0.9
"""Of the texts that hold a suspect, at least this share has the same predicted label."""

ERROR_RATE = 0.01
"""Bound on the chance that any word is a suspect by accident, over all words together."""


@dataclass(frozen=True, slots=True)
class LeadingWord:
    """A word among the texts that got one label (None: there are no labels)."""

    word: str
    label: str | None
    texts: int
    share: float
    leads: int
    judged: int
    wrong: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LabelWords:
    """The words that dominate where one label is predicted, the most leading one first."""

    label: str | None
    texts: int
    words: tuple[LeadingWord, ...]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A word that leads far more often than chance would have it and is tied to one label.

    `leads` of `texts` texts, where `expected` would be chance; `purity` is the share of the texts
    predicted as `label`, whose share of all texts is `base`. `evidence` is the smaller of two
    bounds, in nats: how unlikely chance makes the leading, and the tie.
    """

    lead: LeadingWord
    expected: float
    purity: float
    base: float
    evidence: float

    @property
    def lift(self) -> float:
        """How many times as often as by chance the word leads."""
        return self.lead.leads / self.expected


@dataclass(slots=True)
class _Count:
    """What was seen of one word under one label."""

    texts: int = 0
    share: float = 0.0
    expected: float = 0.0
    leads: int = 0
    judged: int = 0
    wrong: int = 0
    rows: tuple[int, ...] = ()

    def lead(self, ordinal: int, *, right: bool | None) -> None:
        """Count a text that the word leads."""
        self.leads += 1
        self.judged += right is not None
        self.wrong += right is False
        if len(self.rows) < ROWS_KEPT:
            self.rows = (*self.rows, ordinal)


@dataclass(slots=True)
class WordCounts:
    """Counts of the words of all texts, in bounded memory."""

    most: int = MOST_WORDS
    counts: dict[tuple[str | None, str], _Count] = field(default_factory=dict)
    texts: dict[str | None, int] = field(default_factory=dict)
    made: int = 0

    def add(self, seen: RowStats) -> None:
        """Count the words of a text under its predicted label."""
        label, chance = seen.record["predicted"], 1 / max(len(seen.shares), 1)
        self.texts[label] = self.texts.get(label, 0) + 1
        for word, share in seen.shares.items():
            count = self.counts.get((label, word)) or self._begin(label, word)
            count.texts += 1
            count.share += share
            count.expected += chance
        if seen.leading is not None:
            self.counts[label, seen.leading].lead(seen.record["ordinal"], right=seen.right)
        if len(self.counts) > 2 * self.most:
            self._forget()

    def _begin(self, label: str | None, word: str) -> _Count:
        self.made += 1
        return self.counts.setdefault((label, word), _Count())

    def _forget(self) -> None:
        """Keep the words seen most; one that comes back is counted from then on."""
        kept = nlargest(self.most, self.counts.items(), key=lambda item: item[1].texts)
        self.counts = dict(kept)

    def by_label(self, *, most: int) -> tuple[LabelWords, ...]:
        """Return the words that dominate each label, the most frequent label first."""
        labels = sorted(self.texts, key=lambda label: (-self.texts[label], label or ""))
        leads: dict[str | None, list[LeadingWord]] = {label: [] for label in labels}
        for (label, word), count in self.counts.items():
            if count.leads:
                leads[label].append(_leading(word, label, [count]))
        ranked = {label: nlargest(most, found, key=_rank) for label, found in leads.items()}
        return tuple(LabelWords(key, self.texts[key], tuple(ranked[key])) for key in labels)

    def suspects(self, *, most: int) -> tuple[Suspect, ...]:
        """Return the words that look like shortcuts, the surest first."""
        found = (self._suspect(word, counts) for word, counts in self._by_word().items())
        kept = [suspect for suspect in found if suspect is not None]
        return tuple(nlargest(most, kept, key=lambda each: (each.evidence, each.lead.word)))

    def _by_word(self) -> dict[str, dict[str, _Count]]:
        words: dict[str, dict[str, _Count]] = {}
        for (label, word), count in self.counts.items():
            if label is not None:
                words.setdefault(word, {})[label] = count
        return words

    def _suspect(self, word: str, counts: dict[str, _Count]) -> Suspect | None:
        label = max(counts, key=lambda each: (counts[each].texts, each))
        lead = _leading(word, label, counts.values())
        expected = sum(count.expected for count in counts.values())
        purity = counts[label].texts / lead.texts
        base = self.texts[label] / sum(self.texts.values())
        if lead.leads < LIFT * expected or purity < PURITY:
            return None
        evidence = min(surprise(lead.leads, expected), lead.texts * divergence(purity, base))
        if evidence < log(self.made / ERROR_RATE):
            return None
        return Suspect(lead, expected, purity, base, evidence)


def _leading(word: str, label: str | None, counts: Iterable[_Count]) -> LeadingWord:
    parts = list(counts)
    texts = sum(part.texts for part in parts)
    return LeadingWord(
        word,
        label,
        texts=texts,
        share=sum(part.share for part in parts) / texts,
        leads=sum(part.leads for part in parts),
        judged=sum(part.judged for part in parts),
        wrong=sum(part.wrong for part in parts),
        rows=tuple(sorted(row for part in parts for row in part.rows)[:ROWS_KEPT]),
    )


def _rank(word: LeadingWord) -> tuple[int, float, str]:
    return word.leads, word.share, word.word


def surprise(seen: int, expected: float) -> float:
    """Bound how unlikely it is to see so many, in nats: P ≤ exp(−surprise).

    Chernoff's bound for a sum of independent yes-or-no events of any probabilities, whose mean is
    `expected`: here, that each text is led by one of its words at random.
    """
    return seen * log(seen / expected) - seen + expected if seen > expected else 0.0


def divergence(share: float, base: float) -> float:
    """Return KL(share ‖ base) of two coins, in nats, where share is the larger; else 0.

    Chernoff's bound again: n tosses of the coin `base` come out at `share` or more with
    P ≤ exp(−n · divergence).
    """
    if share <= base:
        return 0.0
    rest = (1 - share) * log((1 - share) / (1 - base)) if share < 1 else 0.0
    return share * log(share / base) + rest
