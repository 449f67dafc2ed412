"""Every format of a checkpoint loads as the same model; anything else is refused."""

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
from saliency_cli.checkpoints.weights import strip_prefixes
from saliency_cli.cli.app import app
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.settings import Compute, ModelChoice
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS
from tests.support.saving import (
    FORMATS,
    PREFIXES,
    Save,
    Weights,
    add_prefix,
    read_weights,
    save_shards,
)

CPU = Compute(device="cpu")
TORCH_LOAD_VARIABLES = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD")


@pytest.fixture
def bare(bert_folder: Path, tmp_path: Path) -> Path:
    """Return a folder with config and tokenizer, but no weights."""
    folder = tmp_path / "bare"
    shutil.copytree(bert_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    return folder


@pytest.fixture(scope="session")
def weights(bert_folder: Path) -> Weights:
    return read_weights(bert_folder)


def have_equal_weights(one: Classifier, other: Classifier) -> bool:
    """Whether two classifiers have equal weights and labels."""
    left, right = one.module.state_dict(), other.module.state_dict()
    equal = (torch.equal(left[key], right[key]) for key in left)
    return one.labels == other.labels and left.keys() == right.keys() and all(equal)


@pytest.mark.parametrize("save", FORMATS.values(), ids=FORMATS)
def test_every_format_gives_the_same_scores(
    bare: Path, weights: Weights, bert: Classifier, save: Save
) -> None:
    loaded = load(ModelChoice(save(bare, weights)), CPU)
    assert have_equal_weights(loaded, bert)
    actual, expected = (scored(engine(each, samples=2), TEXTS[:1]) for each in (loaded, bert))
    assert torch.equal(actual[0], expected[0])


@pytest.mark.parametrize("save", FORMATS.values(), ids=FORMATS)
def test_every_file_that_is_read_is_hashed(bare: Path, weights: Weights, save: Save) -> None:
    before = set(bare.iterdir())
    loaded = load(ModelChoice(save(bare, weights)), CPU)
    written = {path.name for path in set(bare.iterdir()) - before}
    assert set(loaded.hashes["model"]) == written | {"config.json"}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_prefixes_of_wrappers_are_removed(
    bare: Path, weights: Weights, bert: Classifier, prefix: str, suffix: str
) -> None:
    path = FORMATS[f"a file .{suffix}"](bare, add_prefix(prefix, weights))
    assert have_equal_weights(load(ModelChoice(path), CPU), bert)


def test_the_prefix_of_a_compiled_submodule_is_removed(
    bare: Path, weights: Weights, bert: Classifier
) -> None:
    inside = {key.replace("bert.", "bert._orig_mod.", 1): value for key, value in weights.items()}
    path = FORMATS["a file .pt"](bare, add_prefix("module.", inside))
    assert have_equal_weights(load(ModelChoice(path), CPU), bert)


def test_a_checkpoint_with_a_prefix_and_a_missing_key_is_refused(
    bare: Path, weights: Weights
) -> None:
    incomplete = add_prefix("module.", dict(sorted(weights.items())[1:]))
    for broken in (incomplete, incomplete | dict([*weights.items()][:1])):
        path = FORMATS["a file .pt"](bare, broken)
        with pytest.raises(CheckpointError, match="missing: "):
            load(ModelChoice(path), CPU)


def test_with_a_prefix_only_the_missing_key_is_reported(bare: Path, weights: Weights) -> None:
    incomplete = {key: value for key, value in weights.items() if key != "classifier.bias"}
    path = FORMATS["a file .pt"](
        bare, add_prefix("module.", incomplete) | {"module.extra": torch.zeros(1)}
    )
    with pytest.raises(CheckpointError) as caught:
        load(ModelChoice(path), CPU)
    assert caught.value.message.endswith("missing: classifier.bias; unexpected: extra")


KEYS = st.sets(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join), min_size=1, max_size=6
)


@given(keys=KEYS, prefix=st.lists(st.sampled_from(["m", "n", "_orig_mod"]), max_size=3))
def test_any_common_prefix_is_removed(keys: set[str], prefix: list[str]) -> None:
    wrapped = {".".join([*prefix, key]): torch.tensor(n) for n, key in enumerate(sorted(keys))}
    stripped = strip_prefixes(wrapped, lambda: keys)
    assert {key: int(value) for key, value in stripped.items()} == {
        key: n for n, key in enumerate(sorted(keys))
    }


