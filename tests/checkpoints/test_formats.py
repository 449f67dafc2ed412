"""Every way of saving a model gives the same model; what is no way of saving one is refused."""

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from transformers import BertForSequenceClassification
from typer.testing import CliRunner

from saliency_cli.checkpoints import load, load_checkpoint
from saliency_cli.checkpoints.weights import unwrapped
from saliency_cli.cli.app import app
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.settings import Compute, ModelChoice
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS
from tests.support.saving import WAYS, WRAPPERS, Save, Weights, behind, save_shards, weights_of

CPU = Compute(device="cpu")
SWAYING = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD")


@pytest.fixture
def bare(bert_folder: Path, tmp_path: Path) -> Path:
    """Return a folder with config and tokenizer, and no weights."""
    folder = tmp_path / "bare"
    shutil.copytree(bert_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    return folder


@pytest.fixture(scope="session")
def weights(bert_folder: Path) -> Weights:
    return weights_of(bert_folder)


def same(one: Classifier, other: Classifier) -> bool:
    """Say whether two classifiers have equal weights and labels."""
    left, right = one.module.state_dict(), other.module.state_dict()
    equal = (torch.equal(left[key], right[key]) for key in left)
    return one.labels == other.labels and left.keys() == right.keys() and all(equal)


@pytest.mark.parametrize("save", WAYS.values(), ids=WAYS)
def test_every_way_of_saving_gives_the_same_scores(
    bare: Path, weights: Weights, bert: Classifier, save: Save
) -> None:
    loaded = load(ModelChoice(save(bare, weights)), CPU)
    assert same(loaded, bert)
    found, wanted = (scored(engine(each, samples=2), TEXTS[:1]) for each in (loaded, bert))
    assert torch.equal(found[0], wanted[0])


@pytest.mark.parametrize("save", WAYS.values(), ids=WAYS)
def test_all_files_that_are_read_are_hashed(bare: Path, weights: Weights, save: Save) -> None:
    before = set(bare.iterdir())
    loaded = load(ModelChoice(save(bare, weights)), CPU)
    written = {path.name for path in set(bare.iterdir()) - before}
    assert set(loaded.hashes["model"]) == written | {"config.json"}


@pytest.mark.parametrize("prefix", WRAPPERS)
@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_wrappers_are_taken_off(
    bare: Path, weights: Weights, bert: Classifier, prefix: str, suffix: str
) -> None:
    path = WAYS[f"a file .{suffix}"](bare, behind(prefix, weights))
    assert same(load(ModelChoice(path), CPU), bert)


def test_a_part_that_was_compiled_is_found(bare: Path, weights: Weights, bert: Classifier) -> None:
    inside = {key.replace("bert.", "bert._orig_mod.", 1): value for key, value in weights.items()}
    path = WAYS["a file .pt"](bare, behind("module.", inside))
    assert same(load(ModelChoice(path), CPU), bert)


def test_a_prefix_is_not_taken_off_where_keys_do_not_fit(bare: Path, weights: Weights) -> None:
    most = dict(sorted(weights.items())[1:])
    for spoilt in (
        behind("module.", most),
        {**behind("module.", most), **dict([*weights.items()][:1])},
    ):
        path = WAYS["a file .pt"](bare, spoilt)
        with pytest.raises(CheckpointError, match="missing: "):
            load(ModelChoice(path), CPU)


def test_one_key_that_is_missing_behind_a_prefix_is_named_alone(
    bare: Path, weights: Weights
) -> None:
    most = {key: value for key, value in weights.items() if key != "classifier.bias"}
    path = WAYS["a file .pt"](bare, behind("module.", most) | {"module.extra": torch.zeros(1)})
    with pytest.raises(CheckpointError) as caught:
        load(ModelChoice(path), CPU)
    assert caught.value.message.endswith("missing: classifier.bias; unexpected: extra")


KEYS = st.sets(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join), min_size=1, max_size=6
)


@given(keys=KEYS, prefix=st.lists(st.sampled_from(["m", "n", "_orig_mod"]), max_size=3))
def test_any_prefix_in_front_of_all_keys_comes_off(keys: set[str], prefix: list[str]) -> None:
    wrapped = {".".join([*prefix, key]): torch.tensor(n) for n, key in enumerate(sorted(keys))}
    found = unwrapped(wrapped, lambda: keys)
    assert {key: int(value) for key, value in found.items()} == {
        key: n for n, key in enumerate(sorted(keys))
    }


