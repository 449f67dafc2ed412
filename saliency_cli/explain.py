"""The engine: an iterator of rows -> an iterator of explanations, in the same order.

Inside a bounded window texts are sorted by length; then passes, not texts, are packed into batches,
so that a batch may hold the last draws of one text and the first of the next.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from typing import TypeAlias

from saliency_cli.allocator import ran_out, release
from saliency_cli.batching import Budget, windows
from saliency_cli.classifier import Classifier
from saliency_cli.draws import FIRST_PASSES, MAX_BLOCKS, Draws, Pending
from saliency_cli.encoding import encode_rows
from saliency_cli.methods import METHODS
from saliency_cli.passes import Aim, Clean, clean_passes, gradient_passes
from saliency_cli.records import BadRow, Encoding, Row
from saliency_cli.settings import Maths
from saliency_cli.streams import merged, replica, threads
from saliency_cli.texts import (
    Begun,
    Outcome,
    Text,
    begin,
    finished,
    handed_to,
    identity,
    quarantined,
    without_token,
)

Finished: TypeAlias = tuple[Row | BadRow, Outcome]
ExplainTexts: TypeAlias = Callable[[Sequence[Text]], Iterator[tuple[Row, Outcome]]]
_HELD = 10
"""Gradients held for texts under way, in batches."""


def _unwatched(_rows: Sequence[int]) -> None:
    """Take no note of rows."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What every text of a run has in common; `streams` of texts are explained side by side.

    `watch` hears, in each thread, the ordinals of the rows that the model is about to run on.
    """

    classifier: Classifier
    maths: Maths
    budget: Budget
    streams: int = 1
    stride: int | None = None
    watch: Callable[[Sequence[int]], None] = _unwatched

    @property
    def clean_budget(self) -> Budget:
        """Tokens of texts begun at once, so that their gradients take the memory of few batches."""
        draws = min(self.maths.sampling.draws or FIRST_PASSES, MAX_BLOCKS)
        tokens = min(self.budget.tokens, _HELD * self.budget.tokens // draws)
        return replace(self.budget, tokens=tokens)


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
    """Explain the rows of a window; the same text is explained once, for all rows that hold it."""
    yield from ((row, row) for row in window if isinstance(row, BadRow))
    alike: dict[object, list[Row]] = {}
    for row in window:
        if isinstance(row, Row):
            alike.setdefault(identity(row, engine.maths), []).append(row)
    first = [rows[0] for rows in alike.values()]
    engine.watch([row.ordinal for row in first])
    texts = _encoded(first, engine)
    for row, outcome in _explain_sorted(texts, explain_texts):
        for twin in alike[identity(row, engine.maths)]:
            yield twin, handed_to(twin, outcome)


def _explain_sorted(
    texts: Sequence[Text], explain_texts: ExplainTexts
) -> Iterator[tuple[Row, Outcome]]:
    full = []
    for text in texts:
        problem = without_token(text)
        if problem is None:
            full.append(text)
        else:
            yield text.row, quarantined(text.row, problem)
    full.sort(key=lambda text: (-text.length, text.row.ordinal))
    yield from explain_texts(full)


def _encoded(rows: Sequence[Row], engine: Engine) -> list[Text]:
    classifier = engine.classifier
    encoded = encode_rows(
        classifier.tokenizer, rows, max_length=classifier.max_length, stride=engine.stride
    )
    return [Text(row, each) for row, each in zip(rows, encoded, strict=True)]


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


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """The texts that are begun, and their draws still to be made, longest texts first."""

    queue: deque[Draws] = field(default_factory=deque)
    begun: dict[int, Begun] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Tokens of the draws still to be made."""
        return sum(draws.rows * draws.length for draws in self.queue)

    def add(self, begun: Begun) -> None:
        """Queue the first draws of a text, of each of its targets and windows."""
        for pending in begun.pendings:
            self.begun[id(pending)] = begun
            self.queue.extend(_next(pending))

    def rows(self, batch: Sequence[Draws]) -> list[int]:
        """Return the ordinals of the rows that draws are of."""
        begun = {id(draws.pending): self.begun[id(draws.pending)] for draws in batch}
        return [each.text.row.ordinal for each in begun.values()]

    def go_on(self, pending: Pending) -> Begun | None:
        """Queue the next draws of what has made its last; return the text if it is done with."""
        more = [*_next(pending)]
        self.queue.extendleft(more)
        if more:
            return None
        begun = self.begun.pop(id(pending))
        return None if any(id(part) in self.begun for part in begun.pendings) else begun

    def without_room(self, batch: Sequence[Draws]) -> Iterator[tuple[Row, Outcome]]:
        """Put a batch back that memory ran out on; a text that by itself is too much is let go."""
        first = batch[0]
        if len(batch) > 1 or first.rows > first.grain:
            self.queue.extendleft(reversed(batch))
            return
        begun = self.begun[id(first.pending)]
        dropped = {id(pending) for pending in begun.pendings}
        kept = [draws for draws in self.queue if id(draws.pending) not in dropped]
        self.queue.clear()
        self.queue.extend(kept)
        for key in dropped:
            self.begun.pop(key, None)
        reason = f"memory ran out on one pass over its {first.length} tokens"
        yield begun.text.row, quarantined(begun.text.row, reason)


