"""Attention weights are those of transformers, and the head reads the positions that are found."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from saliency_cli.checkpoints import load
from saliency_cli.errors import UsageError
from saliency_cli.model.attentions import (
    TextAttention,
    attention_rollout,
    last_layer_attention,
    text_attentions,
)
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import clean_passes, token_batch
from saliency_cli.model.token_batch import TokenBatch
from saliency_cli.model.tokenization import encode
from saliency_cli.settings import Compute, ModelChoice
from tests.support.architectures import ARCHITECTURES, save_architecture
from tests.support.attribution import PLAIN
from tests.support.models import TEXTS
from tests.support.user_modules import write_user_module

READ_LAST = {name for name in ARCHITECTURES if name.startswith(("GPT-2", "Llama", "Qwen"))}
READ_ALL = {"ModernBERT, mean", "BART", "T5"}
"""The mean over the tokens, and encoders: a decoder attends to all positions."""
SAME_MODELS = {"BERT, WordLevel", "GPT-2, padding of the tokenizer", "T5, ReLU"}
"""They differ from another one in the tokenizer or the activation alone."""


def batch(classifier: Classifier, *texts: str) -> TokenBatch:
    return token_batch(
        encode(classifier.tokenizer, texts, max_length=classifier.max_length), classifier
    )


def expected_read(name: str, length: int) -> Tensor:
    """Return the weights [L] of the positions that the head of an architecture reads."""
    if name in READ_ALL:
        return torch.full((length,), 1 / length)
    return torch.eye(length)[-1 if name in READ_LAST else 0]


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"XLNet", *SAME_MODELS}))
def test_weights_are_those_of_transformers(name: str, tmp_path: Path, compute: Compute) -> None:
    classifier = load(ModelChoice(save_architecture(name, tmp_path)), compute, PLAIN)
    short, long = (batch(classifier, text) for text in (TEXTS[0], TEXTS[3]))
    before = clean_passes(classifier, long).logits
    alone = [*text_attentions(classifier, short), *text_attentions(classifier, long)]
    assert torch.equal(clean_passes(classifier, long).logits, before)
    both = TokenBatch.join([short, long])
    batches = [alone, text_attentions(classifier, both)] if classifier.padding_blind else [alone]
    for found in batches:
        for each, tokens in zip(found, (short, long), strict=True):
            torch.testing.assert_close(each.weights, transformers_weights(classifier, tokens))
            torch.testing.assert_close(each.read, expected_read(name, tokens.longest))


def transformers_weights(classifier: Classifier, tokens: TokenBatch) -> Tensor:
    """Return the weights [N, A, L, L] that a model saved with eager attention returns."""
    inputs = {"input_ids": tokens.ids, "attention_mask": tokens.mask().long()}
    config: Any = classifier.module.config
    kind: Any = type(classifier.module)
    module = kind._from_config(config, attn_implementation="eager")
    module.load_state_dict(classifier.module.state_dict())
    with torch.no_grad():
        output = module.eval().to(classifier.device)(**inputs, output_attentions=True)
    layers = output.get("encoder_attentions") or output.attentions
    return torch.stack([each[0] for each in layers]).cpu()


def test_the_last_layer_and_the_rollout_follow_from_the_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(3, 4, 5, 5, generator=generator).softmax(dim=-1)
    attention = TextAttention(weights, torch.tensor([0.0, 0, 0, 0, 1]))
    torch.testing.assert_close(last_layer_attention(attention), weights[2].mean(dim=0)[4])
    first, second, third = (each.mean(dim=0) / 2 + torch.eye(5) / 2 for each in weights)
    torch.testing.assert_close(attention_rollout(attention), (third @ second @ first)[4])


def test_a_model_without_weights_is_refused(tmp_path: Path, compute: Compute) -> None:
    returns_copies = ModelChoice(save_architecture("XLNet", tmp_path / "xlnet"))
    for choice in (returns_copies, write_user_module(tmp_path / "own").choice):
        classifier = load(choice, compute, PLAIN)
        with pytest.raises(UsageError, match="gives no attention weights"):
            text_attentions(classifier, batch(classifier, TEXTS[0]))
