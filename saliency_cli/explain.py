"""The engine: an iterator of rows -> an iterator of explanations, in the same order.

Inside a bounded window texts are sorted by length; then passes, not texts, are packed into batches,
so that a batch may hold the last draws of one text and the first of the next.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from typing import TypeAlias

from saliency_cli.allocator import release
from saliency_cli.batching import Budget, windows
from saliency_cli.classifier import Classifier
from saliency_cli.draws import FIRST_PASSES, MAX_BLOCKS, Draws, Pending
from saliency_cli.encoding import encode
from saliency_cli.escapes import excerpt
from saliency_cli.methods import METHODS
from saliency_cli.passes import clean_passes, gradient_passes
from saliency_cli.records import BadRow, Encoding, Explanation, Prediction, Row
from saliency_cli.settings import Maths
from saliency_cli.streams import merged, replica, threads

Outcome: TypeAlias = Explanation | BadRow
Finished: TypeAlias = tuple[Row | BadRow, Outcome]
ExplainTexts: TypeAlias = Callable[[Sequence["Text"]], Iterator[Finished]]
_HELD = 10
"""Gradients held for texts under way, in batches."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What every text of a run has in common; `streams` of texts are explained side by side."""

    classifier: Classifier
    maths: Maths
    budget: Budget
    streams: int = 1

    @property
    def clean_budget(self) -> Budget:
        """Tokens of texts begun at once, so that their gradients take the memory of few batches."""
        draws = min(self.maths.sampling.draws or FIRST_PASSES, MAX_BLOCKS)
        tokens = min(self.budget.tokens, _HELD * self.budget.tokens // draws)
        return replace(self.budget, tokens=tokens)


@dataclass(frozen=True, slots=True)
class Text:
    """A row that is encoded and waits for its clean pass."""

    row: Row
    encoding: Encoding

    @property
    def length(self) -> int:
        """Tokens of the text."""
        return len(self.encoding)

    @property
    def rows(self) -> int:
        """A clean pass is one row of a batch."""
        return 1

    @property
    def grain(self) -> int:
        """It is all there is to keep together."""
        return 1

    def split(self, rows: int) -> "tuple[Text, Text]":
        """Never asked for: one row cannot be divided."""
        raise AssertionError(rows)


def explain(
    rows: Iterable[Row | BadRow],
    engine: Engine,
    *,
    done: Callable[[Row | BadRow], None] = lambda _row: None,
) -> Iterator[Outcome]:
    """Explain each row, in input order; `done` hears of each as soon as it is, in any order.

    A row that cannot be explained comes out as a BadRow, in its place.
    """
    with _side_by_side(engine) as explain_texts:
        for window in windows(rows):
            outcomes: dict[int, Outcome] = {}
            for row, outcome in _explain_window(window, engine, explain_texts):
                outcomes[row.ordinal] = outcome
                done(row)
            yield from (outcomes[row.ordinal] for row in window)
            release()


def _explain_window(
    window: Sequence[Row | BadRow], engine: Engine, explain_texts: ExplainTexts
) -> Iterator[Finished]:
    yield from ((row, row) for row in window if isinstance(row, BadRow))
    texts = encode_rows([row for row in window if isinstance(row, Row)], engine.classifier)
    empty = [text for text in texts if all(text.encoding.special)]
    yield from ((text.row, _quarantined(text.row, "the text has no token")) for text in empty)
    full = [text for text in texts if not all(text.encoding.special)]
    full.sort(key=lambda text: (-text.length, text.row.ordinal))
    yield from explain_texts(full)


@contextmanager
def _side_by_side(engine: Engine) -> Iterator[ExplainTexts]:
    """Give the function that explains sorted texts, dealt out evenly to the engine's streams.

    Who gets which text follows from their order alone, and so do the batches.
    """
    count = engine.streams
    if count == 1:
        yield lambda texts: _explain_texts(deque(texts), engine)
        return
    engines = [replace(engine, classifier=replica(engine.classifier)) for _ in range(count)]
    with threads(count) as pool:
        yield lambda texts: merged(
            [_explain_texts(deque(texts[n::count]), own) for n, own in enumerate(engines)], pool
        )


def encode_rows(rows: Sequence[Row], classifier: Classifier) -> list[Text]:
    """Encode rows as the classifier reads them."""
    if not rows:
        return []
    texts = [row.text for row in rows]
    encodings = encode(classifier.tokenizer, texts, max_length=classifier.max_length)
    return [Text(row, encoding) for row, encoding in zip(rows, encodings, strict=True)]


def _explain_texts(texts: deque[Text], engine: Engine) -> Iterator[Finished]:
    """Keep the batches full: begin texts when draws run short, go on with those not done."""
    rows: dict[int, Row] = {}
    queue: deque[Draws] = deque()
    while texts or queue:
        while texts and sum(draws.rows * draws.length for draws in queue) < engine.budget.tokens:
            for text, pending in _begin(texts, engine):
                rows[id(pending)] = text.row
                queue.extend(_next(pending))
        for pending in run_draws(engine.budget.take(queue), engine):
            queue.extendleft(_next(pending))
            if pending.round_over:
                row = rows.pop(id(pending))
                yield row, _finish(row, pending, engine.classifier.labels)


def _next(pending: Pending) -> Iterator[Draws]:
    draws = pending.next_round()
    if draws is not None:
        yield draws


def _begin(texts: deque[Text], engine: Engine) -> Iterator[tuple[Text, Pending]]:
    batch = engine.clean_budget.take(texts)
    cleans = clean_passes(engine.classifier, [text.encoding for text in batch])
    for text, clean in zip(batch, cleans, strict=True):
        yield text, Pending(clean, engine.maths)


def run_draws(batch: Sequence[Draws], engine: Engine) -> list[Pending]:
    """Make a batch of draws; return the texts whose round is over with it."""
    sampling = engine.maths.sampling
    each = [draws.pending.clean for draws in batch for _ in draws.numbers]
    numbers = [number for draws in batch for number in draws.numbers]
    gradients = gradient_passes(
        engine.classifier,
        [(draws.pending.clean, len(draws.numbers)) for draws in batch],
        METHODS[engine.maths.method](each, numbers, sampling),
        objective=engine.maths.objective,
        antithetic=sampling.passes_per_draw == 2,
    )
    first = 0
    for draws in batch:
        mine = slice(first, first + len(draws.numbers))
        flips = sum(gradients.flips[mine])
        draws.pending.add(gradients.values[mine, : draws.length], flips=flips)
        first = mine.stop
    return [draws.pending for draws in batch if draws.pending.round_over]


def _finish(row: Row, pending: Pending, labels: tuple[str, ...]) -> Outcome:
    if not all(map(isfinite, pending.attribution.scores)):
        return _quarantined(row, "the gradient is not finite")
    probabilities = tuple(pending.clean.logits.double().softmax(dim=0).tolist())
    prediction = Prediction(labels, probabilities, pending.clean.target)
    return Explanation(row, pending.clean.encoding, prediction, pending.attribution)


def _quarantined(row: Row, reason: str) -> BadRow:
    return BadRow(row.ordinal, row.line, row.id, reason, excerpt(row.text), row.size)
