"""Predictions of texts with words taken out, or put in."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TypeAlias, TypeVar

from saliency_cli import signals
from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.removal_passes import mean_logits
from saliency_cli.attribution.replicas import ReplicaPool
from saliency_cli.attribution.row_failures import RowFailure, guarded
from saliency_cli.attribution.units import span_of, word_positions
from saliency_cli.attribution.word_checks import words_by_key, written_word
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.memory import is_out_of_memory
from saliency_cli.model.tokenization import TEXT, encode_rows
from saliency_cli.records import Encoded, Row

Item = TypeVar("Item")
Result = TypeVar("Result")
Label: TypeAlias = str | None
"""What is predicted; None if the tokenizer or the model fails on the text."""


@dataclass(frozen=True, slots=True)
class ChangedText:
    """A text that the model reads, without some of its tokens.

    Attributes:
        encoded: The text.
        removed: The positions of the tokens that are taken out.
    """

    encoded: Encoded
    removed: frozenset[int] = frozenset()

    @property
    def length(self) -> int:
        """Tokens of the longest window."""
        return max(len(window.encoding) for window in self.encoded.windows)

    @property
    def passes(self) -> int:
        """Number of passes: one for each window."""
        return len(self.encoded.windows)


def encoded_rows(rows: Sequence[Row], engine: Engine) -> list[Encoded | None]:
    """Return the tokens of some rows, as the engine reads them; None where the tokenizer fails.

    Args:
        rows: The rows.
        engine: The model.
    """
    classifier = engine.classifier

    def encode(some: Sequence[Row]) -> list[Encoded | None]:
        return [
            *encode_rows(
                classifier.tokenizer, some, max_length=classifier.max_length, stride=engine.stride
            )
        ]

    return _in_halves(rows, lambda some: guarded("the tokenizer", partial(encode, some)))


def without_words(row: Row, encoded: Encoded, words: Iterable[str]) -> ChangedText:
    """Return a text without all occurrences of some words.

    Args:
        row: The row.
        encoded: Its tokens.
        words: The keys of the words.
    """
    places = words_by_key(row, encoded.whole)
    occurrences = chain.from_iterable(places.get(word, ()) for word in words)
    return ChangedText(encoded, frozenset(chain.from_iterable(occurrences)))


def with_words(row: Row, encoded: Encoded, written: str) -> Row:
    """Return a row with words before the middle one of those that the model reads of its text.

    So no word is broken, and a text that is cut loses its end, or its start, but not the new words.

    Args:
        row: The row.
        encoded: Its tokens.
        written: The words as they are written, with blanks between them.
    """
    spans = [span_of(encoded.whole, each) for each in word_positions(row, encoded.whole)]
    starts = [start for segment, start, _ in spans if segment == TEXT]
    place = starts[len(starts) // 2] if starts else 0
    before, after = row.text[:place], row.text[place:]
    blank = " " if before and not before[-1].isspace() else ""
    return replace(row, text=f"{before}{blank}{written} {after}")


def spelling(row: Row, encoded: Encoded, word: str) -> str:
    """Return a word as it is first written in a text that has it.

    Args:
        row: The row.
        encoded: Its tokens.
        word: The word's key, which is returned if the text lacks the word.
    """
    places = words_by_key(row, encoded.whole).get(word)
    return written_word(row, encoded.whole, places[0]) if places else word


def predicted_labels(
    texts: Sequence[ChangedText], engine: Engine, pool: ReplicaPool
) -> list[Label]:
    """Return the label that the model predicts for each text, in batches of similar length.

    Args:
        texts: The texts.
        engine: Model and batches.
        pool: The model's replicas.
    """
    order = sorted(range(len(texts)), key=lambda number: -texts[number].length)
    queue = deque(texts[number] for number in order)
    batches, jobs = [], []
    while queue:
        batches.append(engine.budget.take(queue))
        jobs.append(_submit(batches[-1], engine.budget, pool))
    found = (_collect(*each, engine.budget, pool) for each in zip(batches, jobs, strict=True))
    by_number = dict(zip(order, chain.from_iterable(found), strict=True))
    return [by_number[number] for number in range(len(texts))]


def _submit(batch: Sequence[ChangedText], budget: Budget, pool: ReplicaPool) -> Future[list[Label]]:
    return pool.submit(partial(_labels, batch=batch, budget=budget))


def _collect(
    batch: Sequence[ChangedText], job: Future[list[Label]], budget: Budget, pool: ReplicaPool
) -> list[Label]:
    """Return the labels of a batch; of one that fails, in halves."""
    signals.check()
    first = [job]  # the whole batch was submitted already

    def run(some: Sequence[ChangedText]) -> list[Label]:
        return (first.pop() if first else _submit(some, budget, pool)).result()

    return _in_halves(batch, run)


def _labels(classifier: Classifier, *, batch: Sequence[ChangedText], budget: Budget) -> list[Label]:
    """Return the labels of a batch; none for a text with a logit that is not finite."""

    def run() -> list[Label]:
        logits = mean_logits(
            [text.encoded for text in batch],
            [text.removed for text in batch],
            classifier,
            budget=budget,
        )
        finite = logits.isfinite().all(dim=1).tolist()
        indices = logits.argmax(dim=1).tolist()
        return [classifier.labels[n] if ok else None for n, ok in zip(indices, finite, strict=True)]

    return guarded("the model", run)


def _in_halves(
    items: Sequence[Item], run: Callable[[Sequence[Item]], list[Result | None]]
) -> list[Result | None]:
    """Return what `run` returns; of items on which it fails, in halves, and None for a single one.

    Memory that runs out is such a failure.
    """
    if not items:
        return []
    try:
        return run(items)
    except RowFailure:
        pass
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    if len(items) == 1:
        return [None]
    middle = len(items) // 2
    return [*_in_halves(items[:middle], run), *_in_halves(items[middle:], run)]