@given(keys=KEYS, expected=KEYS)
def test_strip_prefixes_keeps_every_tensor(keys: set[str], expected: set[str]) -> None:
    weights = {key: torch.tensor(n) for n, key in enumerate(sorted(keys))}
    stripped = strip_prefixes(weights, lambda: expected)
    assert sorted(map(int, stripped.values())) == sorted(map(int, weights.values()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("format_", ["model.safetensors", "a file .pt"])
def test_other_dtypes_load_as_float32_and_are_explained(
    bare: Path, weights: Weights, dtype: torch.dtype, format_: str
) -> None:
    path = FORMATS[format_](bare, {key: value.to(dtype) for key, value in weights.items()})
    loaded = load_checkpoint(ModelChoice(path), CPU)
    assert loaded.dtypes == (str(dtype).removeprefix("torch."),)
    module = loaded.classifier.module
    assert {weight.dtype for weight in module.parameters()} == {torch.float32}
    assert scored(engine(loaded.classifier, samples=2), TEXTS[:1])[0].sum() == pytest.approx(1)


def test_formats_without_code_are_preferred_in_a_folder(bare: Path, weights: Weights) -> None:
    for name in ("sharded bin", "pytorch_model.bin", "sharded safetensors", "model.safetensors"):
        FORMATS[name](bare, weights)
    assert load_checkpoint(ModelChoice(bare), CPU).format == "Hugging Face folder, safetensors"


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-00002-of", "-00009-of", "does not exist"),
        ("-00002-of", "-00001-of", "differ over"),
        ("model-00002", "/model-00002", "not a plain file name"),
        ("model-00002", "../model-00002", "not a plain file name"),
        ("weight_map", "weights", "holds no weight_map"),
    ],
)
def test_an_index_that_its_shards_contradict_is_refused(
    bare: Path, weights: Weights, suffix: str, old: str, new: str, message: str
) -> None:
    index = save_shards(bare, weights, suffix=suffix)
    index.write_text(index.read_text().replace(old, new))
    with pytest.raises(CheckpointError, match=message):
        load(ModelChoice(bare), CPU)


class Pickled(nn.Module):
    """A user's module around a transformers model; it returns the logits alone."""

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
    """Pickle the module of a folder, wrapped; return the file."""
    module = BertForSequenceClassification.from_pretrained(bert_folder)
    torch.save(wrap(module.eval()), bare / "whole.pt")
    return bare / "whole.pt"


@pytest.mark.parametrize("wrap", PICKLES.values(), ids=PICKLES)
def test_a_pickled_module_is_opened_only_with_unsafe_pickle(
    bare: Path, bert_folder: Path, bert: Classifier, wrap: Wrap
) -> None:
    path = save_pickle(bare, bert_folder, wrap)
    with pytest.raises(CheckpointError) as caught:
        load(ModelChoice(path), CPU)
    assert "state_dict()" in str(caught.value.hint)
    assert "--unsafe-pickle" in str(caught.value.hint)
    opened = load(ModelChoice(path, unsafe_pickle=True), CPU)
    assert opened.labels == bert.labels
    actual, expected = (scored(engine(each, samples=2), TEXTS[:1])[0] for each in (opened, bert))
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("values", [("1", "0"), ("0", "1"), ("1", "1"), ("yes", "")])
def test_environment_variables_do_not_override_unsafe_pickle(
    bare: Path, bert_folder: Path, values: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(TORCH_LOAD_VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    path = save_pickle(bare, bert_folder, PICKLES["a user's"])
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        load(ModelChoice(path), CPU)
    assert load(ModelChoice(path, unsafe_pickle=True), CPU).labels == ("ham", "spam")
    assert tuple(os.environ[name] for name in TORCH_LOAD_VARIABLES) == values


@pytest.mark.parametrize("command", ["explain", "inspect"])
def test_the_option_unsafe_pickle_opens_a_pickle(
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


def test_torchscript_is_always_refused(bare: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, but such files still exist
        torch.jit.script(nn.Linear(2, 2)).save(str(bare / "script.pt"))  # type: ignore[no-untyped-call]
    for unsafe in (False, True):
        with pytest.raises(CheckpointError, match="TorchScript"):
            load(ModelChoice(bare / "script.pt", unsafe_pickle=unsafe), CPU)


def test_options_that_do_not_apply_are_usage_errors(bert_folder: Path) -> None:
    with pytest.raises(UsageError, match="is not a pickle file"):
        load(ModelChoice(bert_folder, unsafe_pickle=True), CPU)
    with pytest.raises(UsageError, match="is not an adapter"):
        load(ModelChoice(bert_folder, base_model=bert_folder), CPU)


def test_a_file_without_a_tensor_is_refused(bare: Path) -> None:
    save_file({}, bare / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds no tensor"):
        load(ModelChoice(bare), CPU)
