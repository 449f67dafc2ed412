"""The engine: an iterator of rows -> an iterator of explanations, in the same order.

Inside a bounded window texts are sorted by length; then passes, not texts, are packed into batches,
so that a batch may hold the last draws of one text and the first of the next.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, islice
from typing import TypeAlias

from saliency_cli.attribution.accumulator import (
    FIRST_PASSES,
    MAX_BLOCKS,
    Draws,
    add_up,
    gradients_of,
)
from saliency_cli.attribution.batching import Budget, windows
from saliency_cli.attribution.replicas import BatchJob, ReplicaPool, Result, open_replicas
from saliency_cli.attribution.text_state import (
    ActiveTexts,
    Outcome,
    Text,
    begin,
    finished,
    handed_to,
    identity,
    quarantined,
    without_token,
)
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import READ_AHEAD_ROWS
from saliency_cli.model.memory import is_out_of_memory, release_freed_memory
from saliency_cli.model.passes import CleanPass, Gradients, clean_passes
from saliency_cli.model.tokenization import encode_rows
from saliency_cli.records import BadRow, Encoding, Row
from saliency_cli.settings import Maths

Finished: TypeAlias = tuple[Row | BadRow, Outcome]
_HELD = 10
"""Gradients held for texts under way, in batches."""
_SMALLEST = 4
"""The last draws of a window are divided among the streams, down to this part of a batch."""


def _unwatched(_rows: Sequence[int]) -> None:
    """Take no note of rows."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What every text of a run has in common; `streams` of batches are made side by side.

    Texts are sorted by length within a `window` of so many rows; `watch` hears, in each thread, the
    ordinals of the rows that the model is about to run on.
    """

    classifier: Classifier
    maths: Maths
    budget: Budget
    streams: int = 1
    stride: int | None = None
    window: int = READ_AHEAD_ROWS["cpu"]
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
    with open_replicas(engine.classifier, engine.streams) as streams:
        for window in windows(rows, most=engine.window):
            outcomes: dict[int, Outcome] = {}
            for row, outcome in _explain_window(window, engine, streams):
                outcomes[row.ordinal] = outcome
                done(row)
            yield from (outcomes[row.ordinal] for row in window)
            release_freed_memory()


def _explain_window(
    window: Sequence[Row | BadRow], engine: Engine, streams: ReplicaPool
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
    engine.watch(())  # from here on each stream tells of its own batch
    for row, outcome in _explain_texts(texts, engine, streams):
        for twin in alike[identity(row, engine.maths)]:
            yield twin, handed_to(twin, outcome)


def _encoded(rows: Sequence[Row], engine: Engine) -> list[Text]:
    classifier = engine.classifier
    encoded = encode_rows(
        classifier.tokenizer, rows, max_length=classifier.max_length, stride=engine.stride
    )
    return [Text(row, each) for row, each in zip(rows, encoded, strict=True)]


def _explain_texts(
    texts: Sequence[Text], engine: Engine, streams: ReplicaPool
) -> Iterator[tuple[Row, Outcome]]:
    full = []
    for text in texts:
        problem = without_token(text)
        if problem is None:
            full.append(text)
        else:
            yield text.row, quarantined(text.row, problem)
    full.sort(key=lambda text: (-text.length, text.row.ordinal))
    flow = _Flow(deque(full), engine, streams, streams.ahead)
    while flow.fill():
        yield from flow.collect_oldest()


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Texts whose clean passes are being made, and the budget that they were taken with.

    `alone` says that no other job is being made meanwhile.
    """

    texts: Sequence[Text]
    budget: Budget
    alone: bool
    made: Future[list[CleanPass]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Draws that are being made, likewise."""

    draws: Sequence[Draws]
    budget: Budget
    alone: bool
    made: Future[Gradients]


@dataclass(slots=True)
class _Flow:
    """The texts of a window on their way through the streams.

    What is begun next follows from what came of all that was begun before, but for the last few
    jobs, which are still being made. They are heard in the order in which they were begun, so that
    the batches depend on the texts alone and never on which stream was done first. Up to `ahead`
    jobs are begun; once memory has run out a single one, which then has all of it.
    """

    texts: deque[Text]
    engine: Engine
    streams: ReplicaPool
    ahead: int
    under_way: ActiveTexts = field(default_factory=ActiveTexts)
    making: deque[_Beginning | _Batch] = field(default_factory=deque)

    def fill(self) -> bool:
        """Give the streams enough to do; return whether there is anything to hear of."""
        while len(self.making) < self.ahead and self._start():
            pass
        return bool(self.making)

    def _start(self) -> bool:
        """Begin texts when draws run short, else make a batch of draws; False: nothing to start."""
        tokens, budget, alone = self.under_way.tokens, self.engine.budget, self.ahead == 1
        beginning = any(isinstance(job, _Beginning) for job in self.making)
        if self.texts and not beginning and tokens < self.streams.ahead * budget.tokens:
            texts = self.engine.clean_budget.take(self.texts)
            rows = [text.row.ordinal for text in texts]
            cleans = self._watched(rows, partial(_clean, texts, self.engine.clean_budget))
            self.making.append(_Beginning(texts, budget, alone, cleans))
        elif tokens >= budget.tokens or (tokens and not beginning):
            budget = budget if self.texts or beginning else self._share(tokens)
            draws = budget.take(self.under_way.queue)
            gradients = self._watched(self.under_way.rows(draws), partial(gradients_of, draws))
            self.making.append(_Batch(draws, budget, alone, gradients))
        else:
            return False
        return True

    def _watched(self, rows: Sequence[int], job: BatchJob[Result]) -> Future[Result]:
        """Start a job, whose thread first tells which rows it is about."""

        def run(classifier: Classifier) -> Result:
            self.engine.watch(rows)
            return job(classifier)

        return self.streams.start(run)

    def _share(self, tokens: int) -> Budget:
        """Divide the last draws evenly, lest one stream make them while the others wait."""
        budget = self.engine.budget
        share = max(-(-tokens // self.streams.count), budget.tokens // _SMALLEST)
        return replace(budget, tokens=min(budget.tokens, share))

    def collect_oldest(self) -> Iterator[tuple[Row, Outcome]]:
        """Wait for the job that was begun first; yield the texts that are explained with it.

        Where memory ran out on it, go on with batches half as large, one at a time.
        """
        job = self.making.popleft()
        try:
            job.made.result()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            yield from self._without_room(job)
            return
        yield from self._begun(job) if isinstance(job, _Beginning) else self._drawn(job)

    def _begun(self, job: _Beginning) -> Iterator[tuple[Row, Outcome]]:
        """Predict texts, and queue their first draws."""
        cleans = iter(job.made.result())
        for text in job.texts:
            own = list(islice(cleans, text.rows))
            begun = begin(text, own, classifier=self.engine.classifier, maths=self.engine.maths)
            self.under_way.add(begun)
            if not begun.pendings:
                yield text.row, finished(begun)

    def _drawn(self, batch: _Batch) -> Iterator[tuple[Row, Outcome]]:
        """Add a batch up."""
        for pending in add_up(batch.draws, batch.made.result()):
            done = self.under_way.go_on(pending)
            if done is not None:
                yield done.text.row, finished(done)

    def _without_room(self, job: _Beginning | _Batch) -> Iterator[tuple[Row, Outcome]]:
        """Put back what was too much at once; what is too much by itself is quarantined."""
        self.ahead = 1
        tokens = min(self.engine.budget.tokens, job.budget.halved().tokens)
        before, self.engine = self.engine, _with_tokens(self.engine, tokens)
        if isinstance(job, _Batch):
            without_room = self.under_way.without_room(job.draws, for_good=job.alone)
            dropped = [begun.text for begun in without_room]
        elif job.alone and _is_one_pass(job.texts, before.clean_budget):
            dropped = [*job.texts]
        else:
            dropped = []
            self.texts.extendleft(reversed(job.texts))
        for text in dropped:
            reason = f"memory ran out on one pass over its {text.length} tokens"
            yield text.row, quarantined(text.row, reason)


def _with_tokens(engine: Engine, tokens: int) -> Engine:
    return replace(engine, budget=replace(engine.budget, tokens=tokens))


def _is_one_pass(texts: Sequence[Text], budget: Budget) -> bool:
    """Say whether clean passes cannot be divided further."""
    return len(texts) == 1 and _passes_at_once(texts, budget) == 1


def _passes_at_once(texts: Sequence[Text], budget: Budget) -> int:
    """Return how many clean passes a budget has room for, or one."""
    return max(1, budget.tokens // max(text.length for text in texts))


def _clean(texts: Sequence[Text], budget: Budget, classifier: Classifier) -> list[CleanPass]:
    """Make the clean passes of all windows; those of a single long text may fill many batches."""
    encodings = [window.encoding for text in texts for window in text.encoded.windows]
    size = _passes_at_once(texts, budget)
    alike: Callable[[Encoding], int] = len if budget.equal_lengths else lambda _encoding: 0
    made: list[CleanPass] = []
    for _length, group in groupby(encodings, key=alike):
        while part := list(islice(group, size)):
            made += clean_passes(classifier, part)
    return made
