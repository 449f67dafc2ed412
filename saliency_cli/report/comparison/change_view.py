"""Prepares a changed row for the page: both shadings, with the words that moved marked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from saliency_cli.comparison.distance import WordMove
from saliency_cli.comparison.row_changes import WORDS_SHOWN, RowChange
from saliency_cli.report.number_format import percent
from saliency_cli.report.row_view import RowView, Shading, Span, row_view
from saliency_cli.word_boundaries import word_key

MOVED = "moved"
"""CSS class of a word that moved."""
Lines: TypeAlias = tuple[str | None, str | None]
"""The lines of a row's records in both runs."""


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One changed row as the template shows it.

    Attributes:
        change: what changed.
        before: the row of the first run; None if it has none.
        after: the row of the second run; None if it has none.
        words: the words that moved most, the largest change first.
    """

    change: RowChange
    before: RowView | None
    after: RowView | None
    words: tuple[WordMove, ...]

    @property
    def shown(self) -> RowView:
        """The row of the second run; of a row that only the first one has, that."""
        row = self.after or self.before
        assert row is not None  # noqa: S101 - one of the runs has the row
        return row


def change_view(change: RowChange, lines: Lines) -> ChangeView:
    """Return a changed row, prepared for the template.

    Args:
        change: What changed.
        lines: The lines of the row's records in both runs.
    """
    words = {move.word: move for move in change.moves[:WORDS_SHOWN]}
    before, after = (None if line is None else _marked(row_view(line), words) for line in lines)
    return ChangeView(change, before, after, (*words.values(),))


def _marked(row: RowView, moves: Mapping[str, WordMove]) -> RowView:
    """Return a row with its first shading alone, in which the words that moved most are marked."""
    if not row.shadings:
        return row
    first = row.shadings[0]
    texts = tuple([_marked_span(span, moves) for span in text] for text in first.texts)
    shading: Shading = replace(first, texts=texts)
    return replace(row, shadings=(shading,))


def _marked_span(span: Span, moves: Mapping[str, WordMove]) -> Span:
    if not span.note or "special" in span.css:
        return span
    text = span.text or "".join(part.text for part in span.parts)
    move = moves.get(word_key(text.strip())) if text.strip() else None
    if move is None:
        return span
    note = f"{span.note}\n{percent(move.before)} before, {percent(move.after)} after"
    return span._replace(css=f"{span.css} {MOVED}", note=note)
