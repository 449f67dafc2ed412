"""Units: what is taken out of a text as one, a token or a word with all its tokens."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from saliency_cli.model.passes import NO_UNIT
from saliency_cli.records import Encoding, Row
from saliency_cli.settings import UnitsName
from saliency_cli.word_boundaries import continues_word


def unit_numbers(rows: Sequence[Row], encodings: Sequence[Encoding], *, units: UnitsName) -> Tensor:
    """Return the number of each token's unit, from 0 on in reading order, [B, L].

    It is `NO_UNIT` for special tokens and padding.

    Args:
        rows: The row of each text.
        encodings: The tokens of each text, all of it or one window.
        units: What is taken out as one.
    """
    columns = [
        [*_numbers(row, encoding, by_word=units == "words")]
        for row, encoding in zip(rows, encodings, strict=True)
    ]
    longest = max(map(len, columns))
    return torch.tensor([[*each, *[NO_UNIT] * (longest - len(each))] for each in columns])


def _numbers(row: Row, encoding: Encoding, *, by_word: bool) -> Iterator[int]:
    """Yield the number of each token's unit."""
    texts = (row.text, row.pair or "")
    number, current, last = NO_UNIT, -1, 0
    for (start, end), special, segment in zip(
        encoding.offsets, encoding.special, encoding.segments, strict=True
    ):
        if special:
            yield NO_UNIT
            continue
        same = by_word and segment == current
        if not (same and continues_word(texts[segment], start, end, last=last)):
            number, current, last = number + 1, segment, 0
        last = max(last, end)
        yield number


def word_positions(row: Row, encoding: Encoding) -> list[list[int]]:
    """Return the positions of the tokens of each word of a text and its pair, in reading order.

    Args:
        row: The row.
        encoding: Its tokens.
    """
    words: dict[int, list[int]] = {}
    for position, number in enumerate(_numbers(row, encoding, by_word=True)):
        if number != NO_UNIT:
            words.setdefault(number, []).append(position)
    return [*words.values()]


def span_of(encoding: Encoding, positions: Sequence[int]) -> tuple[int, int, int]:
    """Return the segment of the tokens of a word, and the code points [start, end) they cover.

    Args:
        encoding: The tokens of a text.
        positions: Those of the word.
    """
    offsets = [encoding.offsets[position] for position in positions]
    start, end = min(start for start, _ in offsets), max(end for _, end in offsets)
    return encoding.segments[positions[0]], start, end


def unit_counts(units: Tensor) -> Tensor:
    """Return the number of units of each text, [B], on the CPU.

    Args:
        units: What `unit_numbers` returned, [B, L].
    """
    return units.amax(dim=1).cpu() + 1


def tokens_per_unit(units: Tensor) -> Tensor:
    """Return how many tokens the unit of each token has, [B, L]; 1 where there is no unit.

    Args:
        units: What `unit_numbers` returned, [B, L].
    """
    places = (units + 1).long()
    sizes = torch.zeros(len(units), units.shape[1] + 1, dtype=torch.float64, device=units.device)
    ones = torch.ones_like(places, dtype=torch.float64)
    sizes = sizes.scatter_add_(1, places, ones)
    sizes[:, 0] = 1
    return sizes.gather(1, places)
