"""Texts with words taken out or put in: what the model reads of them, and what it cannot read."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from saliency_cli.attribution.changed_texts import (
    ChangedText,
    encoded_rows,
    predicted_labels,
    spelling,
    with_words,
    without_words,
)
from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.replicas import open_replicas
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import Encoded, Row
from tests.support.attribution import engine
from tests.support.models import TEXTS


def read(run: Engine, texts: Sequence[str], pair: str | None = None) -> list[tuple[Row, Encoded]]:
    rows = [Row(n, n + 1, None, text, pair=pair) for n, text in enumerate(texts)]
    encoded = [each for each in encoded_rows(rows, run) if each is not None]
    return [*zip(rows, encoded, strict=True)]


def labels(run: Engine, texts: Sequence[ChangedText]) -> list[str | None]:
    with open_replicas(run.classifier, 1) as pool:
        return predicted_labels(texts, run, pool)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("free call now", "free won call now"),
        ("freecall,now", "freecall won ,now"),
        ("ok", "won ok"),
        ("", "won "),
    ],
)
def test_words_are_put_before_the_middle_word(bert: Classifier, text: str, expected: str) -> None:
    ((row, encoded),) = read(engine(bert), [text])
    assert with_words(row, encoded, "won").text == expected


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_that_is_cut_keeps_the_new_words(bert: Classifier, side: str) -> None:
    bert.tokenizer.truncation_side = side
    try:
        run = engine(replace(bert, max_length=12))
        ((row, encoded),) = read(run, ["free call now " * 20])
        ((changed, again),) = read(run, [with_words(row, encoded, "won prize").text])
    finally:
        bert.tokenizer.truncation_side = "right"
    assert encoded.whole.truncated
    assert {"won", "prize"} <= {*again.whole.tokens}
    assert spelling(changed, again, "won") == "won"


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_labels_are_those_of_single_passes(request: pytest.FixtureRequest, kind: str) -> None:
    classifier = request.getfixturevalue(kind)
    run = engine(classifier)
    rows = read(run, TEXTS[:4])
    changed = [without_words(row, encoded, ["the", "you"]) for row, encoded in rows]
    found = labels(run, changed)
    for (_, encoded), text, label in zip(rows, changed, found, strict=True):
        whole = [*zip(encoded.whole.ids, range(len(encoded.whole)), strict=True)]
        ids = torch.tensor([[own for own, place in whole if place not in text.removed]])
        logits = classifier.module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        assert label == classifier.labels[int(logits.argmax())]
    assert found == [label for each in changed for label in labels(run, [each])]
    assert found == labels(replace(run, budget=replace(run.budget, tokens=1)), changed)


class Refusing(nn.Module):
    """Fails on a batch with a token, and gives no number for another one."""

    def __init__(self, module: nn.Module, failing: int, infinite: int) -> None:
        super().__init__()
        self.module, self.failing, self.infinite = module, failing, infinite

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        if (input_ids == self.failing).any():
            raise ValueError("this token")
        logits: Tensor = self.module(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits.where((input_ids != self.infinite).all(dim=1)[:, None], torch.nan)


def test_a_text_on_which_the_model_fails_has_no_label(bert: Classifier) -> None:
    ids = bert.tokenizer.convert_tokens_to_ids(["prize", "home"])
    names = ("input_ids", "attention_mask")
    run = engine(replace(bert, module=Refusing(bert.module, *ids), inputs=names))
    found = labels(run, [ChangedText(each) for _, each in read(run, TEXTS[:3])])
    assert found[0] in bert.labels
    assert found[1:] == [None, None]
