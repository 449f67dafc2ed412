"""Parts of a record as short one-line texts, for the exports that a CI server shows."""

from collections.abc import Sequence

from saliency_cli.analysis.word_checks import CheckView, check_views
from saliency_cli.analysis.words import Piece, strongest_words
from saliency_cli.percentages import percent_number
from saliency_cli.records import Record
from saliency_cli.safe_text import excerpt

MAX_CHARACTERS = 60
"""Maximum length of a label, an id or a word; longer ones are shortened."""


def row_name(record: Record) -> str:
    """Return the row's ordinal and, if it has one, its id: "row 3 (id-3)"."""
    name = f"row {record['ordinal']}"
    return name if record["id"] is None else f"{name} ({_shortened(record['id'])})"


def prediction(record: Record) -> str:
    """Return the predicted label with its probability, and the gold label if the row has one.

    For a regression model it is the predicted value.
    """
    if record["predicted"] is None:
        return f"predicted {record.get('value', 'a number')}"
    share = percent_number(record["probability"])
    predicted = f"predicted {_shortened(record['predicted'])} ({share}%)"
    return (
        predicted if record["gold"] is None else f"{predicted}, gold {_shortened(record['gold'])}"
    )


def influential_words(record: Record, *, signed: bool, most: int = 3) -> str:
    """Return the words with the largest shares of the explanation, with their shares.

    Occurrences of a word are added up, as on the page.

    With signs it says for which label they speak: "I 22% for ham; 0709 32% against it". A share
    within its standard error is undecided. What leaving out the strongest words does follows.

    Args:
        record: The record of an explained row.
        signed: Whether the sign of a score says for or against the target.
        most: The maximum number of words.
    """
    return "; ".join(filter(None, (_words(record, signed=signed, most=most), _checks(record))))


def _words(record: Record, *, signed: bool, most: int) -> str:
    """Return the words with the largest shares, with the label that they speak for."""
    words = strongest_words(record, limit=most)
    if not signed:
        return _listed(words)
    undecided = [word for word in words if abs(word.score) <= (word.error or 0)]
    sides = (
        (f"for {_shortened(record['target'])}", [w for w in words if w.score > (w.error or 0)]),
        ("against it", [word for word in words if word.score < -(word.error or 0)]),
        ("undecided", undecided),
    )
    return "; ".join(f"{_listed(found)} {name}" for name, found in sides if found)


def _checks(record: Record) -> str:
    """Return what leaving out the strongest words does, or nothing without checks.

    "without 0709: ham 99.9%, up 13 points: it spoke against".
    """
    return "; ".join(
        f"without {_shortened(check.word)}: {_output(check)}, {check.effect}"
        for check in check_views(record)
    )


def _output(check: CheckView) -> str:
    if check.label is None:
        return f"{check.output:g}"
    return f"{_shortened(check.label)} {percent_number(check.output)}%"


def _listed(words: Sequence[Piece]) -> str:
    return ", ".join(
        f"{_shortened(word.text)} {percent_number(abs(word.score))}%" for word in words
    )


def _shortened(text: str) -> str:
    return excerpt(text, limit=MAX_CHARACTERS)
