"""A model or a tokenizer fails on one row: that row is quarantined, the others keep their bytes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeAlias

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.row_failures import find_failing, guarded
from saliency_cli.attribution.text_state import quarantined
from saliency_cli.errors import Interrupted
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import BadRow, Row
from tests.support.attribution import engine
from tests.support.models import WORDS, wordpiece

POISON = "late"
POISON_ID = wordpiece().convert_tokens_to_ids(POISON)
OTHERS = [" ".join(WORDS[n : n + 3 + n % 5]) for n in range(9)]
ROWS = len(OTHERS) + 1
PLACES = {"first": 0, "middle": ROWS // 2, "last": ROWS - 1}


class UsersError(BaseException):
    """An exception that is no `Exception`, and has no message."""

    def __str__(self) -> str:
        raise LookupError


EXCEPTIONS: tuple[BaseException, ...] = (
    ValueError("a\x1b[31mb\nsecond line"),
    IndexError("list index out of range"),
    KeyError("late"),
    TypeError("a" * 10_000),
    RuntimeError("the sizes of tensors must match"),
    AssertionError(),
    AttributeError("x"),
    ZeroDivisionError("division by zero"),
    NotImplementedError(),
    RecursionError("maximum recursion depth exceeded"),
    StopIteration(),
    OSError(2, "No such file"),
    EOFError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    SystemExit(0),
    GeneratorExit(),
    UsersError(),
)


class Failing(nn.Module):
    """A model that does something else on batches that hold the poisoned text."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: Tensor, **others: Tensor) -> object:
        logits = self.inner(input_ids, **others).logits
        poisoned = (input_ids == POISON_ID).any(dim=1)
        return self.disturbed(logits, poisoned) if bool(poisoned.any()) else logits

    def disturbed(self, logits: Tensor, _poisoned: Tensor) -> object:
        """Return what the model gives for such a batch."""
        return logits


class Raising(Failing):
    """Raises in the forward pass."""

    error: BaseException

    def disturbed(self, _logits: Tensor, _poisoned: Tensor) -> object:
        raise self.error


class RaisingWithGradient(Raising):
    """Raises in the forward passes that are differentiated, and not in clean ones."""

    def disturbed(self, logits: Tensor, poisoned: Tensor) -> object:
        return super().disturbed(logits, poisoned) if torch.is_grad_enabled() else logits


class _RaisesInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, error: BaseException) -> Tensor:  # noqa: ANN401
        ctx.error = error
        return logits.clone()

    @staticmethod
    def backward(ctx: Any, *_gradients: Any) -> Any:  # noqa: ANN401
        raise ctx.error


class RaisingInBackward(Raising):
    """Raises in the backward pass."""

    def disturbed(self, logits: Tensor, _poisoned: Tensor) -> object:
        return _RaisesInBackward.apply(logits, self.error)  # type: ignore[no-untyped-call]


class WrongWidth(Failing):
    """Gives one logit too many."""

    def disturbed(self, logits: Tensor, _poisoned: Tensor) -> object:
        return torch.cat((logits, logits[:, :1]), dim=1)


class WrongRows(Failing):
    """Gives the logits of one text too few, or of one too many."""

    def disturbed(self, logits: Tensor, _poisoned: Tensor) -> object:
        return logits[1:] if len(logits) > 1 else torch.cat((logits, logits))


class NoLogits(Failing):
    """Gives nothing."""

    def disturbed(self, _logits: Tensor, _poisoned: Tensor) -> object:
        return None


class NotFinite(Failing):
    """Gives NaN for the text."""

    def disturbed(self, logits: Tensor, poisoned: Tensor) -> object:
        return logits.masked_fill(poisoned[:, None], torch.nan)


def rows_with(place: int) -> list[Row]:
    """Return the rows, with the poisoned one at a place."""
    texts = [*OTHERS[:place], f"the call was {POISON}", *OTHERS[place:]]
    return [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(texts)]


def with_module(
    bert: Classifier, kind: type[Failing], error: BaseException | None = None
) -> Classifier:
    """Return the classifier with its model inside another module."""
    module = kind(bert.module)
    if isinstance(module, Raising):
        assert error is not None
        module.error = error
    return replace(bert, module=module, embedding_name=f"inner.{bert.embedding_name}")


def records(rows: Sequence[Row | BadRow], run: Engine) -> list[str]:
    """Return each row's record as JSON."""
    return [json.dumps(outcome.record()) for outcome in explain(rows, run)]


CalmRecords: TypeAlias = Callable[[int, int], list[str]]


@pytest.fixture(scope="module")
def calm_records(bert: Classifier) -> CalmRecords:
    """Return the undisturbed records with the poisoned text at a place, by some replicas.

    Each run is made once; the tests compare with it.
    """

    @cache
    def calm(place: int, replicas: int) -> list[str]:
        return records(rows_with(place), poisoned_engine(with_module(bert, Failing), replicas))

    return calm


def poisoned_engine(classifier: Classifier, replicas: int) -> Engine:
    """Return an engine whose batches hold several of the texts."""
    return replace(engine(classifier, samples=4, tokens=120), replicas=replicas)


