"""The page of `saliency show --attention-page`: a text's attention beside its shading.

Shapes: N layers, A heads, L tokens of the text.
"""

import base64
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saliency_cli import __version__
from saliency_cli.analysis.rank_correlation import rank_correlations
from saliency_cli.analysis.words import pieces
from saliency_cli.errors import UsageError
from saliency_cli.model.attentions import TextAttention, last_layer_attention
from saliency_cli.records import Record
from saliency_cli.report.bounds import NOTHING_OMITTED
from saliency_cli.report.number_format import MINUS
from saliency_cli.report.page_files import check_page_file, write_sealed
from saliency_cli.report.palette import BOUNDS, legend
from saliency_cli.report.row_view import RowView, row_view, script_safe_json
from saliency_cli.report.templating import environment, inline_sources
from saliency_cli.safe_text import visible

STYLES = ("report.css", "attention.css")
SCRIPTS = ("tokens.js", "attention.js")
OPTION = "--attention-page"
MARK = '<meta name="description" content="The attention weights of one text">'
"""What the template has near its start, and no other page."""

MOST_WEIGHTS, MOST_TOKENS = 40 * 2**20, 1024
"""12 layers of 12 heads over 512 tokens are 36 Mi weights; such a page had 27 MB."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the page tells of the explanation.

    Attributes:
        model: the model's name.
        method: the title of the attribution method.
        signed: whether its scores have signs.
    """

    model: str
    method: str
    signed: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of the grid.

    Attributes:
        layer: the layer's number, from 0.
        head: the head's number, from 0; None for the mean over the heads.
        correlation: see `correlations`, as text.
    """

    layer: int
    head: int | None
    correlation: str

    @property
    def name(self) -> str:
        """The name that a reader sees; layers and heads are counted from 1."""
        head = "mean over the heads" if self.head is None else f"head {self.head + 1}"
        return f"layer {self.layer + 1}, {head}"


def check_attention_file(path: Path) -> None:
    """Check that the page may be written to a file.

    Raises:
        UsageError: there is another file.
    """
    check_page_file(path, option=OPTION, mark=MARK)


def write_attention_page(
    path: Path, record: Record, attention: TextAttention, subject: Subject
) -> None:
    """Write the page of one text.

    Args:
        path: the file; an earlier page is replaced.
        record: the text's record, not divided into windows.
        attention: its attention weights.
        subject: what the page tells of the explanation.

    Raises:
        UsageError: the text has more weights than a page should hold.
        OutputError: the file cannot be written.
    """
    _check_size(attention.weights)
    env = environment()
    row, received = _shaded_rows(record, attention)
    context: dict[str, Any] = {
        **inline_sources(env, styles=STYLES, scripts=SCRIPTS),
        "manifest": {"versions": {"saliency": __version__}},
        "mark": MARK,
        "subject": subject,
        "legend": legend(signed=subject.signed),
        "row": row,
        "received": received,
        "reader": _reader(record, attention.read),
        "compared": record["special"].count(False),
        "grid": _grid(record, attention),
        "data": _data(record, attention),
    }
    write_sealed(path, env.get_template("attention.html.j2").generate(context))


def _check_size(weights: Tensor) -> None:
    layers, heads, tokens, _ = weights.shape
    longest = min(isqrt(MOST_WEIGHTS // (layers * heads)), MOST_TOKENS)
    if tokens > longest:
        raise UsageError(
            f"{tokens} tokens of {layers} layers × {heads} heads are too many for {OPTION}",
            f"add --max-length {longest}",
        )


def _shaded_rows(record: Record, attention: TextAttention) -> tuple[RowView, RowView]:
    """Return the row shaded by the scores for its first target, and by the last layer's attention.

    Raises:
        UsageError: the row has more text than a page holds.
    """
    scores = last_layer_attention(attention)
    received = {"scores": (scores / scores.sum()).tolist(), "errors": None}
    first_target = {**record, "others": []}
    row, other = (
        row_view(json.dumps(each)) for each in (first_target, {**first_target, **received})
    )
    if {row.omitted, other.omitted} != {NOTHING_OMITTED}:
        raise UsageError(f"the text is too long for {OPTION}", "give a shorter text")
    return row, other


def _reader(record: Record, read: Tensor) -> str:
    """Return the name of the positions that the logits depend on."""
    positions = read.nonzero().flatten().tolist()
    if len(positions) == 1:
        return f"“{_token_names(record)[positions[0]]}”"
    return f"{len(positions)} tokens (the mean)"


def _token_names(record: Record) -> list[str]:
    """Return each token's characters in the text; of special tokens and spaces their names."""
    texts = (record["text"], record["pair"])
    segments = record.get("segments") or [0] * len(record["tokens"])
    rows = zip(record["tokens"], record["offsets"], segments, strict=True)
    return [
        visible(text if (text := texts[segment][start:end]).strip() else token)
        for token, (start, end), segment in rows
    ]


def _grid(record: Record, attention: TextAttention) -> list[list[Cell]]:
    """Return the cells of each layer, the mean over the heads first."""
    return [
        [
            Cell(layer, head - 1 if head else None, _correlation_text(value))
            for head, value in enumerate(values)
        ]
        for layer, values in enumerate(correlations(record, attention))
    ]


def correlations(record: Record, attention: TextAttention) -> list[list[float]]:
    """Return how much attention and scores agree, for each layer: for the mean, then each head.

    It is the rank correlation (Spearman's ρ) of what the text's tokens receive from the positions
    that are read and the absolute values of their scores; NaN without two tokens that differ.

    Args:
        record: the text's record.
        attention: its attention weights.
    """
    received = attention.received(_pictures(attention))
    of_text = ~torch.tensor(record["special"])
    scores = torch.tensor(record["scores"]).abs()[of_text]
    return [
        rank_correlations(torch.cat((scores[None], layer[:, of_text])))[0, 1:].tolist()
        for layer in received
    ]


def _pictures(attention: TextAttention) -> Tensor:
    """Return the matrix of each picture of the grid, [N, 1 + A, L, L]: the mean, then each head."""
    mean = attention.weights.mean(dim=1, keepdim=True)
    return torch.cat((mean, attention.weights), dim=1)


def _correlation_text(value: float) -> str:
    return "–" if value != value else f"{value:z.2f}".replace("-", MINUS)  # noqa: PLR0124 - NaN


def _data(record: Record, attention: TextAttention) -> str:
    """Return what the script reads, as JSON that is safe inside a script element.

    A weight w is a byte, 255·√w: rounding moves it by √w/255 at most, so small weights keep their
    size. The bytes are in the order of the pictures, compressed with zlib, in base64.
    """
    codes = (_pictures(attention).clamp(0, 1).sqrt() * 255).round().to(torch.uint8)
    data = {
        "tokens": _token_names(record),
        "read": attention.read.tolist(),
        "spans": [*_span_tokens(record)],
        "bounds": BOUNDS,
        "weights": base64.b64encode(zlib.compress(codes.numpy().tobytes())).decode("ascii"),
    }
    return script_safe_json(json.dumps(data, separators=(",", ":")), data)


def _span_tokens(record: Record) -> Iterator[list[int]]:
    """Yield the numbers of the tokens that each shaded span stands for, in the page's order."""
    segments = record.get("segments") or [0] * len(record["tokens"])
    for segment in (0,) if record["pair"] is None else (0, 1):
        numbers = (number for number, each in enumerate(segments) if each == segment)
        for piece in pieces(record, segment=segment):
            if piece.tokens:
                yield [next(numbers) for _ in piece.tokens]
