"""Prepares records for the templates: spans of text with shades and tooltips, and labels."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import chain
from typing import NamedTuple, TypeAlias

from saliency_cli.analysis.word_checks import CheckView, check_views
from saliency_cli.analysis.word_shares import leading_word, row_stats
from saliency_cli.analysis.words import Piece, group_by_word, merge_pieces, pieces
from saliency_cli.figures.correctness import prediction_is_correct
from saliency_cli.records import Record
from saliency_cli.report.bounds import NOTHING_OMITTED, Omitted, bounded
from saliency_cli.report.number_format import percent, score_text, visible_text
from saliency_cli.report.palette import is_undecided, shade
from saliency_cli.runs.summary import FLIP_RATE_WARNING
from saliency_cli.safe_text import visible
from saliency_cli.word_boundaries import word_key

LABELS_SHOWN = 5
"""Labels whose probabilities are shown beside a row."""


class Span(NamedTuple):
    """A stretch of text as the page shows it.

    A NamedTuple for the same reason as `Piece`: a page has thousands of them.

    Attributes:
        text: the characters; empty if there are `parts`.
        css: the CSS classes.
        note: the tooltip with the score; empty for text without a score.
        parts: the spans of the tokens of a word with several tokens.
    """

    text: str
    css: str = ""
    note: str = ""
    parts: tuple["Span", ...] = ()


@dataclass(frozen=True, slots=True)
class Lead:
    """The leading word of a row: its key, and its share of the text's saliency."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Shading:
    """A row's text, and its pair if there is one, shaded by the scores for one target."""

    target: str
    texts: tuple[list[Span], ...]
    lead: Lead | None
    flip_rate: float | None
    completeness: dict[str, float] | None = None

    @property
    def fragile(self) -> bool:
        """Whether the noise changes the prediction so often that the shading is not reliable."""
        return self.flip_rate is not None and self.flip_rate > FLIP_RATE_WARNING


@dataclass(frozen=True, slots=True)
class RowView:
    """One row as the templates show it.

    Attributes:
        record: the row's record, as far as the page holds it.
        source: this record as JSON that is safe inside a script element.
        shadings: one per target; none for a quarantined row.
        labels: (label, probability) of the labels to show, the predicted one first.
        correct: whether the prediction is correct; None without a known gold label.
        lead: the leading word of the whole text, for the first target.
        error: the largest standard error of a token of the whole text; None without errors.
        checks: what leaving out the strongest words does.
        omitted: how much of the row is only in the records.
    """

    record: Record
    source: str
    shadings: tuple[Shading, ...] = ()
    labels: tuple[tuple[str, float], ...] = ()
    correct: bool | None = None
    lead: Lead | None = None
    error: float | None = None
    checks: tuple[CheckView, ...] = ()
    omitted: Omitted = NOTHING_OMITTED


def row_view(line: str) -> RowView:
    """Return the row of one line of the records, prepared for the templates."""
    whole: Record = json.loads(line)
    record, omitted = bounded(whole, size=len(line))
    if record is whole:
        source = script_safe_json(line, record)
    else:
        page_record = {**record, "omitted": asdict(omitted)}
        source = script_safe_json(json.dumps(page_record, separators=(",", ":")), page_record)
    if record["status"] != "ok":
        return RowView(record, source)
    targets = [record, *({**record, **other} for other in record.get("others", ()))]
    shadings = tuple(_shading(target) for target in targets)
    return RowView(
        record,
        source,
        shadings=shadings,
        labels=_most_probable(record),
        correct=prediction_is_correct(whole),
        lead=shadings[0].lead if not omitted.tokens else _whole_lead(whole),
        error=max(whole["errors"], default=None) if whole["errors"] else None,
        checks=tuple(check_views(whole)),
        omitted=omitted,
    )


def _whole_lead(record: Record) -> Lead | None:
    stats = row_stats(record)
    word = stats.leading_word
    return None if word is None else Lead(word, stats.shares[word])


