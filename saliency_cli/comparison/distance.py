"""How far the saliency of a text moved between two runs, and how far errors alone move it.

The saliency of a text is compared by words, so that the tokenizers may differ: a_w and b_w are the
shares of a word w, its occurrences added up, and the distance is the total variation
½ Σ_w |a_w − b_w|, from 0 to 1. Shares of special tokens are not in it.

Errors alone give a distance, too: if a_w − b_w is normal with mean 0 and the deviation
σ_w = √(e_w² + f_w²), where e_w and f_w are the standard errors of the two shares, the distance has
the mean ½ Σ σ_w √(2/π) and the variance ¼ Σ σ_w² (1 − 2/π). The errors of a word's tokens are added
up, which is an upper bound.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import hypot, pi, sqrt
from typing import NamedTuple

from saliency_cli.analysis.words import word_tokens
from saliency_cli.records import Record

BEYOND = 4
"""Standard deviations beyond the mean that errors alone give, from which on a row moved. Over the
sample with two seeds, 2 of 240 rows are beyond 4, since the errors are themselves estimates."""
VISIBLE = 0.01
"""A smaller distance does not count as a move: a smaller share has no shade on the page."""


class WordMove(NamedTuple):
    """The share of a word in two runs.

    A NamedTuple, since every word of every row has one, and a dataclass takes three times as long
    to create.

    Attributes:
        word: its key.
        before: its share in the first run; 0 if it is no word there.
        after: its share in the second run.
        error: the standard error of the difference; 0 for methods without errors.
    """

    word: str
    before: float
    after: float
    error: float

    @property
    def change(self) -> float:
        """The second share less the first one."""
        return self.after - self.before

    @property
    def is_visible(self) -> bool:
        """Whether the word moved beyond its error, by a share that has a shade."""
        return abs(self.change) > max(VISIBLE, BEYOND * self.error)


@dataclass(frozen=True, slots=True)
class Distance:
    """How far the saliency of a text moved.

    Attributes:
        value: the total variation over words.
        expected: the mean that errors alone give.
        deviation: the standard deviation that errors alone give.
        words: all words of either text.
    """

    value: float
    expected: float
    deviation: float
    words: tuple[WordMove, ...]

    @property
    def moved(self) -> bool:
        """Whether the saliency moved beyond what errors alone give, and visibly."""
        return self.value > max(VISIBLE, self.expected + BEYOND * self.deviation)


def distance_between(before: Record, after: Record, *, signed: bool = True) -> Distance:
    """Return how far the saliency of a text moved.

    Args:
        before: The record of the first run, with the scores for some target.
        after: The record of the second run, for the same target.
        signed: Whether shares are compared with their signs; sizes alone can be compared between
            different targets.
    """
    moves = tuple(_moves(before, after, signed=signed))
    errors = [move.error for move in moves]
    return Distance(
        sum(abs(move.change) for move in moves) / 2,
        sum(errors) * sqrt(2 / pi) / 2,
        sqrt(sum(error * error for error in errors) * (1 - 2 / pi)) / 2,
        moves,
    )


def _moves(before: Record, after: Record, *, signed: bool) -> list[WordMove]:
    groups = word_tokens(before)
    old = _shares(before, groups, signed=signed)
    if before["offsets"] != after["offsets"] or before["special"] != after["special"]:
        groups = word_tokens(after)
    new = _shares(after, groups, signed=signed)
    nothing = (0.0, 0.0)
    moves = []
    for word in {**old, **new}:
        (share, error), (new_share, new_error) = old.get(word, nothing), new.get(word, nothing)
        moves.append(WordMove(word, share, new_share, hypot(error, new_error)))
    return moves


def _shares(
    record: Record, groups: Iterable[tuple[str, list[int]]], *, signed: bool
) -> dict[str, tuple[float, float]]:
    """Return the sums of the scores and of the errors of each word.

    Args:
        record: the record.
        groups: the key of each word, and the indices of its tokens.
        signed: whether the sums keep their signs.
    """
    scores, errors = record["scores"], record["errors"]
    shares: dict[str, tuple[float, float]] = {}
    for word, tokens in groups:
        share, error = shares.get(word, (0.0, 0.0))
        share += sum([scores[token] for token in tokens])
        error += sum([errors[token] for token in tokens]) if errors else 0.0
        shares[word] = share, error
    return shares if signed else {word: (abs(s), e) for word, (s, e) in shares.items()}


def common_target(before: Record, after: Record) -> tuple[Record, Record] | None:
    """Return both records with the scores for one target; None if they have none in common.

    It is the target of the first run if the second one explains it too, else that of the second.

    Args:
        before: The record of the first run.
        after: The record of the second run.
    """
    old, new = _by_target(before), _by_target(after)
    for target in (before["target"], after["target"]):
        if target in old and target in new:
            return old[target], new[target]
    return None


def _by_target(record: Record) -> dict[str, Record]:
    others = {each["target"]: {**record, **each} for each in record.get("others", ())}
    return {**others, record["target"]: record}
