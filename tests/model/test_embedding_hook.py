"""Which layer embeds the tokens: told, named or seen in a run; what a second run of it means."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from saliency_cli.errors import CheckpointError
from saliency_cli.model.embedding_hook import find_layer, hook_embedding, token_rows, trace_layer

IDS = torch.tensor([[5, 3, 9, 1], [2, 2, 7, 4]])
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}


class Own(nn.Module):
    """A module of one's own: it embeds positions and kinds as well, and tells of none."""

    def __init__(self, tables: int = 1) -> None:
        super().__init__()
        self.positions = nn.Embedding(16, 4)
        self.kinds = nn.Embedding(2, 4)
        self.tables = nn.ModuleList(nn.Embedding(10, 4) for _ in range(tables))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        positions = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        total = self.positions(positions) + self.kinds(torch.zeros_like(input_ids))
        for table in self.tables:
            total = total + table(input=input_ids)
        return SimpleNamespace(logits=(total * attention_mask[..., None]).sum(dim=1))


class Shy(Own):
    """Raises what transformers raises for a model that it cannot tell of."""

    def get_input_embeddings(self) -> nn.Module:
        raise NotImplementedError


def raising() -> dict[str, Tensor]:
    pytest.fail("the model was run although it tells its layer")


def test_a_layer_that_is_told_needs_no_run(bert: object) -> None:
    module: nn.Module = bert.module  # type: ignore[attr-defined]
    name, layer = find_layer(module, None, inputs=raising)
    assert name == "bert.embeddings.word_embeddings"
    assert layer is module.get_submodule(name)


@pytest.mark.parametrize("kind", [Own, Shy])
def test_the_layer_is_seen_in_a_run(kind: Callable[[], Own]) -> None:
    module = kind()
    name, layer = find_layer(module, None, inputs=lambda: INPUTS)
    assert name == "tables.0"
    assert layer is module.tables[0]
    assert token_rows(module, inputs=lambda: INPUTS) == 10


def test_a_run_leaves_no_hook() -> None:
    module = Own()
    trace_layer(module, INPUTS)
    assert not any(layer._forward_pre_hooks for layer in module.modules())


def test_an_id_without_a_row_does_not_hide_the_layer() -> None:
    module = Own()
    ids = torch.tensor([[5, 99]])
    assert trace_layer(module, {**INPUTS, "input_ids": ids})[0] == "tables.0"


def test_ids_with_the_tokens_first_are_known() -> None:
    class TokensFirst(Own):
        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
            return super().forward(input_ids.T, attention_mask.T)

    assert trace_layer(TokensFirst(), INPUTS)[0] == "tables.0"


def test_several_layers_are_listed_with_the_option() -> None:
    with pytest.raises(CheckpointError, match="which layer embeds its tokens") as caught:
        trace_layer(Own(tables=2), INPUTS)
    assert caught.value.hint == "add --embedding-layer with one of tables.0, tables.1"
    assert find_layer(Own(tables=2), "tables.1")[0] == "tables.1"


def test_layers_that_share_a_weight_are_one() -> None:
    module = Own(tables=2)
    module.tables[1].weight = module.tables[0].weight
    assert trace_layer(module, INPUTS)[0] == "tables.0"


def test_no_layer_lists_what_there_is_and_what_went_wrong() -> None:
    with pytest.raises(CheckpointError, match=r"which layer.*: TypeError") as caught:
        trace_layer(Own(), {"input_ids": IDS})
    assert "positions, kinds, tables.0" in str(caught.value.hint)


def test_a_module_without_embeddings_is_told_so() -> None:
    with pytest.raises(CheckpointError, match="which layer") as caught:
        trace_layer(nn.Identity(), {"input": IDS, "input_ids": IDS})
    assert caught.value.hint == "name it: --embedding-layer"


# A layer that runs again.


def runs(*ids: Tensor, scale: float = 1.0) -> tuple[Tensor, list[Tensor]]:
    """Run one table on several ids, and a twin of it on the last; return leaf and outputs."""
    table = nn.Embedding(10, 4)
    twin = nn.Embedding(10, 4)
    twin.weight = table.weight
    if scale != 1:
        twin.register_forward_hook(lambda _layer, _inputs, output: output * scale)
    both = nn.ModuleList([table, twin])
    with hook_embedding(both, table, name="0", displacement=torch.ones(2, 4, 4)) as tap:
        outputs = [table(each) for each in ids[:-1]] + [twin(ids[-1])]
    return tap.leaf, outputs


def moved(ids: Tensor, *, start: int = 0) -> Tensor:
    return torch.cat((torch.full_like(ids[:, :1], start), ids[:, :-1]), dim=1)


def test_the_same_ids_again_read_the_leaf() -> None:
    leaf, outputs = runs(IDS, IDS)
    assert torch.equal(outputs[0], leaf)
    assert torch.equal(outputs[1], leaf)


def test_moved_ids_read_the_leaf_behind_a_clean_start() -> None:
    leaf, (first, second) = runs(IDS, moved(IDS, start=8))
    assert torch.equal(first, leaf)
    assert torch.equal(second[:, 1:], leaf[:, :-1])
    (gradient,) = torch.autograd.grad((first.sum() + second.sum()), leaf)
    assert torch.equal(gradient[:, :-1], torch.full((2, 3, 4), 2.0))
    assert torch.equal(gradient[:, -1], torch.ones(2, 4))


@pytest.mark.parametrize(
    "other", [IDS.flip(0), IDS.flip(1), moved(IDS).flip(0), moved(moved(IDS)), IDS[:, :-1]]
)
def test_other_ids_are_refused(other: Tensor) -> None:
    with pytest.raises(CheckpointError, match="ran 2 times in one pass"):
        runs(IDS, other)


def test_a_twin_that_gives_something_else_is_refused() -> None:
    with pytest.raises(CheckpointError, match="ran 2 times in one pass"):
        runs(IDS, moved(IDS), scale=2.0)


def test_a_layer_that_never_runs_is_refused() -> None:
    table = nn.Embedding(10, 4)
    with hook_embedding(table, table, name="0") as tap:
        pass
    with pytest.raises(CheckpointError, match="ran 0 times"):
        _ = tap.leaf


def test_tokens_first_is_seen_the_other_way_round() -> None:
    table = nn.Embedding(10, 4)
    shift = torch.arange(2 * 4 * 4).view(2, 4, 4) * 1.0
    with hook_embedding(table, table, name="0", displacement=shift, tokens_first=True) as tap:
        output = table(IDS.T)
    assert torch.equal(tap.leaf, table(IDS) + shift)
    assert torch.equal(output, tap.leaf.transpose(0, 1))