def _next(pending: Pending) -> Iterator[Draws]:
    draws = pending.next_round()
    if draws is not None:
        yield draws


def _explain_texts(texts: deque[Text], engine: Engine) -> Iterator[tuple[Row, Outcome]]:
    """Keep the batches full: begin texts when draws run short, go on with those not done."""
    under_way = _UnderWay()
    while texts or under_way.queue:
        while texts and under_way.tokens < engine.budget.tokens:
            for begun in _begin(texts, engine):
                under_way.add(begun)
                if not begun.pendings:
                    yield begun.text.row, finished(begun)
        if under_way.queue:
            outcomes, engine = _go_on(under_way, engine)
            yield from outcomes


def _go_on(under_way: _UnderWay, engine: Engine) -> tuple[Sequence[tuple[Row, Outcome]], Engine]:
    """Make a batch of draws; return what is explained by it, and the engine to go on with.

    Where memory runs out, that is one whose batches are half as large.
    """
    batch = engine.budget.take(under_way.queue)
    engine.watch(under_way.rows(batch))
    try:
        done = [*map(under_way.go_on, run_draws(batch, engine))]
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        halved = replace(engine, budget=engine.budget.halved())
        return [*under_way.without_room(batch)], halved
    return [(begun.text.row, finished(begun)) for begun in done if begun is not None], engine


def _begin(texts: deque[Text], engine: Engine) -> Iterator[Begun]:
    """Predict the next texts."""
    batch = engine.clean_budget.take(texts)
    engine.watch([text.row.ordinal for text in batch])
    cleans = _clean(batch, engine)
    for text in batch:
        own = list(islice(cleans, text.rows))
        yield begin(text, own, classifier=engine.classifier, maths=engine.maths)


def _clean(texts: Sequence[Text], engine: Engine) -> Iterator[Clean]:
    """Make the clean passes of all windows; those of a single long text may fill many batches."""
    budget = engine.clean_budget
    encodings = [window.encoding for text in texts for window in text.encoded.windows]
    size = max(1, budget.tokens // max(map(len, encodings)))
    alike: Callable[[Encoding], int] = len if budget.equal_lengths else lambda _encoding: 0
    for _length, group in groupby(encodings, key=alike):
        while part := list(islice(group, size)):
            yield from clean_passes(engine.classifier, part)


def run_draws(batch: Sequence[Draws], engine: Engine) -> list[Pending]:
    """Make a batch of draws; return the texts whose round is over with it."""
    sampling = engine.maths.sampling
    aims = [Aim(draws.pending.clean, draws.pending.target, len(draws.numbers)) for draws in batch]
    each = [draws.pending.clean for draws in batch for _ in draws.numbers]
    numbers = [number for draws in batch for number in draws.numbers]
    gradients = gradient_passes(
        engine.classifier,
        aims,
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
    over = {id(draws.pending): draws.pending for draws in batch if draws.pending.round_over}
    return [*over.values()]
