"""Which words are enough for a label, and which changes of a text change it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from saliency_cli.attribution.counterfactuals import token_replacement
from saliency_cli.attribution.counterfactuals.answers import counterfactuals
from saliency_cli.attribution.counterfactuals.text_words import TextWords
from saliency_cli.attribution.counterfactuals.token_replacement import best_estimates
from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import Target, Targets, predict
from saliency_cli.model.passes import clean_passes, gradient_passes, token_batch
from saliency_cli.model.tokenization import encode_rows
from saliency_cli.records import Record, Row
from saliency_cli.settings import TargetChoice
from tests.support.attribution import engine
from tests.support.models import TEXTS, WORDS, wordpiece

SPAM = {"free": 4.0, "prize": 3.0, "won": 2.5, "call": 2.0, "now": -3.5}
"""What each word adds to the logit of the label "spam"; all other words add nothing."""


class BagOfWords(nn.Module):
    """A linear classifier: its logits are the sums of its words' embeddings, and a bias."""

    def __init__(self, weights: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(weights), 2, _weight=weights, _freeze=True)
        self.bias = bias
        self.block = nn.Sequential(self.embedding, nn.Identity())

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        if len(self.block) > 2 and (attention_mask.sum(dim=1) < 5).any():
            raise ValueError("too few tokens")
        embeddings: Tensor = self.block(input_ids)
        return (embeddings * attention_mask[..., None]).sum(dim=1) + self.bias


def bag(bert: Classifier, *, ham: float, side: str = "right", **changes: Any) -> Classifier:  # noqa: ANN401
    """Return a bag of words whose label is spam if the weights of `SPAM` sum to more than `ham`."""
    tokenizer = wordpiece()
    tokenizer.truncation_side = side
    weights = torch.zeros(len(tokenizer), 2)
    for word, weight in SPAM.items():
        weights[tokenizer.convert_tokens_to_ids(word), 1] = weight
    bias = torch.tensor([ham, 0.0], device=bert.device)
    module = BagOfWords(weights.to(bert.device), bias)
    names = {"inputs": ("input_ids", "attention_mask"), "embedding_name": "embedding"}
    return replace(
        bert, module=module, embedding=module.embedding, tokenizer=tokenizer, **names | changes
    )


def ask(classifier: Classifier, text: str, pair: str | None = None, **maths: Any) -> Record:  # noqa: ANN401
    """Return both answers about a text."""
    row = Row(0, 1, None, text, pair=pair)
    return counterfactuals(row, engine(classifier, **maths), reduce=True, flip=True)


def fresh(classifier: Classifier, texts: Sequence[tuple[str, str | None]]) -> list[Record]:
    """Return the predictions of texts, each by a pass of its own."""
    found = []
    for text, pair in texts:
        rows = [Row(0, 1, None, text, pair=pair)]
        (encoded,) = encode_rows(classifier.tokenizer, rows, max_length=classifier.max_length)
        logits = clean_passes(classifier, token_batch([encoded.whole], classifier)).logits
        (prediction,) = predict(logits, labels=classifier.labels, head=classifier.head)
        found.append(prediction.fields())
    return found


def variants(answers: Record) -> list[Record]:
    """Return the variants of the text that were found."""
    flip = answers["flip"]
    return [each for each in (answers["reduction"], flip["removal"], flip["replacement"]) if each]


def test_the_decisive_word_is_kept_removed_and_replaced(bert: Classifier) -> None:
    text = "you are free when home is late"
    answers = ask(bag(bert, ham=1), text)
    reduction, flip = answers["reduction"], answers["flip"]
    for found in (reduction, flip["removal"]):
        assert (found["words"], found["spans"], found["smallest"]) == (["free"], [[8, 12]], True)
    assert (reduction["text"], reduction["predicted"]) == ("free", "spam")
    assert flip["removal"]["text"] == "you are when home is late"
    # The model is linear, so the first-order estimate is exact: "now" lowers its logit most.
    assert (flip["replacement"]["old"], flip["replacement"]["new"]) == (["free"], ["now"])
    assert flip["replacement"]["text"] == "you are now when home is late"
    assert {each["predicted"] for each in (flip["removal"], flip["replacement"])} == {"ham"}
    # The text, and each of its seven words alone.
    assert reduction["evaluations"] == 8


def test_sets_of_three_words_and_more_are_found_step_by_step(bert: Classifier) -> None:
    text = "the prize you won when free, call home"
    answers = ask(bag(bert, ham=7.5), text)
    assert answers["reduction"]["words"] == ["prize", "won", "free"]
    assert answers["reduction"]["smallest"]
    answers = ask(bag(bert, ham=0.5), text)
    removal = answers["flip"]["removal"]
    assert removal["words"] == ["prize", "won", "free", "call"]
    assert not removal["smallest"]
    assert removal["text"] == "the you when, home"


