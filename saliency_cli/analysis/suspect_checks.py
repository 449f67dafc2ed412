"""What the check of a shortcut suspect found: how often the label followed the word.

A suspect is a word, or two words that lead together. It is taken out of texts of its label, and put
into texts of other labels; so is a control, which leads nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from saliency_cli.figures.chance import fisher_exact
from saliency_cli.safe_text import excerpt

CONFIRMED_BELOW = 0.001
"""A suspect is confirmed if Fisher's exact test gives less: with at most 15 suspects, chance alone
confirms one in fewer than 2 of 100 runs that have suspects."""

_SHOWN_CHARACTERS = 60


class Flips(NamedTuple):
    """How many of some changed texts changed their label.

    Attributes:
        texts: Number of texts.
        flipped: How many of them lost the suspect's label, or got it.
    """

    texts: int
    flipped: int

    @property
    def share(self) -> float:
        """Share of the texts that flipped; 0 without texts."""
        return self.flipped / max(self.texts, 1)

    def exceeds(self, other: "Flips") -> bool:
        """Whether more texts flipped than in another group, beyond chance."""
        chance = fisher_exact(
            self.flipped, self.texts, other_hits=other.flipped, other_draws=other.texts
        )
        return chance < CONFIRMED_BELOW


@dataclass(frozen=True, slots=True)
class SuspectCheck:
    """What the model does without a suspect, and with it elsewhere.

    Attributes:
        words: The keys of its words, one or two.
        label: The label that it leads texts of.
        removed: Texts of the label without the words; flipped are those that lost the label.
        inserted: Texts of other labels with the words; flipped are those that got the label.
        control: The same texts with the control words instead.
        control_words: The keys of the control words; none if no other word was to be found.
        alone: Of a pair, the same texts with each of the words alone.
    """

    words: tuple[str, ...]
    label: str
    removed: Flips
    inserted: Flips
    control: Flips
    control_words: tuple[str, ...] = ()
    alone: tuple[Flips, ...] = ()

    @property
    def effect(self) -> float:
        """Share that lost the label, plus the share that got it beyond control and single words."""
        return self.removed.share + self.inserted.share - max(each.share for each in self.compared)

    @property
    def compared(self) -> tuple[Flips, ...]:
        """What `inserted` is compared with: the control, and each word of a pair alone."""
        return (self.control, *self.alone)

    @property
    def is_confirmed(self) -> bool:
        """Whether the words turned more texts to the label than anything they are compared with."""
        return all(map(self.inserted.exceeds, self.compared))

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `suspects.json`."""
        control = {**self.control._asdict(), "word": joined(self.control_words) or None}
        return {
            "alone": [each._asdict() for each in self.alone],
            "confirmed": self.is_confirmed,
            "control": {**control, "words": [*self.control_words]},
            "inserted": self.inserted._asdict(),
            "label": self.label,
            "removed": self.removed._asdict(),
            "word": joined(self.words),
            "words": [*self.words],
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Return the check that an entry of `suspects.json`, which has been checked, holds."""
        flips = {name: _flips(entry[name]) for name in ("removed", "inserted", "control")}
        return cls(
            words=tuple(entry["words"]),
            label=entry["label"],
            control_words=tuple(entry["control"]["words"]),
            alone=tuple(map(_flips, entry["alone"])),
            **flips,
        )


def _flips(entry: Mapping[str, Any]) -> Flips:
    return Flips(entry["texts"], entry["flipped"])


def joined(words: Sequence[str]) -> str:
    """Return the words of a suspect as one text: "a + b" of a pair."""
    return " + ".join(words)


def check_phrase(check: SuspectCheck) -> str:
    """Return what a check found as one line of plain text, words and label cut to 60 characters.

    "without it the label changes in 31 of 40 texts; put into 50 other texts it turned 44 to spam
    (control word the: 2)".
    """
    removed, inserted, label = check.removed, check.inserted, _shown(check.label)
    it, they = ("them", "they") if check.alone else ("it", "it")
    found = f"without {it} the label changes in {removed.flipped} of {removed.texts} texts"
    if not inserted.texts:
        return f"{found}; there was no text of another label to put {it} into"
    put = f"put into {inserted.texts} other texts {they} turned {inserted.flipped} to {label}"
    compared = [
        f"{_shown(word)} alone: {each.flipped}"
        for word, each in zip(check.words, check.alone, strict=False)
    ]
    if check.control_words:
        name = "control words" if len(check.control_words) > 1 else "control word"
        words = _shown(joined(check.control_words))
        compared.append(f"{name} {words}: {check.control.flipped}")
    shown = f" ({'; '.join(compared)})" if compared else ""
    return f"{found}; {put}{shown}{'' if check.is_confirmed else '; not confirmed'}"


def short_check_phrase(check: SuspectCheck) -> str:
    """Return what a check found as a cell of a table, which names word and label beside it.

    "confirmed: 31 of 40 lose the label without it, 44 of 50 get it with it".
    """
    removed, inserted = check.removed, check.inserted
    it = "them" if check.alone else "it"
    return (
        f"{'confirmed' if check.is_confirmed else 'not confirmed'}: {removed.flipped} of "
        f"{removed.texts} lose the label without {it}, {inserted.flipped} of {inserted.texts} get "
        f"it with {it}"
    )


def suspect_lines(checks: Sequence[SuspectCheck]) -> list[str]:
    """Return a line of plain text for each suspect: its words, its label and what was found."""
    return [
        f"{_shown(joined(check.words))} ({_shown(check.label)}): {check_phrase(check)}"
        for check in checks
    ]


def _shown(text: str) -> str:
    return excerpt(text, limit=_SHOWN_CHARACTERS)
