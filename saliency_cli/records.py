"""The dataclasses that travel between packages: a row of the input, and its tokens.

`explanations` has what follows from them. L tokens in a text.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

SCHEMA = 2
"""Version of records and manifest. 2 adds `evaluations`; of a method that draws nothing at random
`errors`, `flip_rate` and `samples` are null."""

Record: TypeAlias = dict[str, Any]
"""One line of `records/`, as JSON reads it."""
_INDEX = re.compile(r"(?:LABEL_)?(?P<number>[0-9]{1,9})(?:\.0+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RowPosition:
    """Where a row of the input begins.

    Attributes:
        ordinal: The row's number, from 0.
        offset: Its first byte, counted in unpacked bytes.
        line: Its first line, from 1.
    """

    ordinal: int
    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class Row:
    """One input row that can be explained.

    Attributes:
        ordinal: Its number in the input, from 0.
        line: Its first line in the file, from 1.
        id: Its id as a string, or None.
        text: The text as it was given.
        gold: The gold label as it was given, or None.
        size: Bytes of input that it took.
        pair: The second text of a pair, or None.
        slices: Each column of `--slice-column` with its value; "" where there is none.
    """

    ordinal: int
    line: int
    id: str | None
    text: str
    gold: str | None = None
    size: int = 0
    pair: str | None = None
    slices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class BadRow:
    """One input row that cannot be explained: a quarantined row.

    Attributes:
        ordinal: Its number in the input, from 0.
        line: Its first line in the file, from 1.
        id: Its id as a string, where it could be read.
        reason: Why it is quarantined.
        excerpt: The start of what it holds, with control characters escaped.
        size: Bytes of input that it took.
    """

    ordinal: int
    line: int
    id: str | None
    reason: str
    excerpt: str
    size: int = 0

    def record(self) -> Record:
        """Return the row's record."""
        return {
            "schema": SCHEMA,
            "status": "quarantined",
            "ordinal": self.ordinal,
            "id": self.id,
            "line": self.line,
            "reason": self.reason,
            "excerpt": self.excerpt,
        }


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text as the model reads it: L tokens, none of them padding.

    Attributes:
        ids: Token ids.
        type_ids: Segment ids, for models that take them.
        tokens: The tokens as the tokenizer spells them.
        offsets: Code points [start, end) of the untouched text, or of its pair where `segments`
            has a 1; (0, 0) for a special token.
        special: Whether a token is special.
        segments: 0 for a token of the text, 1 for one of its pair.
        truncated: Whether the text was cut.
    """

    ids: tuple[int, ...]
    type_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    special: tuple[bool, ...]
    segments: tuple[int, ...]
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text that the model reads at once, with its tokens' positions in the text."""

    encoding: Encoding
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text with each token once (`whole`), and the windows that the model reads it in."""

    whole: Encoding
    windows: tuple[Window, ...]


def match_label(gold: str | None, labels: tuple[str, ...]) -> str | None:
    """Return the label that `gold` names; else `gold` itself.

    It names a label by its name, by the only one that differs in case and surrounding blanks, or by
    an index: `1`, `1.0` as data frames write it, or `LABEL_1`.

    Args:
        gold: A gold label as it was given, or None.
        labels: The model's labels.
    """
    if gold is None or gold in labels:
        return gold
    similar = [label for label in labels if _folded(label) == _folded(gold)]
    if len(similar) == 1:
        return similar[0]
    index = _INDEX.fullmatch(gold.strip())
    if index is None:
        return gold
    if index["number"] in labels:
        return index["number"]
    number = int(index["number"])
    return labels[number] if number < len(labels) and not similar else gold


def match_labels(gold: str | None, labels: tuple[str, ...]) -> list[str] | None:
    """Return the labels of a multi-label model that `gold` names; None unless it has them all.

    `gold` is one label, a JSON list, or labels with `;`, `|` or `,` between them.

    Args:
        gold: What was given as gold label, or None.
        labels: The model's labels.
    """
    if gold is None:
        return None
    for names in _readings(gold):
        matched = [match_label(name.strip(), labels) for name in names]
        if all(each in labels for each in matched):
            return [label for label in labels if label in matched]
    return None


def _readings(gold: str) -> Iterator[list[str]]:
    """Yield the ways in which a gold label can be read as several, and first as one."""
    yield [gold]
    if gold.startswith("["):
        try:
            value = json.loads(gold)
        except (ValueError, RecursionError):
            return
        yield [each if isinstance(each, str) else json.dumps(each) for each in value]
        return
    yield from (gold.split(separator) for separator in ";|," if separator in gold)


def _folded(label: str) -> str:
    return label.strip().casefold()