@given(keys=KEYS, wanted=KEYS)
def test_no_tensor_is_lost_whatever_is_wanted(keys: set[str], wanted: set[str]) -> None:
    weights = {key: torch.tensor(n) for n, key in enumerate(sorted(keys))}
    found = unwrapped(weights, lambda: wanted)
    assert sorted(map(int, found.values())) == sorted(map(int, weights.values()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("way", ["model.safetensors", "a file .pt"])
def test_halves_load_as_float32_and_are_explained(
    bare: Path, weights: Weights, dtype: torch.dtype, way: str
) -> None:
    path = WAYS[way](bare, {key: value.to(dtype) for key, value in weights.items()})
    loaded = load_checkpoint(ModelChoice(path), CPU)
    assert loaded.dtypes == (str(dtype).removeprefix("torch."),)
    module = loaded.classifier.module
    assert {weight.dtype for weight in module.parameters()} == {torch.float32}
    assert scored(engine(loaded.classifier, samples=2), TEXTS[:1])[0].sum() == pytest.approx(1)


def test_what_cannot_hold_code_is_preferred_in_a_folder(bare: Path, weights: Weights) -> None:
    for way in ("sharded bin", "pytorch_model.bin", "sharded safetensors", "model.safetensors"):
        WAYS[way](bare, weights)
    assert load_checkpoint(ModelChoice(bare), CPU).format == "Hugging Face folder, safetensors"


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("-00002-of", "-00009-of", "is not there"),
        ("-00002-of", "-00001-of", "differ over"),
        ("model-00002", "/model-00002", "no file of its folder"),
        ("model-00002", "../model-00002", "no file of its folder"),
        ("weight_map", "weights", "holds no weight_map"),
    ],
)
def test_an_index_that_its_shards_belie_is_refused(
    bare: Path, weights: Weights, suffix: str, old: str, new: str, told: str
) -> None:
    index = save_shards(bare, weights, suffix=suffix)
    index.write_text(index.read_text().replace(old, new))
    with pytest.raises(CheckpointError, match=told):
        load(ModelChoice(bare), CPU)


class Pickled(nn.Module):
    """A module of a test, pickled whole: it gives the logits of what it wraps."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def get_input_embeddings(self) -> nn.Module:
        return self.inner.get_input_embeddings()  # type: ignore[no-any-return, operator]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


Wrap = Callable[[nn.Module], object]
PICKLES: dict[str, Wrap] = {
    "transformers' own": lambda module: module,
    "a user's": Pickled,
    "under model": lambda module: {"model": Pickled(module), "epoch": 1},
    "a state dict beside an object": lambda module: {
        "state_dict": module.state_dict(),
        "callback": nn.ReLU(),
    },
}


def save_pickle(bare: Path, bert_folder: Path, wrap: Wrap) -> Path:
    """Pickle a module, or more; returns the file."""
    module = BertForSequenceClassification.from_pretrained(bert_folder)
    torch.save(wrap(module.eval()), bare / "whole.pt")
    return bare / "whole.pt"


@pytest.mark.parametrize("wrap", PICKLES.values(), ids=PICKLES)
def test_a_pickled_module_is_opened_only_when_asked(
    bare: Path, bert_folder: Path, bert: Classifier, wrap: Wrap
) -> None:
    path = save_pickle(bare, bert_folder, wrap)
    with pytest.raises(CheckpointError) as caught:
        load(ModelChoice(path), CPU)
    assert "state_dict()" in str(caught.value.hint)
    assert "--unsafe-pickle" in str(caught.value.hint)
    opened = load(ModelChoice(path, unsafe_pickle=True), CPU)
    assert opened.labels == bert.labels
    found, wanted = (scored(engine(each, samples=2), TEXTS[:1])[0] for each in (opened, bert))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("values", [("1", "0"), ("0", "1"), ("1", "1"), ("yes", "")])
def test_no_variable_of_the_environment_opens_or_shuts_a_pickle(
    bare: Path, bert_folder: Path, values: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(SWAYING, values, strict=True):
        monkeypatch.setenv(name, value)
    path = save_pickle(bare, bert_folder, PICKLES["a user's"])
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        load(ModelChoice(path), CPU)
    assert load(ModelChoice(path, unsafe_pickle=True), CPU).labels == ("ham", "spam")
    assert tuple(os.environ[name] for name in SWAYING) == values


@pytest.mark.parametrize("command", ["explain", "inspect"])
def test_a_pickle_is_trusted_on_the_command_line_alone(
    bare: Path, bert_folder: Path, command: str
) -> None:
    path = save_pickle(bare, bert_folder, PICKLES["a user's"])
    (bare / "texts.jsonl").write_text('{"text": "free call now"}\n')
    out = [str(bare / "texts.jsonl"), "--out", str(bare / "out")] if command == "explain" else []
    refused = CliRunner().invoke(app, [command, str(path), *out])
    assert refused.exit_code == 3
    assert "--unsafe-pickle" in refused.stderr
    assert CliRunner().invoke(app, [command, str(path), *out, "--unsafe-pickle"]).exit_code == 0


def test_a_pickled_module_needs_no_config(bare: Path, bert_folder: Path) -> None:
    path = save_pickle(bare, bert_folder, PICKLES["transformers' own"])
    (bare / "config.json").unlink()
    assert load(ModelChoice(path, unsafe_pickle=True), CPU).labels == ("ham", "spam")


def test_torchscript_is_refused_always(bare: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and still on people's disks
        torch.jit.script(nn.Linear(2, 2)).save(str(bare / "script.pt"))  # type: ignore[no-untyped-call]
    for unsafe in (False, True):
        with pytest.raises(CheckpointError, match="TorchScript"):
            load(ModelChoice(bare / "script.pt", unsafe_pickle=unsafe), CPU)


def test_options_that_have_nothing_to_do_are_usage(bert_folder: Path) -> None:
    with pytest.raises(UsageError, match="is no pickle"):
        load(ModelChoice(bert_folder, unsafe_pickle=True), CPU)
    with pytest.raises(UsageError, match="is no adapter"):
        load(ModelChoice(bert_folder, base_model=bert_folder), CPU)


def test_a_file_without_a_tensor_is_refused(bare: Path) -> None:
    save_file({}, bare / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds no tensor"):
        load(ModelChoice(bare), CPU)
