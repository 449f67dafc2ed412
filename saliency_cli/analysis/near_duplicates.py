"""Near-duplicate texts, which evidence counts once.

Two texts are near-duplicates if they have the same words, whatever their order, number, spelling
(`word_key`) and punctuation; all words without a letter, such as numbers, are the same word.
"""

from array import array
from collections.abc import Iterable
from hashlib import blake2b

SLOTS = 1 << 16
"""Texts that are remembered, 8 bytes each; a newer text takes the slot of an older one."""


class SeenTexts:
    """Remembers the words of the last texts, in memory that does not grow.

    A text that was overwritten by a newer one counts as new again; no two different sets of words
    are taken for the same (but for two equal hashes of 64 bits).
    """

    def __init__(self) -> None:
        self._hashes = array("Q", bytes(8 * SLOTS))

    def is_new(self, words: Iterable[str]) -> bool:
        """Whether no text with the same words is remembered; remembers this one.

        Args:
            words: The keys of the text's words.
        """
        names = sorted({_name(word) for word in words} - {""})
        digest = blake2b("\n".join(names).encode(errors="surrogatepass"), digest_size=8).digest()
        own = int.from_bytes(digest) or 1  # 0 is an empty slot
        slot = own % SLOTS
        is_new = self._hashes[slot] != own
        self._hashes[slot] = own
        return is_new


def _name(word: str) -> str:
    """Return what stands for a word: nothing for punctuation, 0 for a number."""
    if any(map(str.isalpha, word)):
        return word
    return "0" if any(map(str.isalnum, word)) else ""
