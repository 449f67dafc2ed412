"""The engine: an iterator of rows to an iterator of explanations, in the same order.

Rows are read ahead and sorted by length; then passes, not texts, are packed into batches
(`attribution.scheduler`), so that a batch may hold the last draws of one text and the first of the
next.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TypeAlias

from saliency_cli.attribution.accumulator import block_limit
from saliency_cli.attribution.batching import Budget, read_ahead
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.replicas import ReplicaPool, open_replicas
from saliency_cli.attribution.row_failures import RowFailure, guarded
from saliency_cli.attribution.scheduler import Scheduler
from saliency_cli.attribution.text_state import (
    EncodedRow,
    Outcome,
    missing_part,
    quarantined,
    same_text_key,
    with_row,
)
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import READ_AHEAD_ROWS
from saliency_cli.model.memory import release_freed_memory
from saliency_cli.model.tokenization import encode_rows
from saliency_cli.records import BadRow, Row

Finished: TypeAlias = tuple[Row | BadRow, Outcome]
HELD_BATCHES = 10
"""Limit of what the sums of active texts hold, as a multiple of the tokens of a batch."""


def _ignore_ordinals(_ordinals: Sequence[int]) -> None:
    """Do nothing: without a crash journal no one needs to know which rows the model runs on."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What all texts of a run have in common.

    Attributes:
        classifier: The model.
        maths: What is computed.
        budget: Tokens of a batch.
        replicas: Batches side by side.
        stride: Tokens that windows of a long text overlap by; None cuts long texts.
        read_ahead_rows: Rows that are sorted by length together.
        watch: Called in the thread that runs a batch, with the ordinals of the batch's rows.
    """

    classifier: Classifier
    maths: Maths
    budget: Budget
    replicas: int = 1
    stride: int | None = None
    read_ahead_rows: int = READ_AHEAD_ROWS["cpu"]
    watch: Callable[[Sequence[int]], None] = _ignore_ordinals

    @property
    def clean_budget(self) -> Budget:
        """Tokens of the texts that become active together, so that their sums fit into memory."""
        draws = self.maths.method.total_draws(0, converged=False)
        held = min(draws, block_limit(self.maths.method))
        tokens = min(self.budget.tokens, HELD_BATCHES * self.budget.tokens // max(held, 1))
        return replace(self.budget, tokens=tokens)

    def with_batch_tokens(self, tokens: int) -> "Engine":
        """Return the engine with another number of tokens in a batch."""
        return replace(self, budget=replace(self.budget, tokens=tokens))


def explain(
    rows: Iterable[Row | BadRow],
    engine: Engine,
    *,
    done: Callable[[Row | BadRow], None] = lambda _row: None,
) -> Iterator[Outcome]:
    """Yield the explanation of each row, or the row as a BadRow, in input order.

    Args:
        rows: The rows; read ahead, but never all at once.
        engine: Model, maths and batches.
        done: Called with each row as soon as its outcome is known, in any order.
    """
    with open_replicas(engine.classifier, engine.replicas) as pool:
        for group in read_ahead(rows, most=engine.read_ahead_rows):
            outcomes: dict[int, Outcome] = {}
            for row, outcome in _explain_group(group, engine, pool):
                outcomes[row.ordinal] = outcome
                done(row)
            yield from (outcomes[row.ordinal] for row in group)
            release_freed_memory()


def _explain_group(
    group: Sequence[Row | BadRow], engine: Engine, pool: ReplicaPool
) -> Iterator[Finished]:
    """Explain the rows of a read-ahead; rows with the same text are explained once."""
    yield from ((row, row) for row in group if isinstance(row, BadRow))
    alike: dict[object, list[Row]] = {}
    for row in group:
        if isinstance(row, Row):
            alike.setdefault(same_text_key(row, engine.maths), []).append(row)
    first = [rows[0] for rows in alike.values()]
    engine.watch([row.ordinal for row in first])
    texts, failing = _encode(first, engine)
    engine.watch(())  # from here on the thread of each batch reports its own rows
    for row, outcome in chain(failing, _explain_texts(texts, engine, pool)):
        for same_text_row in alike[same_text_key(row, engine.maths)]:
            yield same_text_row, with_row(outcome, same_text_row)


def _encode(
    rows: Sequence[Row], engine: Engine
) -> tuple[list[EncodedRow], list[tuple[Row, Outcome]]]:
    """Return the rows with their tokens, and the rows on which the tokenizer fails."""
    try:
        return guarded("the tokenizer", partial(_encode_all, rows, engine)), []
    except RowFailure as failure:
        if len(rows) == 1:
            return [], [(rows[0], quarantined(rows[0], failure.reason))]
    middle = len(rows) // 2
    (first, bad), (second, more_bad) = (
        _encode(part, engine) for part in (rows[:middle], rows[middle:])
    )
    return [*first, *second], [*bad, *more_bad]


def _encode_all(rows: Sequence[Row], engine: Engine) -> list[EncodedRow]:
    classifier = engine.classifier
    encoded = encode_rows(
        classifier.tokenizer, rows, max_length=classifier.max_length, stride=engine.stride
    )
    return [EncodedRow(row, each) for row, each in zip(rows, encoded, strict=True)]


def _explain_texts(
    texts: Sequence[EncodedRow], engine: Engine, pool: ReplicaPool
) -> Iterator[tuple[Row, Outcome]]:
    complete = []
    for text in texts:
        problem = missing_part(text)
        if problem is None:
            complete.append(text)
        else:
            yield text.row, quarantined(text.row, problem)
    complete.sort(key=lambda text: (-text.length, text.row.ordinal))
    yield from Scheduler(engine, pool, complete).outcomes()
