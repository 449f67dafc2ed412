"""Pairs, and texts longer than the model: each token once, whatever window it was seen in."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.analysis.words import pieces
from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.windows import merge
from saliency_cli.checkpoints.lengths import choose_stride
from saliency_cli.errors import UsageError
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import clean_passes, token_batch
from saliency_cli.model.tokenization import encode, encode_rows
from saliency_cli.records import BadRow, Encoded, Encoding, Record, Row, Window
from saliency_cli.settings import Compute
from tests.support.attribution import engine
from tests.support.models import TEXTS, WORDS

LONG = " ".join(WORDS * 4)
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(" ".join)


def records(run: Engine, *rows: Row) -> list[Record]:
    outcomes = list(explain(rows, run))
    assert all(isinstance(outcome, Explanation) for outcome in outcomes), outcomes
    return [outcome.record() for outcome in outcomes]


def row(text: str, pair: str | None = None, ordinal: int = 0) -> Row:
    return Row(ordinal, ordinal + 1, None, text, pair=pair)


def windowed(classifier: Classifier, *, length: int = 16, stride: int = 4, **maths: Any) -> Engine:  # noqa: ANN401
    short = replace(classifier, max_length=length)
    return replace(engine(short, **{"samples": 4, **maths}), stride=stride)


# Windows.


@given(text=texts, pair=st.none() | texts, length=st.integers(10, 40), stride=st.integers(0, 6))
def test_windows_hold_every_token_once_and_in_its_place(
    bert: Classifier, text: str, pair: str | None, length: int, stride: int
) -> None:
    tokenizer = bert.tokenizer
    (found,) = encode_rows(tokenizer, [row(text, pair)], max_length=length, stride=stride)
    whole = found.whole
    held = {place for window in found.windows for place in window.positions}
    assert held == set(range(len(whole)))
    for window in found.windows:
        assert len(window.encoding) <= length
        for name in ("ids", "tokens", "special", "segments", "offsets"):
            mine, all_of_them = getattr(window.encoding, name), getattr(whole, name)
            assert [all_of_them[place] for place in window.positions] == list(mine)
    if not whole.truncated and pair is None:
        assert whole.ids == tuple(tokenizer(text)["input_ids"])


def test_a_short_text_is_one_window_and_a_stride_changes_nothing(bert: Classifier) -> None:
    run = engine(bert, samples=4)
    rows = [row(text, ordinal=ordinal) for ordinal, text in enumerate(TEXTS)]
    assert records(replace(run, stride=4), *rows) == records(run, *rows)


def test_without_a_stride_a_long_text_is_cut_and_marked(bert: Classifier) -> None:
    short = replace(bert, max_length=16)
    (made,) = records(engine(short, samples=2), row(LONG))
    assert (made["truncated"], made["windows"], len(made["tokens"])) == (True, 1, 16)
    assert pieces(made)[-1].cut


def test_the_prediction_is_the_mean_of_the_windows_logits(bert: Classifier) -> None:
    run = windowed(bert)
    (made,) = records(run, row(LONG))
    (found,) = encode_rows(bert.tokenizer, [row(LONG)], max_length=16, stride=4)
    windows = token_batch([window.encoding for window in found.windows], run.classifier)
    mean = clean_passes(run.classifier, windows).logits.double().mean(dim=0).softmax(dim=0)
    assert made["windows"] == len(found.windows) > 3
    assert not made["truncated"]
    assert list(made["probabilities"].values()) == pytest.approx(mean.tolist(), rel=1e-5)


def test_windows_without_overlap_are_the_texts_themselves(bert: Classifier) -> None:
    """Two windows that share nothing: raw scores as of two texts, special tokens added up."""
    text = " ".join(WORDS[:8])
    run = windowed(bert, length=6, stride=0, noise=0.0, reduction="dot")
    (made,) = records(run, row(text))
    parts = encode(bert.tokenizer, [" ".join(WORDS[:4]), " ".join(WORDS[4:8])], max_length=6)
    raw = []
    label = bert.labels.index(made["target"])
    for embedding in clean_passes(bert, token_batch(parts, bert)).embeddings:
        leaf = embedding[None].clone().requires_grad_()
        logits = bert.module(inputs_embeds=leaf).logits
        raw.append((torch.autograd.grad(logits[0, label], leaf)[0][0] * embedding).sum(-1))
    first, second = (part.double() for part in raw)
    ends = [first[:1] + second[:1], first[-1:] + second[-1:]]
    expected = torch.cat((ends[0], first[1:-1], second[1:-1], ends[1]))
    expected = expected / expected.abs().sum()
    assert made["windows"] == 2
    assert made["scores"] == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("tokens", [1, 60, 100_000])
@pytest.mark.parametrize("blind", [True, False])
def test_batches_change_nothing_for_windows(bert: Classifier, tokens: int, *, blind: bool) -> None:
    rows = [row(text, ordinal=n) for n, text in enumerate((LONG, *TEXTS, " ".join(WORDS * 2)))]
    whole = records(windowed(bert), *rows)
    run = replace(windowed(bert), budget=Budget(tokens, equal_lengths=not blind))
    for one, other in zip(records(run, *rows), whole, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5 * max(other["scores"]))


def test_scores_of_windows_are_shares_with_errors(bert: Classifier) -> None:
    for samples in (2, 4, "auto"):
        (made,) = records(windowed(bert, samples=samples), row(LONG))
        assert sum(map(abs, made["scores"])) == pytest.approx(1, abs=1e-5)
        assert (made["errors"] is None) == (samples == 2)


def test_errors_of_windows_tell_the_truth() -> None:
    """Raw scores with a known spread: the merged errors are that of the merged scores."""
    generator = torch.Generator().manual_seed(0)
    encoding = Encoding((1,) * 6, (0,) * 6, ("t",) * 6, ((0, 1),) * 6, (False,) * 6, (0,) * 6)
    part = replace(encoding, **{name: getattr(encoding, name)[:4] for name in FIELDS})
    encoded = Encoded(encoding, (Window(part, (0, 1, 2, 3)), Window(part, (2, 3, 4, 5))))
    truth = torch.tensor([[3.0, 1, 2, 2], [2, 2, 1, 4]], dtype=torch.float64)
    covered = []
    for _ in range(300):
        draws = truth[:, None] + 0.2 * torch.randn(2, 8, 4, generator=generator)
        parts = [torch.cat((d.mean(0)[None], (d.sum(0) - d) / 7)) for d in draws]
        scores, errors = merge(encoded, parts)
        assert errors is not None
        exact, _ = merge(encoded, list(truth[:, None]))
        covered.append((scores - exact).abs() <= errors)
    assert 0.60 <= float(torch.stack(covered).double().mean()) <= 0.75


FIELDS = ("ids", "type_ids", "tokens", "offsets", "special", "segments")


def test_a_tokenizer_that_cuts_on_the_left_has_the_same_windows(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = encode_rows(bert.tokenizer, [row(LONG)], max_length=16, stride=4)
    monkeypatch.setattr(bert.tokenizer, "truncation_side", "left")
    assert encode_rows(bert.tokenizer, [row(LONG)], max_length=16, stride=4) == found
    (cut,) = encode_rows(bert.tokenizer, [row(LONG)], max_length=16)
    assert cut.whole.offsets[-2][1] == len(LONG)


@pytest.mark.parametrize(("stride", "room"), [(61, True), (62, False), (100, False)])
def test_a_stride_leaves_room_for_text(bert: Classifier, stride: int, *, room: bool) -> None:
    compute = Compute(stride=stride)
    if room:
        assert choose_stride(compute, bert) == stride
        return
    with pytest.raises(UsageError, match="62 tokens"):
        choose_stride(compute, bert)


# Pairs.


def test_a_pair_goes_through_the_tokenizers_own_template(bert: Classifier) -> None:
    (made,) = records(engine(bert, samples=4), row("free call", "you won a prize"))
    assert made["tokens"] == ["[CLS]", "free", "call", "[SEP]", *"you won a prize".split(), "[SEP]"]
    assert made["segments"] == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert made["pair"] == "you won a prize"
    assert made["offsets"][4:8] == [[0, 3], [4, 7], [8, 9], [10, 15]]
    inputs = bert.tokenizer("free call", "you won a prize", return_tensors="pt")
    expected = bert.module(**inputs).logits.softmax(dim=-1)[0].tolist()
    assert list(made["probabilities"].values()) == pytest.approx(expected, rel=1e-5)


def test_the_halves_of_a_pair_are_shaded_each_by_itself(bert: Classifier) -> None:
    (made,) = records(engine(bert, samples=4), row("free call", "you won"))
    for segment, text in enumerate(("free call", "you won")):
        found = pieces(made, segment=segment)
        assert "".join(piece.text for piece in found if not piece.special) == text
    both = [*pieces(made), *pieces(made, segment=1)]
    assert sum(piece.score for piece in both) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("text_is_longer", [True, False])
def test_of_a_long_pair_the_longer_half_is_divided(
    bert: Classifier, *, text_is_longer: bool
) -> None:
    halves = (LONG, "you won") if text_is_longer else ("you won", LONG)
    (made,) = records(windowed(bert), row(*halves))
    assert made["windows"] > 3
    assert not made["truncated"]
    assert made["segments"].count(0 if text_is_longer else 1) > 40
    assert sum(map(abs, made["scores"])) == pytest.approx(1, abs=1e-5)


def test_a_pair_that_leaves_windows_no_room_is_cut(bert: Classifier) -> None:
    (made,) = records(windowed(bert), row(LONG, LONG))
    assert (made["truncated"], made["windows"], len(made["tokens"])) == (True, 1, 16)


def test_a_pair_without_a_token_is_quarantined(bert: Classifier) -> None:
    (outcome,) = explain([row("free call", " ")], engine(bert, samples=2))
    assert isinstance(outcome, BadRow)
    assert outcome.reason == "the pair has no token"
