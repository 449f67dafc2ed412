"""How the layer that embeds the tokens is found, and what happens if it runs more than once."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from saliency_cli.errors import CheckpointError
from saliency_cli.model.embedding_hook import hook_embedding
from saliency_cli.model.embedding_layer import (
    embedding_vocabulary_size,
    find_embedding_layer,
    trace_embedding_layer,
)

IDS = torch.tensor([[5, 3, 9, 1], [2, 2, 7, 4]])
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}


class UserModule(nn.Module):
    """A model without `get_input_embeddings` that also embeds positions and segments."""

    def __init__(self, tables: int = 1) -> None:
        super().__init__()
        self.positions = nn.Embedding(16, 4)
        self.segments = nn.Embedding(2, 4)
        self.tables = nn.ModuleList(nn.Embedding(10, 4) for _ in range(tables))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        positions = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        total = self.positions(positions) + self.segments(torch.zeros_like(input_ids))
        for table in self.tables:
            total = total + table(input=input_ids)
        return SimpleNamespace(logits=(total * attention_mask[..., None]).sum(dim=1))


class Undeclared(UserModule):
    """Raises what transformers raises for a model whose embedding it does not know."""

    def get_input_embeddings(self) -> nn.Module:
        raise NotImplementedError


def raising() -> dict[str, Tensor]:
    pytest.fail("the model was run although it declares its layer")


def test_a_declared_layer_needs_no_run(bert: object) -> None:
    module: nn.Module = bert.module  # type: ignore[attr-defined]
    name, layer = find_embedding_layer(module, None, inputs=raising)
    assert name == "bert.embeddings.word_embeddings"
    assert layer is module.get_submodule(name)


@pytest.mark.parametrize("kind", [UserModule, Undeclared])
def test_the_layer_is_found_by_tracing_a_run(kind: Callable[[], UserModule]) -> None:
    module = kind()
    name, layer = find_embedding_layer(module, None, inputs=lambda: INPUTS)
    assert name == "tables.0"
    assert layer is module.tables[0]
    assert embedding_vocabulary_size(module, inputs=lambda: INPUTS) == 10


def test_tracing_leaves_no_hook() -> None:
    module = UserModule()
    trace_embedding_layer(module, INPUTS)
    assert not any(layer._forward_pre_hooks for layer in module.modules())


def test_an_id_outside_the_embedding_does_not_hide_the_layer() -> None:
    module = UserModule()
    ids = torch.tensor([[5, 99]])
    assert trace_embedding_layer(module, {**INPUTS, "input_ids": ids})[0] == "tables.0"


def test_transposed_ids_are_recognised() -> None:
    class TokensFirst(UserModule):
        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
            return super().forward(input_ids.T, attention_mask.T)

    assert trace_embedding_layer(TokensFirst(), INPUTS)[0] == "tables.0"


def test_several_layers_are_listed_with_the_option() -> None:
    with pytest.raises(CheckpointError, match="which layer embeds its tokens") as caught:
        trace_embedding_layer(UserModule(tables=2), INPUTS)
    assert caught.value.hint == "add --embedding-layer with one of tables.0, tables.1"
    assert find_embedding_layer(UserModule(tables=2), "tables.1")[0] == "tables.1"


def test_layers_that_share_a_weight_count_as_one() -> None:
    module = UserModule(tables=2)
    module.tables[1].weight = module.tables[0].weight
    assert trace_embedding_layer(module, INPUTS)[0] == "tables.0"


def test_a_failed_run_lists_all_embeddings_and_its_error() -> None:
    with pytest.raises(CheckpointError, match=r"which layer.*: TypeError") as caught:
        trace_embedding_layer(UserModule(), {"input_ids": IDS})
    assert "positions, segments, tables.0" in str(caught.value.hint)


def test_a_module_without_embeddings_gets_a_hint_without_names() -> None:
    with pytest.raises(CheckpointError, match="which layer") as caught:
        trace_embedding_layer(nn.Identity(), {"input": IDS, "input_ids": IDS})
    assert caught.value.hint == "add --embedding-layer with the name of that layer"


# More than one run in a pass.


def run_twice(*ids: Tensor, scale: float = 1.0) -> tuple[Tensor, list[Tensor]]:
    """Run an embedding on several ids; return the leaf and the outputs.

    The last ids go through a second embedding that shares the weight, scaled by `scale`.
    """
    table = nn.Embedding(10, 4)
    tied = nn.Embedding(10, 4)
    tied.weight = table.weight
    if scale != 1:
        tied.register_forward_hook(lambda _layer, _inputs, output: output * scale)
    both = nn.ModuleList([table, tied])
    with hook_embedding(both, table, name="0", displacement=torch.ones(2, 4, 4)) as hook:
        outputs = [table(each) for each in ids[:-1]] + [tied(ids[-1])]
    return hook.leaf, outputs


def shifted(ids: Tensor, *, start: int = 0) -> Tensor:
    return torch.cat((torch.full_like(ids[:, :1], start), ids[:, :-1]), dim=1)


def test_a_second_run_on_the_same_ids_reads_the_leaf() -> None:
    leaf, outputs = run_twice(IDS, IDS)
    assert torch.equal(outputs[0], leaf)
    assert torch.equal(outputs[1], leaf)


def test_a_run_on_shifted_ids_reads_the_leaf_after_a_clean_start_token() -> None:
    leaf, (first, second) = run_twice(IDS, shifted(IDS, start=8))
    assert torch.equal(first, leaf)
    assert torch.equal(second[:, 1:], leaf[:, :-1])
    (gradient,) = torch.autograd.grad((first.sum() + second.sum()), leaf)
    assert torch.equal(gradient[:, :-1], torch.full((2, 3, 4), 2.0))
    assert torch.equal(gradient[:, -1], torch.ones(2, 4))


@pytest.mark.parametrize(
    "other", [IDS.flip(0), IDS.flip(1), shifted(IDS).flip(0), shifted(shifted(IDS)), IDS[:, :-1]]
)
def test_a_second_run_on_other_ids_is_refused(other: Tensor) -> None:
    with pytest.raises(CheckpointError, match="ran 2 times in one pass"):
        run_twice(IDS, other)


def test_a_tied_layer_with_another_output_is_refused() -> None:
    with pytest.raises(CheckpointError, match="ran 2 times in one pass"):
        run_twice(IDS, shifted(IDS), scale=2.0)


def test_a_layer_that_never_runs_is_refused() -> None:
    table = nn.Embedding(10, 4)
    with hook_embedding(table, table, name="0") as hook:
        pass
    with pytest.raises(CheckpointError, match="ran 0 times"):
        _ = hook.leaf


def test_a_tokens_first_layer_is_transposed_for_the_leaf() -> None:
    table = nn.Embedding(10, 4)
    shift = torch.arange(2 * 4 * 4).view(2, 4, 4) * 1.0
    with hook_embedding(table, table, name="0", displacement=shift, tokens_first=True) as hook:
        output = table(IDS.T)
    assert torch.equal(hook.leaf, table(IDS) + shift)
    assert torch.equal(output, hook.leaf.transpose(0, 1))
