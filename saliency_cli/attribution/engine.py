"""The engine: an iterator of rows to an iterator of explanations, in the same order.

Rows are read ahead, tokenized and sorted by length. From there on the unit is the batch of texts, a
few tensors (`attribution.parts`): clean passes, noise, draws, scores and errors are operations on
all of its texts at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TypeAlias

from saliency_cli.attribution.batching import Budget, read_ahead
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.parts import bytes_per_token
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
HELD_BYTES = {"cpu": 256 << 20, "cuda": 4 << 30}
"""Limit of what the embeddings and sums of a wave's texts may hold, if none of them converges."""

LONGEST_TEXT = 4_096
"""Tokens of a text that memory is planned for, where a model would read even longer ones."""


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
    def wave_tokens(self) -> int:
        """Tokens of a wave: texts whose sums are held together until all their draws are made."""
        weights = self.classifier.embedding.parameters()
        width = max((weight.shape[-1] for weight in weights), default=1)
        held = HELD_BYTES[self.classifier.device.type]
        longest = min(self.classifier.max_length, LONGEST_TEXT)
        return held // bytes_per_token(self.maths, width=width, longest=longest)

    @property
    def clean_budget(self) -> Budget:
        """Tokens of the texts of a round."""
        return replace(self.budget, tokens=min(self.budget.tokens, max(1, self.wave_tokens)))


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
            release_freed_memory(rows=len(group))


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
    yield from Scheduler(engine, pool).outcomes(complete)
