"""Number format and attention: chosen by rule, and what they move is part of the errors."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pytest
import torch
from transformers import XLNetConfig, XLNetForSequenceClassification

from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.reduction import sizes
from saliency_cli.checkpoints import load
from saliency_cli.checkpoints import precision as room
from saliency_cli.errors import UsageError
from saliency_cli.model.devices import BFLOAT16_MIN_WIDTH
from saliency_cli.records import Attribution, Explanation, Row
from saliency_cli.settings import AttentionName, Compute, DtypeName, ModelChoice
from tests.support.attribution import engine
from tests.support.models import TEXTS, save_bert, wordpiece


@pytest.mark.parametrize(
    ("asked", "fast", "wide", "dtype"),
    [
        ("auto", True, True, torch.bfloat16),
        ("auto", True, False, torch.float32),
        ("auto", False, True, torch.float32),
        ("float32", True, True, torch.float32),
        ("bfloat16", False, False, torch.bfloat16),
    ],
)
def test_bfloat16_is_taken_where_machine_and_model_gain_by_it(
    bert_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    asked: DtypeName,
    fast: bool,
    wide: bool,
    dtype: torch.dtype,
) -> None:
    monkeypatch.setattr(room, "has_fast_bfloat16", lambda _device: fast)
    monkeypatch.setattr(room, "width", lambda _classifier: BFLOAT16_MIN_WIDTH - (not wide))
    classifier = load(ModelChoice(bert_folder), Compute(device="cpu", dtype=asked))
    assert classifier.dtype == dtype
    assert {weight.dtype for weight in classifier.module.parameters()} == {dtype}
    assert (classifier.dtype_error > 0) == (dtype == torch.bfloat16)


@pytest.mark.parametrize(
    ("dtype", "asked", "attention"),
    [
        ("float32", "auto", "sdpa"),
        ("float32", "eager", "eager"),
        ("bfloat16", "auto", "eager"),
        ("bfloat16", "sdpa", "sdpa"),
    ],
)
def test_attention_follows_a_rule_or_what_was_asked_for(
    bert_folder: Path, dtype: DtypeName, asked: AttentionName, attention: str
) -> None:
    compute = Compute(device="cpu", dtype=dtype, attention=asked)
    assert load(ModelChoice(bert_folder), compute).attention == attention


def test_an_attention_that_the_model_does_not_have_is_refused(tmp_path: Path) -> None:
    tokenizer = wordpiece()
    config = XLNetConfig(
        vocab_size=len(tokenizer), d_model=16, n_layer=1, n_head=2, d_inner=16, num_labels=2
    )
    XLNetForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="--attention sdpa"):
        load(ModelChoice(tmp_path), Compute(device="cpu", attention="sdpa"))


def attributions(folder: Path, dtype: DtypeName, samples: int) -> list[Attribution]:
    run = engine(load(ModelChoice(folder), Compute(device="cpu", dtype=dtype)), samples=samples)
    rows = [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(TEXTS)]
    return [found.attribution for found in explain(rows, run) if isinstance(found, Explanation)]


def test_the_errors_of_bfloat16_cover_what_it_moves(tmp_path: Path) -> None:
    folder = save_bert(tmp_path)
    exact = attributions(folder, "float32", 64)
    within = total = 0
    for half, full in zip(attributions(folder, "bfloat16", 64), exact, strict=True):
        assert half.errors is not None
        assert full.errors is not None
        assert min(half.errors) > max(full.errors) / 10
        off = [abs(one - other) for one, other in zip(half.scores, full.scores, strict=True)]
        within += sum(each <= 2 * error for each, error in zip(off, half.errors, strict=True))
        total += len(off)
    assert within / total > 0.8


def test_rounding_is_what_bfloat16_moves_scores_by_however_many_passes_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does to each pass is a part of what draws differ by, and not told twice."""
    folder, half = save_bert(tmp_path), Compute(device="cpu", dtype="bfloat16")
    told = load(ModelChoice(folder), half).dtype_error
    monkeypatch.setattr("saliency_cli.attribution.model_checks.AVERAGED", 1)
    assert told < load(ModelChoice(folder), half).dtype_error
    pairs = zip(
        attributions(folder, "bfloat16", 64), attributions(folder, "float32", 64), strict=True
    )
    moved = [share for one, other in pairs for share in shares(one.scores, other.scores)]
    assert told / 3 < fmean(share**2 for share in moved) ** 0.5 < 3 * told


def test_rounding_that_a_plan_tells_is_not_measured_again(
    bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "plain_scores", None)
    compute = Compute(device="cpu", dtype="bfloat16", dtype_error=0.25)
    assert load(ModelChoice(bert_folder), compute).dtype_error == 0.25


def shares(scores: Sequence[float], exact: Sequence[float]) -> list[float]:
    """Return by how much scores are off, as a share of their size."""
    size = sizes(torch.tensor(exact)).tolist()
    return [(one - other) / each for one, other, each in zip(scores, exact, size, strict=True)]