def test_words_of_a_long_text_are_removed_many_at_once(bert: Classifier) -> None:
    filler = "is where the heart was ok you are a home when me".split()
    words = [f for n in range(16) for f in filler[: 5 + n % 7]]
    words[20], words[60], words[99] = "free", "prize", "won"
    answers = ask(bag(bert, ham=7.5, max_length=512), " ".join(words), tokens=4096)
    reduction = answers["reduction"]
    assert reduction["words"] == ["free", "prize", "won"]
    assert reduction["total"] == len(words) > 100
    assert reduction["evaluations"] < len(words) ** 2 / 8  # one by one takes 12 times as many
    assert answers["flip"]["removal"]["words"] == ["free"]


@pytest.mark.parametrize(("side", "start"), [("right", 0), ("left", 17)])
def test_only_what_the_model_reads_is_changed(bert: Classifier, side: str, start: int) -> None:
    text = "free call ok you, free call ok you"
    answers = ask(bag(bert, ham=1, max_length=6, side=side), text)
    (span,) = answers["reduction"]["spans"]
    assert text[slice(*span)] == "free"
    assert span[0] == text.index("free", start)
    for found in (answers["flip"]["removal"], answers["flip"]["replacement"]):
        assert all(start <= first < start + 16 for first, _ in found["spans"])
    assert answers["flip"]["replacement"]["text"].split()[2:] == ["ok", "you"]


def test_a_multi_label_target_keeps_or_changes_its_side_of_the_threshold(bert: Classifier) -> None:
    classifier = bag(bert, ham=-3, head="multi-label")
    answers = ask(classifier, "call me home", target=TargetChoice("spam", threshold=0.9))
    assert answers["flip"]["label"] == "spam"
    assert answers["reduction"]["words"] in (["me"], ["home"])
    assert answers["reduction"]["probabilities"]["spam"] <= answers["flip"]["before"] < 0.9
    assert answers["flip"]["removal"] is None
    assert answers["flip"]["replacement"]["new"] == ["free"]
    assert answers["flip"]["replacement"]["probabilities"]["spam"] > 0.9


