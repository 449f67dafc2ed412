"""The engine: an iterator of rows -> an iterator of explanations, in the same order.

Inside a bounded window texts are sorted by length; then passes, not texts, are packed into batches,
so that a batch may hold the last draws of one text and the first of the next.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TypeAlias

from saliency_cli.batching import Budget, windows
from saliency_cli.classifier import Classifier
from saliency_cli.draws import FIRST_PASSES, MAX_BLOCKS, Draw, Pending
from saliency_cli.encoding import encode
from saliency_cli.escapes import excerpt
from saliency_cli.methods import METHODS
from saliency_cli.passes import Clean, clean_passes, gradient_passes
from saliency_cli.records import BadRow, Encoding, Explanation, Prediction, Row
from saliency_cli.settings import Maths

Outcome: TypeAlias = Explanation | BadRow
Finished: TypeAlias = tuple[Row | BadRow, Outcome]
_HELD = 4
"""Gradients held for texts under way, in batches."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What every text of a run has in common."""

    classifier: Classifier
    maths: Maths
    budget: Budget

    @property
    def clean_budget(self) -> Budget:
        """Tokens of texts begun at once, so that their gradients take the memory of few batches."""
        draws = self.maths.sampling.draws or FIRST_PASSES
        return replace(self.budget, tokens=_HELD * self.budget.tokens // min(draws, MAX_BLOCKS))


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


def explain(
    rows: Iterable[Row | BadRow],
    engine: Engine,
    *,
    done: Callable[[Row | BadRow], None] = lambda _row: None,
) -> Iterator[Outcome]:
    """Explain each row, in input order; `done` hears of each as soon as it is, in any order.

    A row that cannot be explained comes out as a BadRow, in its place.
    """
    for window in windows(rows):
        outcomes: dict[int, Outcome] = {}
        for row, outcome in _explain_window(window, engine):
            outcomes[row.ordinal] = outcome
            done(row)
        yield from (outcomes[row.ordinal] for row in window)


def _explain_window(window: Sequence[Row | BadRow], engine: Engine) -> Iterator[Finished]:
    yield from ((row, row) for row in window if isinstance(row, BadRow))
    texts = encode_rows([row for row in window if isinstance(row, Row)], engine.classifier)
    empty = [text for text in texts if all(text.encoding.special)]
    yield from ((text.row, _quarantined(text.row, "the text has no token")) for text in empty)
    full = [text for text in texts if not all(text.encoding.special)]
    full.sort(key=lambda text: (-text.length, text.row.ordinal))
    yield from _explain_texts(deque(full), engine)


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
    draws: deque[Draw] = deque()
    while texts or draws:
        while texts and sum(draw.rows * draw.length for draw in draws) < engine.budget.tokens:
            for text, pending in _begin(texts, engine):
                rows[id(pending)] = text.row
                draws.extend(pending.next_round())
        for pending in run_draws(engine.budget.take(draws), engine):
            more = pending.next_round()
            draws.extendleft(reversed(more))
            if not more:
                row = rows.pop(id(pending))
                yield row, _finish(row, pending, engine.classifier.labels)


def _begin(texts: deque[Text], engine: Engine) -> Iterator[tuple[Text, Pending]]:
    batch = engine.clean_budget.take(texts)
    cleans = clean_passes(engine.classifier, [text.encoding for text in batch])
    for text, clean in zip(batch, cleans, strict=True):
        yield text, Pending(clean, engine.maths)


def run_draws(draws: Sequence[Draw], engine: Engine) -> list[Pending]:
    """Make a batch of draws; return the texts whose round is over with it."""
    method, sampling = METHODS[engine.maths.method], engine.maths.sampling
    passes: list[Clean] = []
    displacements = []
    for draw in draws:
        displacement = method(draw.pending.clean, draw.number, sampling)
        passes.extend([draw.pending.clean] * draw.rows)
        displacements.extend([displacement, -displacement][: draw.rows])
    gradients = gradient_passes(
        engine.classifier, passes, displacements, objective=engine.maths.objective
    )
    chosen = gradients.chosen.tolist()
    first = 0
    for draw in draws:
        rows = slice(first, first + draw.rows)
        flips = sum(label != draw.pending.clean.target for label in chosen[rows])
        draw.pending.add(gradients.values[rows, : draw.length], flips)
        first = rows.stop
    over = {id(draw.pending): draw.pending for draw in draws if draw.pending.round_over}
    return list(over.values())


def _finish(row: Row, pending: Pending, labels: tuple[str, ...]) -> Outcome:
    attribution = pending.attribution()
    if not all(map(isfinite, attribution.scores)):
        return _quarantined(row, "the gradient is not finite")
    probabilities = tuple(pending.clean.logits.double().softmax(dim=0).tolist())
    prediction = Prediction(labels, probabilities, pending.clean.target)
    return Explanation(row, pending.clean.encoding, prediction, attribution)


def _quarantined(row: Row, reason: str) -> BadRow:
    return BadRow(row.ordinal, row.line, row.id, reason, excerpt(row.text), row.size)