def script_safe_json(line: str, value: object) -> str:
    """Return JSON in printable ASCII without "<", so that an HTML parser sees no tag in it.

    Args:
        line: the JSON text of `value`; reused where possible, because encoding again is slow.
        value: the decoded value.
    """
    text = line.rstrip("\n")
    if not (text.isascii() and text.isprintable()):
        text = json.dumps(value, separators=(",", ":")).replace("\x7f", r"\u007f")
    return text.replace("<", r"\u003c")


def _most_probable(record: Record) -> tuple[tuple[str, float], ...]:
    """Return the labels to show: the predicted one, then the most probable others."""
    predicted = record["predicted"]
    ranked = sorted(
        record["probabilities"].items(), key=lambda item: (item[0] != predicted, -item[1])
    )
    return tuple(ranked[:LABELS_SHOWN])


def _shading(record: Record) -> Shading:
    segments = (0,) if record["pair"] is None else (0, 1)
    texts = [group_by_word(pieces(record, segment=segment)) for segment in segments]
    keys = [[*map(_key, text)] for text in texts]
    totals = _totals(zip(chain(*keys), chain(*texts), strict=True))
    return Shading(
        record["target"],
        tuple(
            [_span(word, totals.get(key)) for key, word in zip(*text, strict=True)]
            for text in zip(keys, texts, strict=True)
        ),
        _lead(totals),
        record["flip_rate"],
        record.get("completeness"),
    )


class Total(NamedTuple):
    """What the occurrences of a word have together: its share, and how many they are."""

    share: float
    occurrences: int


Totals: TypeAlias = dict[str, Total]
"""Word key -> its total; the shares are those of `RowStats.shares`."""


def _key(word: list[Piece]) -> str:
    """Return a word's key; it is empty for white space, special tokens and unread text."""
    first = word[0]
    if first.special or not first.tokens:
        return ""
    text = first.text if len(word) == 1 else "".join([piece.text for piece in word])
    return word_key(text.strip())


def _totals(words: Iterable[tuple[str, list[Piece]]]) -> Totals:
    totals: Totals = {}
    for key, word in words:
        if key:
            share, occurrences = totals.get(key, (0.0, 0))
            totals[key] = Total(share + _score(word), occurrences + 1)
    return totals


def _lead(totals: Totals) -> Lead | None:
    best = leading_word({key: total.share for key, total in totals.items()})
    return None if best is None else Lead(best, totals[best].share)


def _score(word: list[Piece]) -> float:
    return word[0].score if len(word) == 1 else sum(piece.score for piece in word)


def _span(word: list[Piece], total: Total | None) -> Span:
    """Return the span of a word: of one with several tokens the sum of their scores, and theirs."""
    if len(word) == 1:
        return _piece_span(word[0], total)
    whole = merge_pieces(word)
    css = f"w {shade(whole.score, whole.error)}"
    return Span("", css, _note(whole, total), tuple(map(_piece_span, word)))


def _piece_span(piece: Piece, total: Total | None = None) -> Span:
    if not piece.tokens:
        return _unread_span(piece.text, cut=piece.cut)
    text = piece.text if piece.text.isprintable() else visible_text(piece.text)
    css = f"t {shade(piece.score, piece.error)}"
    return Span(text, f"{css} special" if piece.special else css, _note(piece, total))


def _note(piece: Piece, total: Total | None) -> str:
    """Return the tooltip: the score, the number of tokens, whether it is undecided, the total."""
    remark = f", {len(piece.tokens)} tokens" if len(piece.tokens) > 1 else ""
    if is_undecided(piece.score, piece.error):
        remark += ", undecided"
    if total is not None and total.occurrences > 1:
        remark += f", {total.occurrences} times, in all {percent(total.share)}"
    return score_text(piece.score, piece.error, remark=remark)


@lru_cache(maxsize=1024)
def _unread_span(text: str, *, cut: bool) -> Span:
    """Return the span of text without a token. Cached: nearly always it is one space."""
    return Span(visible_text(text), "cut" if cut else "")


def excerpt_spans(words: Iterable[Piece]) -> list[Span]:
    """Return the spans of an excerpt, each word whole."""
    return [_piece_span(word) for word in words]


def searchable_text(text: str) -> str:
    """Return a text for the search index: on one line, with invisible characters escaped."""
    return text if text.isprintable() else visible(" ".join(text.split()))
