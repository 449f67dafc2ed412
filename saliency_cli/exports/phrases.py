"""What the formats for a CI's pages say of a row, in a few words that fit one line."""

from saliency_cli.analysis.words import strongest_words
from saliency_cli.records import Record
from saliency_cli.safe_text import excerpt

LONGEST = 60
"""Characters of a label, an id or a word."""


def named(record: Record) -> str:
    """Return the row's number and, where it has one, its id."""
    name = f"row {record['ordinal']}"
    return name if record["id"] is None else f"{name} ({excerpt(record['id'], limit=LONGEST)})"


def prediction(record: Record) -> str:
    """Return what was predicted, and what was right; the number of a regression."""
    if record["predicted"] is None:
        return f"predicted {record.get('value', 'a number')}"
    found = f"predicted {_short(record['predicted'])} ({record['probability']:.3f})"
    return found if record["gold"] is None else f"{found}, gold {_short(record['gold'])}"


def leaders(record: Record, *, most: int = 3) -> str:
    """Return the words with the largest shares."""
    words = strongest_words(record, limit=most)
    return ", ".join(f"{_short(word.text)} {word.score:.1%}" for word in words)


def _short(text: str) -> str:
    return excerpt(text, limit=LONGEST)
