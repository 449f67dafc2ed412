"""Finds the rows on which a model or a tokenizer raises an exception."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import cycle
from traceback import clear_frames
from typing import TypeVar

from saliency_cli.attribution.probe_texts import TEXT
from saliency_cli.errors import Interrupted
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.memory import is_device_failure, is_out_of_memory
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Encoding
from saliency_cli.safe_text import error_text

Item = TypeVar("Item")
Result = TypeVar("Result")


class RowFailure(Exception):  # noqa: N818 - a failure of rows, not of the tool
    """A model or a tokenizer failed over some rows, of which at least one is the cause.

    Attributes:
        reason: Why, in one line.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def guarded(part: str, work: Callable[[], Result]) -> Result:
    """Return what `work` returns; raise `RowFailure` for any exception that a row can cause.

    `BaseException` is caught: `SystemExit` of a module and a panic of tokenizers are not an
    `Exception`. Three kinds are raised unchanged: out of memory, which the scheduler handles with
    smaller batches; a failure of the GPU, after which no row can be explained; and signals.

    Args:
        part: What raises the exception, for the reason: "the model" or "the tokenizer".
        work: Runs the model or the tokenizer on some rows.

    Raises:
        RowFailure: `work` raised an exception.
    """
    try:
        return work()
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:
        if is_out_of_memory(error) or is_device_failure(error):
            raise
        reason = f"{part} fails: {error_text(error)}"
        clear_frames(error.__traceback__)  # they would keep the tensors of the pass alive
    raise RowFailure(reason)


def find_failing(
    items: Sequence[Item], attempt: Callable[[Sequence[Item]], object], *, reason: str
) -> dict[int, str]:
    """Return the positions of the items that fail alone, each with its reason.

    The items are halved until those that fail are alone. There may be none: a model may refuse a
    batch, and accept each of its texts.

    Args:
        items: Items that failed together.
        attempt: Raises `RowFailure` if some items fail together.
        reason: Why they failed together.
    """
    if len(items) <= 1:
        return dict.fromkeys(range(len(items)), reason)
    middle = len(items) // 2
    found: dict[int, str] = {}
    for first, part in ((0, items[:middle]), (middle, items[middle:])):
        try:
            attempt(part)
        except RowFailure as failure:
            inside = find_failing(part, attempt, reason=failure.reason)
            found |= {first + position: why for position, why in inside.items()}
    return found


def attempt(future: Future[Result]) -> None:
    """Wait for a job over some rows; raise its `RowFailure`, but ignore that memory ran out."""
    try:
        future.result()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise


def stand_in_ids(classifier: Classifier) -> list[int]:
    """Return token ids on which the model does not fail: it ran on them when it was loaded."""
    (encoding,) = encode(classifier.tokenizer, [TEXT], max_length=classifier.max_length)
    pairs = zip(encoding.ids, encoding.special, strict=True)
    return [own for own, special in pairs if not special] or [classifier.pad_id]


def stand_in(encoding: Encoding, ids: Sequence[int]) -> Encoding:
    """Return an encoding of the same length with other tokens; the special ones stay.

    It replaces a text on which the model fails, so that the batches of the other texts stay the
    same, and with them the last digits of their scores.

    Args:
        encoding: The text's tokens.
        ids: Token ids of a text on which the model does not fail.
    """
    others = cycle(ids)
    pairs = zip(encoding.ids, encoding.special, strict=True)
    return replace(encoding, ids=tuple(own if special else next(others) for own, special in pairs))