@pytest.mark.parametrize(
    ("name", "text", "pair"),
    [
        ("bert", TEXTS[3], None),
        ("bert", TEXTS[2], TEXTS[0]),
        ("gpt2", TEXTS[1], None),
        ("sample", "Free entry: text WIN to 80082 now, it's a prize!", None),
    ],
)
def test_each_probability_is_that_of_the_text_that_is_reported(
    request: pytest.FixtureRequest, name: str, text: str, pair: str | None
) -> None:
    classifier: Classifier = request.getfixturevalue(name)
    answers = ask(classifier, text, pair, tokens=100)
    found = variants(answers)
    assert len(found) >= 2
    passes = fresh(classifier, [(each["text"], each["pair"]) for each in found])
    for each, alone in zip(found, passes, strict=True):
        assert each["predicted"] == alone["predicted"]
        assert each["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-5)
        assert (each is answers["reduction"]) == (each["predicted"] == answers["flip"]["label"])
    (before,) = fresh(classifier, [(text, pair)])
    assert answers["flip"]["before"] == pytest.approx(before["probability"], abs=1e-5)
    texts = (text, pair)
    for each in (each for each in found if "words" in each):
        places = zip(each.get("segments", [0] * 99), each["spans"], strict=False)
        assert each["words"] == [str(texts[segment])[slice(*span)] for segment, span in places]


def labels_with_fewer(
    classifier: Classifier, text: str, found: Record, *, removed: bool
) -> set[str]:
    """Return the labels of the texts with one word less kept, or one word less removed."""
    row = Row(0, 1, None, text)
    (encoded,) = encode_rows(classifier.tokenizer, [row], max_length=classifier.max_length)
    words = TextWords.of(row, encoded.whole)
    listed = [n for n, span in enumerate(words.spans) if [span.start, span.end] in found["spans"]]
    fewer = [tuple(n for n in listed if n != one) for one in listed]
    kept = [words.without(each) if removed else each for each in fewer]
    texts = [(words.joined(each)[0], None) for each in kept if each]
    return {each["predicted"] for each in fresh(classifier, texts)}


@given(st.lists(st.sampled_from(WORDS), min_size=2, max_size=7).map(" ".join))
@settings(max_examples=10)
def test_no_word_less_would_do(bert: Classifier, text: str) -> None:
    answers = ask(bert, text)
    label, removal = answers["flip"]["label"], answers["flip"]["removal"]
    assert answers["reduction"]["predicted"] == label
    assert label not in labels_with_fewer(bert, text, answers["reduction"], removed=False)
    assert removal is None or labels_with_fewer(bert, text, removal, removed=True) <= {label}


def test_words_that_need_not_be_removed_are_put_back(sample: Classifier) -> None:
    """The search removes twelve words here, of which one is not needed."""
    text = "En chikku nange bakra msg kalstiya..then had tea/coffee?"
    removal = ask(sample, text)["flip"]["removal"]
    assert len(removal["words"]) > 2
    assert labels_with_fewer(sample, text, removal, removed=True) == {"ham"}


@pytest.mark.parametrize("name", ["bert", "sample"])
def test_the_budget_changes_no_answer(request: pytest.FixtureRequest, name: str) -> None:
    classifier: Classifier = request.getfixturevalue(name)
    one, other = (ask(classifier, TEXTS[2], tokens=tokens) for tokens in (16, 4096))
    for each, same in zip(variants(one), variants(other), strict=True):
        assert each["text"] == same["text"]
        assert each["probabilities"] == pytest.approx(same["probabilities"], abs=1e-5)
    assert one["flip"]["evaluations"] == other["flip"]["evaluations"]


def test_estimates_are_what_a_linear_model_gives_for_every_token(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_replacement, "VOCABULARY_CHUNK", 7)
    classifier = bag(bert, ham=1)
    torch.manual_seed(0)
    assert isinstance(classifier.embedding, nn.Embedding)
    classifier.embedding.weight.normal_()
    rows = [Row(0, 1, None, "you won a prize")]
    (encoded,) = encode_rows(classifier.tokenizer, rows, max_length=64)
    text, spam = encoded.whole, Targets.of([Target("spam", 1)])
    tokens = token_batch([text], classifier)
    gradient = gradient_passes(classifier, tokens, None, targets=spam, objective="logit").values[0]
    estimates, ids = best_estimates(gradient, torch.tensor(text.ids), classifier)
    special = set(classifier.tokenizer.all_special_ids)
    usable = [v for v in range(len(classifier.tokenizer)) if v not in special]
    for position in range(len(text)):
        replaced = [
            replace(text, ids=(*text.ids[:position], v, *text.ids[position + 1 :]))
            for v in [text.ids[position], *usable]
        ]
        logits = clean_passes(classifier, token_batch(replaced, classifier)).logits[:, 1]
        best = (logits[1:] - logits[0]).topk(token_replacement.TOKENS_A_POSITION)
        torch.testing.assert_close(estimates[position], best.values, rtol=1e-4, atol=1e-5)
        assert ids[position].tolist() == [usable[n] for n in best.indices.tolist()]


def test_tokens_are_replaced_whichever_layer_is_explained(bert: Classifier) -> None:
    block = bert.module.get_submodule("bert.embeddings")
    through_block = replace(bert, embedding=block, embedding_name="bert.embeddings")
    assert ask(through_block, TEXTS[3]) == ask(bert, TEXTS[3])


@pytest.mark.parametrize(
    ("text", "kept", "joined"),
    [
        ("don't stop, please", (0, 3), "don't please"),
        ("don't stop, please", (0, 1, 3), "don't stop please"),
        ("well-known words", (0, 2, 3), "well known words"),
        ("(ok)", (1, 2), "ok)"),
        ("(ok)", (0, 2), "()"),
        (" a\n\nb c ", (0, 1), "a\n\nb"),
        (" a\n\nb c ", (0, 1, 2), " a\n\nb c "),
        ("日本語", (0, 2), "日語"),
    ],
)
def test_what_is_left_of_a_text_keeps_its_words_apart(
    sample: Classifier, text: str, kept: tuple[int, ...], joined: str
) -> None:
    row = Row(0, 1, None, text)
    (encoded,) = encode_rows(sample.tokenizer, [row], max_length=64)
    assert TextWords.of(row, encoded.whole).joined(kept) == (joined,)


def test_what_has_no_answer_is_refused(bert: Classifier) -> None:
    spam = bag(bert, ham=1)
    hidden = replace(spam, embedding=spam.module.get_submodule("block"), embedding_name="block")
    fragile = bag(bert, ham=1)
    fragile.module.get_submodule("block").append(nn.Identity())  # type: ignore[operator]
    cases = [
        (replace(spam, head="regression"), "free call", "regression head"),
        (spam, "free", "two words or more"),
        (hidden, "free call", "no table of token embeddings"),
        (fragile, "free call me", "fails: ValueError: too few tokens"),
    ]
    for classifier, text, message in cases:
        with pytest.raises(UsageError, match=message):
            ask(classifier, text)
    windows = replace(engine(replace(spam, max_length=6)), stride=1)
    with pytest.raises(UsageError, match="in one window"):
        counterfactuals(Row(0, 1, None, TEXTS[3]), windows, reduce=True, flip=False)
