"""Shortcuts that are planted in texts: one or two words that decide the label."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from saliency_cli.model.tokenization import encode
from saliency_cli.records import Row

WORDS_OF_A_TEXT = 4
"""A text keeps its first words, at most a quarter of what the model reads in tokens, so that no
planted word is cut off."""


@dataclass(frozen=True, slots=True)
class Shortcut:
    """What is planted in texts; a word is 0 or 1, the number of one of the two planted words.

    Attributes:
        deciding: Series of words that decide the label, each in its order.
        others: Series that decide nothing, so that the model must tell the two apart.
    """

    deciding: tuple[tuple[int, ...], ...]
    others: tuple[tuple[int, ...], ...]


SHORTCUTS = {
    "token": Shortcut(deciding=((0,),), others=((1,),)),
    "pair": Shortcut(deciding=((0, 1), (1, 0)), others=((0,), (1,))),
    "order": Shortcut(deciding=((0, 1),), others=((1, 0),)),
}
"""One word; two words together, of which each alone decides nothing; the order of two words
(Bastings et al. 2022, section 3)."""


@dataclass(frozen=True, slots=True)
class PlantedText:
    """A text with planted words.

    Attributes:
        row: The text.
        spans: The code points [start, end) of the planted words.
    """

    row: Row
    spans: tuple[tuple[int, int], ...]


def shortened(text: str, max_length: int) -> str:
    """Return the words of a text that it keeps when words are planted in it.

    Args:
        text: The text.
        max_length: Tokens that the model reads.
    """
    return " ".join(text.split()[: max(1, max_length // WORDS_OF_A_TEXT)])


def planted_text(
    row: Row, words: Sequence[str], *, max_length: int, chance: random.Random
) -> PlantedText:
    """Return a text with words at random places between its own, in their order.

    Args:
        row: The text.
        words: The words that are planted; none of them leaves the text as it is.
        max_length: Tokens that the model reads.
        chance: Chooses the places.
    """
    own = shortened(row.text, max_length).split()
    places = sorted(chance.randint(0, len(own)) for _ in words)
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    planted = iter(zip(places, words, strict=True))
    following = next(planted, None)
    for place in range(len(own) + 1):
        while following is not None and following[0] == place:
            start = sum(map(len, parts)) + len(parts)
            spans.append((start, start + len(following[1])))
            parts.append(following[1])
            following = next(planted, None)
        parts += own[place : place + 1]
    text = " ".join(parts)
    return PlantedText(Row(row.ordinal, row.line, row.id, text), tuple(spans))


def unused_words(tokenizer: Any, texts: Sequence[str], *, seed: int) -> list[str]:  # noqa: ANN401
    """Return two words of one token each that none of the texts has; fewer if there are not two.

    Args:
        tokenizer: A fast tokenizer of transformers.
        texts: The texts.
        seed: The key of the choice.
    """
    used = set(" ".join(texts).lower().split())
    candidates = [word for word in sorted(_plain_words(tokenizer)) if word not in used]
    random.Random(seed).shuffle(candidates)  # noqa: S311 - no secret
    found: list[str] = []
    for word in candidates:
        (encoding,) = encode(tokenizer, [f"a {word} b"], max_length=32)
        at = [offset for offset in encoding.offsets if offset[0] < 2 + len(word) and offset[1] > 2]
        if at == [(2, 2 + len(word))]:
            found.append(word)
        if len(found) == 2:
            break
    return found


def _plain_words(tokenizer: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield the words of small ASCII letters in the vocabulary, without marks of their place."""
    for token in tokenizer.get_vocab():
        word = token.lstrip("▁Ġ")
        if word.isascii() and word.isalpha() and word.islower() and 2 <= len(word) <= 12:
            yield word
