"""Records -> what a template is told of a row: its spans, shaded and noted, and where it leads."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from saliency_cli.analysis.word_shares import Shares, leader
from saliency_cli.analysis.words import Piece, added_up, joined, judged, pieces, word_key
from saliency_cli.records import Record
from saliency_cli.report.number_format import exact, shown
from saliency_cli.report.palette import shade
from saliency_cli.runs.summary import FLIP_RATE_WARNING
from saliency_cli.safe_text import visible

LABELS_SHOWN = 5


class Span(NamedTuple):
    """A stretch of text as the page shows it; without `note` it has no score.

    A word of several tokens has them as `parts`. A tuple for the same reason as a piece.
    """

    text: str
    css: str = ""
    note: str = ""
    parts: tuple["Span", ...] = ()


@dataclass(frozen=True, slots=True)
class Lead:
    """The word that leads a row: the key that all its occurrences share, and their share."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Shading:
    """A row's text, and its pair, shaded by what they do to one target."""

    target: str
    texts: tuple[list[Span], ...]
    lead: Lead | None
    flip_rate: float

    @property
    def fragile(self) -> bool:
        """Whether the noise destroys the prediction, and this shading with it."""
        return self.flip_rate > FLIP_RATE_WARNING


@dataclass(frozen=True, slots=True)
class RowView:
    """One row as the page shows it; `source` is its record, fit to stand in a page's script."""

    record: Record
    source: str
    shadings: tuple[Shading, ...] = ()
    labels: tuple[tuple[str, float], ...] = ()
    right: bool | None = None

    @property
    def lead(self) -> Lead | None:
        """The word that leads for the first target."""
        return self.shadings[0].lead if self.shadings else None


def view(line: str) -> RowView:
    """Read a line of the records, and prepare it for the page."""
    record: Record = json.loads(line)
    source = embedded(line, record)
    if record["status"] != "ok":
        return RowView(record, source)
    targets = [record, *({**record, **other} for other in record.get("others", ()))]
    return RowView(
        record,
        source,
        shadings=tuple(_shading(target) for target in targets),
        labels=_most_probable(record),
        right=judged(record),
    )


def embedded(line: str, value: object) -> str:
    """Return JSON that no HTML parser sees a tag in, and that holds nothing that acts."""
    text = line.rstrip("\n")
    if not (text.isascii() and text.isprintable()):
        text = json.dumps(value, separators=(",", ":")).replace("\x7f", r"\u007f")
    return text.replace("<", r"\u003c")


def _most_probable(record: Record) -> tuple[tuple[str, float], ...]:
    """Return the labels to show: the predicted one, then the most probable of the others."""
    chosen = record["predicted"]
    ranked = sorted(record["probabilities"].items(), key=lambda item: (item[0] != chosen, -item[1]))
    return tuple(ranked[:LABELS_SHOWN])


def _shading(record: Record) -> Shading:
    halves = [joined(pieces(record))]
    if record["pair"] is not None:
        halves.append(joined(pieces(record, segment=1)))
    return Shading(
        record["target"],
        tuple([_span(word) for word in half] for half in halves),
        _lead(word for half in halves for word in half),
        record["flip_rate"],
    )


def _lead(words: Iterable[list[Piece]]) -> Lead | None:
    """Return the word that leads, as the findings have it; None where there is none."""
    found: Shares = {}
    for word in words:
        if word[0].tokens and not word[0].special:
            key = word_key("".join([piece.text for piece in word]).strip())
            found[key] = found.get(key, 0.0) + _sum(word)
    found.pop("", None)
    best = leader(found)
    return None if best is None else Lead(best, found[best])


def _sum(word: list[Piece]) -> float:
    return word[0].score if len(word) == 1 else sum(piece.score for piece in word)


def _span(word: list[Piece]) -> Span:
    return _single(word[0]) if len(word) == 1 else _several(word)


def _several(word: list[Piece]) -> Span:
    """Return a word of several tokens: it has the sum of their scores, and they are its parts."""
    whole = added_up(word)
    note = f"{exact(whole.score, whole.error)}, {len(whole.tokens)} tokens"
    return Span("", f"w {shade(whole.score)}", note, tuple(map(_single, word)))


def _single(piece: Piece) -> Span:
    if not piece.tokens:
        return _gap(piece.text, cut=piece.cut)
    text = piece.text if piece.text.isprintable() else shown(piece.text)
    note = exact(piece.score, piece.error)
    if len(piece.tokens) > 1:
        note = f"{note}, {len(piece.tokens)} tokens"
    css = f"t {shade(piece.score)}"
    return Span(text, f"{css} special" if piece.special else css, note)


@lru_cache(maxsize=1024)
def _gap(text: str, *, cut: bool) -> Span:
    """Return text without a token: nearly always one space, made once."""
    return Span(shown(text), "cut" if cut else "")


def plain(text: str) -> str:
    """Return a text for the search index: on one line, and with nothing that acts."""
    return text if text.isprintable() else visible(" ".join(text.split()))
