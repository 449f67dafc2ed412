"""Properties of a loaded classifier, and checks that run when it is loaded."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import RobertaConfig, RobertaForSequenceClassification

from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.model_checks import (
    check_reduction,
    embeddings_block,
    is_rounding,
    with_layer,
)
from saliency_cli.checkpoints import load
from saliency_cli.checkpoints.lengths import max_input_length
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.embedding_hook import hook_embedding
from saliency_cli.model.embedding_layer import enclosing_layers, find_embedding_layer
from saliency_cli.model.passes import clean_passes, token_batch
from saliency_cli.model.tokenization import encode
from saliency_cli.settings import Compute, ModelChoice
from tests.support.models import save_bert

CPU = Compute(device="cpu")


def test_the_sample_model_is_as_its_readme_says(sample: Classifier) -> None:
    assert sample.labels == ("ham", "spam")
    assert sum(weight.numel() for weight in sample.module.parameters()) == 942_210
    assert sample.max_length == 128
    assert sample.padding_blind
    assert set(sample.hashes["model"]) == {"config.json", "model.pt"}
    assert set(sample.hashes["tokenizer"]) == {"tokenizer.json", "tokenizer_config.json"}


def test_weights_need_no_gradient_and_dropout_is_off(sample: Classifier) -> None:
    assert not any(weight.requires_grad for weight in sample.module.parameters())
    assert not any(module.training for module in sample.module.modules())


def test_half_precision_weights_load_as_float32(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    halves = {name: tensor.half() for name, tensor in weights.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    classifier = load(ModelChoice(folder), CPU)
    assert classifier.dtype == torch.float32
    assert {weight.dtype for weight in classifier.module.parameters()} == {torch.float32}


def test_a_buffer_in_older_files_is_ignored(tmp_path: Path, bert_folder: Path) -> None:
    weights = load_file(bert_folder / "model.safetensors")
    weights["bert.embeddings.position_ids"] = torch.arange(64)[None]
    torch.save(weights, tmp_path / "model.pt")
    choice = ModelChoice(tmp_path / "model.pt", config=bert_folder, tokenizer=bert_folder)
    assert load(choice, CPU).labels == ("ham", "spam")


def test_reserved_positions_of_roberta_are_subtracted(bert: Classifier) -> None:
    config = RobertaConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=34,
        pad_token_id=1,
    )
    assert max_input_length(RobertaForSequenceClassification(config), bert.tokenizer, config) == 32


def test_token_type_ids_are_passed_only_if_the_tokenizer_has_them(
    bert: Classifier, gpt2: Classifier
) -> None:
    assert "token_type_ids" in bert.inputs
    assert "token_type_ids" not in gpt2.inputs


def test_the_embeddings_block_is_found_if_there_is_one(bert: Classifier, gpt2: Classifier) -> None:
    assert embeddings_block(bert) == "bert.embeddings"
    assert embeddings_block(gpt2) is None


def test_sum_is_rounding_only_if_a_norm_follows_the_layer(
    bert: Classifier, gpt2: Classifier
) -> None:
    assert is_rounding(bert, reduction="sum", objective="logit")
    assert is_rounding(gpt2, reduction="sum", objective="logit")
    block = with_layer(bert, "bert.embeddings")
    assert not is_rounding(block, reduction="sum", objective="logit")
    check_reduction(block, Maths(reduction="sum"))


def test_sum_is_refused_with_a_hint_at_another_layer(bert: Classifier, gpt2: Classifier) -> None:
    with pytest.raises(UsageError) as caught:
        check_reduction(bert, Maths(reduction="sum"))
    assert "bert.embeddings.word_embeddings" in caught.value.message
    assert "--embedding-layer bert.embeddings," in str(caught.value.hint)
    with pytest.raises(UsageError) as caught:
        check_reduction(gpt2, Maths(reduction="sum"))
    assert "--embedding-layer" not in str(caught.value.hint)


def test_sum_is_found_to_be_rounding_in_bfloat16(bert_folder: Path) -> None:
    half = load(ModelChoice(bert_folder), Compute(device="cpu", dtype="bfloat16"))
    assert is_rounding(half, reduction="sum", objective="logit")


def test_a_layer_is_found_by_name(bert: Classifier) -> None:
    name = "bert.embeddings.word_embeddings"
    assert find_embedding_layer(bert.module, None) == find_embedding_layer(bert.module, name)
    assert enclosing_layers(name) == ["bert.embeddings", "bert"]
    with pytest.raises(UsageError, match="no layer"):
        find_embedding_layer(bert.module, "bert.embedings")
    with pytest.raises(UsageError, match="no layer"):
        find_embedding_layer(bert.module, "")


@pytest.mark.parametrize("layer", ["bert", "classifier", "dropout"])
def test_a_layer_that_embeds_no_tokens_is_refused(bert_folder: Path, layer: str) -> None:
    with pytest.raises(CheckpointError, match=layer):
        load(ModelChoice(bert_folder, embedding_layer=layer), CPU)


def test_the_hook_is_removed_after_a_pass(bert: Classifier) -> None:
    with hook_embedding(bert.module, bert.embedding, name="any"):
        assert len(bert.embedding._forward_hooks) == 1
    assert len(bert.embedding._forward_hooks) == 0


def test_a_layer_that_runs_twice_is_refused(gpt2: Classifier) -> None:
    segments = replace(
        gpt2, inputs=(*gpt2.inputs, "token_type_ids")
    )  # GPT-2 embeds segments by the same layer as tokens
    with pytest.raises(CheckpointError, match="ran 2 times"):
        clean_passes(
            segments, token_batch(encode(segments.tokenizer, ["ok"], max_length=8), segments)
        )
