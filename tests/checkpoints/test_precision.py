"""Number format and attention: chosen by rule, and the dtype error is part of every error."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pytest
import torch
from transformers import XLNetConfig, XLNetForSequenceClassification

from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.reduction import sizes
from saliency_cli.checkpoints import load, precision
from saliency_cli.errors import UsageError
from saliency_cli.explanations import Attribution, Explanation
from saliency_cli.model.devices import BFLOAT16_MIN_WIDTH
from saliency_cli.records import Row
from saliency_cli.settings import AttentionName, Compute, DtypeName, ModelChoice
from tests.support.attribution import PLAIN, engine
from tests.support.models import TEXTS, save_bert, wordpiece


@pytest.mark.parametrize(
    ("requested", "fast", "wide", "dtype"),
    [
        ("auto", True, True, torch.bfloat16),
        ("auto", True, False, torch.float32),
        ("auto", False, True, torch.float32),
        ("float32", True, True, torch.float32),
        ("bfloat16", False, False, torch.bfloat16),
    ],
)
def test_auto_is_bfloat16_for_fast_devices_and_wide_models(
    bert_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    requested: DtypeName,
    fast: bool,
    wide: bool,
    dtype: torch.dtype,
) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda _device: fast)
    monkeypatch.setattr(
        precision, "embedding_width", lambda _classifier: BFLOAT16_MIN_WIDTH - (not wide)
    )
    classifier = load(ModelChoice(bert_folder), Compute(device="cpu", dtype=requested))
    assert classifier.dtype == dtype
    assert {weight.dtype for weight in classifier.module.parameters()} == {dtype}
    assert (classifier.dtype_error > 0) == (dtype == torch.bfloat16)


@pytest.mark.parametrize(
    ("dtype", "requested", "attention"),
    [
        ("float32", "auto", "sdpa"),
        ("float32", "eager", "eager"),
        ("bfloat16", "auto", "eager"),
        ("bfloat16", "sdpa", "sdpa"),
    ],
)
def test_attention_follows_the_option_or_a_rule(
    bert_folder: Path, dtype: DtypeName, requested: AttentionName, attention: str
) -> None:
    compute = Compute(device="cpu", dtype=dtype, attention=requested)
    assert load(ModelChoice(bert_folder), compute).attention == attention


def test_an_attention_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    tokenizer = wordpiece()
    config = XLNetConfig(
        vocab_size=len(tokenizer), d_model=16, n_layer=1, n_head=2, d_inner=16, num_labels=2
    )
    XLNetForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="--attention sdpa"):
        load(ModelChoice(tmp_path), Compute(device="cpu", attention="sdpa"))


def attributions(folder: Path, dtype: DtypeName, samples: int) -> list[Attribution]:
    classifier = load(ModelChoice(folder), Compute(device="cpu", dtype=dtype), PLAIN)
    run = engine(classifier, samples=samples)
    rows = [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(TEXTS)]
    return [each.attribution for each in explain(rows, run) if isinstance(each, Explanation)]


def test_errors_in_bfloat16_cover_the_difference_to_float32(tmp_path: Path) -> None:
    folder = save_bert(tmp_path)
    exact = attributions(folder, "float32", 64)
    within = total = 0
    for half, full in zip(attributions(folder, "bfloat16", 64), exact, strict=True):
        assert half.errors is not None
        assert full.errors is not None
        assert min(half.errors) > max(full.errors) / 10
        changes = [abs(one - other) for one, other in zip(half.scores, full.scores, strict=True)]
        within += sum(
            change <= 2 * error for change, error in zip(changes, half.errors, strict=True)
        )
        total += len(changes)
    assert within / total > 0.8


def test_the_dtype_error_does_not_include_the_rounding_of_single_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounding of single passes makes draws differ, so their standard error already has it."""
    folder, half = save_bert(tmp_path), Compute(device="cpu", dtype="bfloat16")
    dtype_error = load(ModelChoice(folder), half, PLAIN).dtype_error
    # A single draw has little of that rounding, or much: the mean over many draws is what is left.
    monkeypatch.setattr("saliency_cli.attribution.model_checks.AVERAGED_DRAWS", 64)
    assert dtype_error == pytest.approx(load(ModelChoice(folder), half, PLAIN).dtype_error, rel=0.3)
    pairs = zip(
        attributions(folder, "bfloat16", 64), attributions(folder, "float32", 64), strict=True
    )
    changes = [each for one, other in pairs for each in relative_changes(one.scores, other.scores)]
    assert dtype_error / 3 < fmean(each**2 for each in changes) ** 0.5 < 3 * dtype_error


def test_the_dtype_error_of_a_plan_is_not_measured_again(
    bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "plain_scores", None)
    compute = Compute(device="cpu", dtype="bfloat16", dtype_error=0.25)
    assert load(ModelChoice(bert_folder), compute).dtype_error == 0.25


def relative_changes(scores: Sequence[float], exact: Sequence[float]) -> list[float]:
    """Return the changes of scores as shares of their size."""
    size = sizes(torch.tensor(exact)).tolist()
    return [(one - other) / each for one, other, each in zip(scores, exact, size, strict=True)]