def check_only_the_poisoned_row_fails(
    calm: CalmRecords, failing: Classifier, place: int, *, replicas: int = 1
) -> str:
    """Explain the rows with a model that fails on one; return the reason of that row."""
    expected = calm(place, replicas)
    found = records(rows_with(place), poisoned_engine(failing, replicas))
    different = [number for number in range(ROWS) if found[number] != expected[number]]
    assert different == [place]
    record = json.loads(found[place])
    assert record["status"] == "quarantined"
    return str(record["reason"])


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("kind", [Raising, RaisingWithGradient, RaisingInBackward])
@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_whatever_a_model_raises_fails_its_row_alone(
    bert: Classifier,
    calm_records: CalmRecords,
    error: BaseException,
    kind: type[Raising],
    place: int,
) -> None:
    failing = with_module(bert, kind, error)
    reason = check_only_the_poisoned_row_fails(calm_records, failing, place)
    assert reason.startswith(f"the model fails: {type(error).__name__}")
    assert reason.isprintable()
    assert len(reason) < 300


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("kind", [WrongWidth, WrongRows, NoLogits, NotFinite, RaisingInBackward])
def test_wrong_logits_fail_their_row_alone(
    bert: Classifier,
    calm_records: CalmRecords,
    kind: type[Failing],
    place: int,
    replicas: int,
) -> None:
    failing = with_module(bert, kind, ValueError("no"))
    reason = check_only_the_poisoned_row_fails(calm_records, failing, place, replicas=replicas)
    assert "logits" in reason or reason.endswith(("not finite", "ValueError: no"))


class FailingTokenizer:
    """A tokenizer that raises on batches that hold the poisoned text."""

    def __init__(self, inner: Any, error: BaseException) -> None:  # noqa: ANN401
        self._inner, self._error = inner, error

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._inner, name)

    def __call__(self, texts: Sequence[str], **options: Any) -> Any:  # noqa: ANN401
        if any(POISON in text for text in texts):
            raise self._error
        return self._inner(texts, **options)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_whatever_a_tokenizer_raises_fails_its_row_alone(
    bert: Classifier, error: BaseException, place: int
) -> None:
    rows: list[Row | BadRow] = [*rows_with(place)]
    failing = replace(bert, tokenizer=FailingTokenizer(bert.tokenizer, error))
    found = records(rows, engine(failing, samples=4))
    rows[place] = quarantined(rows_with(place)[place], json.loads(found[place])["reason"])
    assert found == records(rows, engine(bert, samples=4))
    reason = json.loads(found[place])["reason"]
    assert reason.startswith(f"the tokenizer fails: {type(error).__name__}")


def test_a_character_that_a_wordpiece_without_unknown_token_lacks_fails_its_row(
    bert: Classifier,
) -> None:
    vocabulary = {piece: number for number, piece in enumerate(["[PAD]", "[CLS]", *WORDS])}
    raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]")
    rows = [Row(n, n + 1, None, text) for n, text in enumerate(("free", "漢字", "call now"))]
    outcomes = [*explain(rows, engine(replace(bert, tokenizer=tokenizer), samples=2))]
    assert [isinstance(each, BadRow) for each in outcomes] == [False, True, False]
    assert isinstance(outcomes[1], BadRow)
    assert outcomes[1].reason.startswith("the tokenizer fails: ")


class AlwaysFailing(Failing):
    """Fails on several texts at once, whatever they are."""

    def forward(self, input_ids: Tensor, **others: Tensor) -> object:
        if len(input_ids) > 1:
            raise ValueError("one text at a time")
        return super().forward(input_ids, **others)


def test_a_model_that_refuses_batches_is_given_smaller_ones(bert: Classifier) -> None:
    run = engine(with_module(bert, AlwaysFailing), samples=1, antithetic=False, tokens=120)
    assert all(isinstance(each, Explanation) for each in explain(rows_with(0), run))


class FailingOnLength(Failing):
    """Fails on texts of one length, so on their stand-ins too."""

    def forward(self, input_ids: Tensor, **others: Tensor) -> object:
        if bool((others["attention_mask"].sum(dim=1) == len(OTHERS[4].split()) + 2).any()):
            raise IndexError("too long")
        return super().forward(input_ids, **others)


def test_a_row_whose_stand_in_fails_too_is_quarantined(bert: Classifier) -> None:
    outcomes = [*explain(rows_with(0), engine(with_module(bert, FailingOnLength), samples=4))]
    bad = [each for each in outcomes if isinstance(each, BadRow)]
    assert bad
    assert all(each.reason == "the model fails: IndexError: too long" for each in bad)
    assert len(bad) < len(outcomes)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Interrupted(15)])
def test_what_stops_the_run_is_no_failure_of_a_row(bert: Classifier, stop: BaseException) -> None:
    with pytest.raises(type(stop)):
        records(rows_with(0), engine(with_module(bert, Raising, stop), samples=2))


def test_a_failure_of_the_gpu_is_no_failure_of_a_row(bert: Classifier) -> None:
    error = RuntimeError("CUDA error: device-side assert triggered")
    with pytest.raises(RuntimeError, match="device-side"):
        records(rows_with(0), engine(with_module(bert, Raising, error), samples=2))


@pytest.mark.parametrize("bad", [(), (0,), (6,), (1, 2, 5), tuple(range(7))])
def test_halving_finds_all_items_that_fail_alone(bad: tuple[int, ...]) -> None:
    def attempt(part: Sequence[int]) -> None:
        def work() -> None:
            if len(part) == 7 or set(part) & {*bad}:
                raise LookupError(min(part))

        guarded("the model", work)

    found = find_failing(range(7), attempt, reason="together")
    assert found == {n: f"the model fails: LookupError: {n}" for n in bad}
