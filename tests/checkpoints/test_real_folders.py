"""Folders as people have them: quantized, without a head, of other programs, of training runs."""

import json
import shutil
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    PreTrainedModel,
)
from typer.testing import CliRunner

from saliency_cli.checkpoints import load, load_checkpoint
from saliency_cli.checkpoints.training_state import is_training_state
from saliency_cli.cli.app import app
from saliency_cli.errors import CheckpointError
from saliency_cli.settings import Compute, ModelChoice
from tests.support.models import wordpiece
from tests.support.saving import FORMATS, Weights, add_prefix, read_weights

CPU = Compute(device="cpu")


@pytest.fixture
def bare(bert_folder: Path, tmp_path: Path) -> Path:
    """Return a folder with config and tokenizer, but no weights."""
    folder = tmp_path / "bare"
    shutil.copytree(bert_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    return folder


@pytest.fixture(scope="session")
def weights(bert_folder: Path) -> Weights:
    return read_weights(bert_folder)


def refusal(path: Path, *, unsafe: bool = False) -> CheckpointError:
    """Return the error with which a checkpoint is refused."""
    with pytest.raises(CheckpointError) as caught:
        load(ModelChoice(path, unsafe_pickle=unsafe), CPU)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.fixture(scope="session")
def int8(bert_folder: Path) -> torch.nn.Module:
    model = BertForSequenceClassification.from_pretrained(bert_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao.quantization is deprecated
        quantized: torch.nn.Module = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            model, {torch.nn.Linear}, dtype=torch.qint8
        )
    return quantized


@pytest.mark.parametrize("whole", [True, False])
def test_a_dynamically_quantized_model_is_named(
    bare: Path, int8: torch.nn.Module, *, whole: bool
) -> None:
    torch.save(int8 if whole else int8.state_dict(), bare / "int8.pt")
    error = refusal(bare / "int8.pt", unsafe=whole)
    assert "quantized weights (bert.encoder.layer.0.attention.self.query" in error.message
    assert "before quantization" in str(error.hint)


@pytest.mark.parametrize(
    ("key", "tensor"),
    [
        ("bert.encoder.layer.0.output.dense.qweight", torch.ones(4, 4, dtype=torch.int32)),
        ("bert.encoder.layer.0.output.dense.SCB", torch.ones(4)),
        ("bert.encoder.layer.0.output.dense.weight.absmax", torch.ones(4)),
    ],
)
def test_keys_of_quantized_layers_are_named(
    bare: Path, weights: Weights, key: str, tensor: torch.Tensor
) -> None:
    save_file(weights | {key: tensor}, bare / "model.safetensors")
    assert f"quantized weights ({key})" in refusal(bare).message


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes"])
def test_a_config_of_quantized_weights_says_which_to_give(bert_folder: Path, method: str) -> None:
    folder = bert_folder.parent / f"config-{method}"
    shutil.copytree(bert_folder, folder)
    change_config(folder, quantization_config={"quant_method": method})
    error = refusal(folder)
    assert "no gradients" in error.message
    assert "before quantization" in str(error.hint)


def change_config(folder: Path, **changes: object) -> None:
    """Change keys of a folder's config; None removes a key."""
    content = json.loads((folder / "config.json").read_text()) | changes
    content = {key: value for key, value in content.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (BertForMaskedLM, "a masked language model (BertForMaskedLM) with cls.predictions.bias"),
        (BertForTokenClassification, "a classifier of tokens (BertForTokenClassification)"),
        (BertModel, "an encoder without a head (BertModel)"),
    ],
)
def test_a_model_without_a_classification_head_says_what_it_is(
    bare: Path, model: type[PreTrainedModel], kind: str
) -> None:
    model(BertConfig.from_pretrained(bare)).save_pretrained(bare)
    error = refusal(bare)
    assert "no head for the classification of texts" in error.message
    assert f"it holds {kind}" in error.message
    assert "fine-tuned as BertForSequenceClassification" in str(error.hint)


def test_an_encoder_is_recognised_without_the_name_of_its_class(
    bare: Path, weights: Weights
) -> None:
    encoder = {key: value for key, value in weights.items() if key.startswith("bert.")}
    change_config(bare, architectures=None)
    error = refusal(FORMATS["a file .pt"](bare, encoder))
    assert "it holds an encoder; BertForSequenceClassification also needs" in error.message


LIGHTNING = {
    "criterion.weight": torch.ones(2),
    "class_weights": torch.ones(2),
    "train_acc.tp": torch.zeros(2, dtype=torch.long),
    "val_f1.tp": torch.tensor(3),
    "val_metrics.accuracy.correct": torch.tensor(3),
    "loss_fn.pos_weight": torch.ones(2),
}


@pytest.mark.parametrize("prefix", ["model", "bert_classifier.net"])
def test_tensors_of_losses_and_metrics_are_ignored_and_named(
    bare: Path, weights: Weights, prefix: str
) -> None:
    path = bare / "last.ckpt"
    torch.save({"state_dict": add_prefix(f"{prefix}.", weights) | LIGHTNING, "epoch": 1}, path)
    loaded = load_checkpoint(ModelChoice(path), CPU).classifier
    state = loaded.module.state_dict()
    assert all(torch.equal(state[key], value) for key, value in weights.items())
    (remark,) = loaded.remarks
    assert all(key in remark for key in LIGHTNING)


def test_ignored_tensors_are_told_of_by_inspect_and_show(bare: Path, weights: Weights) -> None:
    torch.save({"state_dict": weights | LIGHTNING}, bare / "last.ckpt")
    result = CliRunner().invoke(app, ["inspect", str(bare / "last.ckpt"), "--json"])
    assert "criterion.weight" in json.loads(result.stdout)["warnings"][0]
    result = CliRunner().invoke(app, ["show", str(bare / "last.ckpt"), "ok", "--device", "cpu"])
    assert "warning: tensors of a loss or a metric" in result.stderr


@pytest.mark.parametrize(
    "key", ["other.weight", "train_head.weight", "f1.dense.bias", "classifier2.weight"]
)
def test_other_tensors_are_still_refused(bare: Path, weights: Weights, key: str) -> None:
    assert not is_training_state(key)
    path = FORMATS["a file .pt"](bare, weights | {key: torch.ones(2)})
    assert key in refusal(path).message


class WithLoss(torch.nn.Module):
    """A user's module that holds its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(len(wordpiece()), 4)
        self.head = torch.nn.Linear(4, 2)
        self.criterion = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.embedding(input_ids).mean(dim=1))
        return logits


def test_a_loss_that_is_part_of_the_users_module_is_loaded(
    bare: Path,
) -> None:
    torch.save(WithLoss().state_dict(), bare / "loss.pt")
    choice = ModelChoice(bare / "loss.pt", arch=f"{__name__}:WithLoss")
    classifier = load(choice, CPU)
    assert classifier.remarks == ()
    assert classifier.module.state_dict()["criterion.weight"].tolist() == [1, 2]


@pytest.mark.skipif(find_spec("sentencepiece") is not None, reason="sentencepiece is installed")
@pytest.mark.parametrize(
    ("name", "kind"), [("spiece.model", "albert"), ("sentencepiece.bpe.model", "xlm-roberta")]
)
def test_a_sentencepiece_model_alone_names_its_package(
    bare: Path, weights: Weights, name: str, kind: str
) -> None:
    save_file(weights, bare / "model.safetensors")
    for path in [*bare.glob("tokenizer*"), *bare.glob("special*")]:
        path.unlink()
    (bare / name).write_bytes(b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02")
    change_config(bare, model_type=kind)
    error = refusal(bare)
    assert f"the tokenizer as {name} alone" in error.message
    assert str(error.hint).startswith("pip install sentencepiece")


@pytest.mark.parametrize(
    ("name", "content", "kind", "hint"),
    [
        ("model.gguf", b"GGUF\3\0\0\0", "GGUF", "made from"),
        ("model.onnx", b"\x08\x07", "an ONNX graph", "made from"),
        ("onnx/model.onnx", b"\x08\x07", "an ONNX graph", "made from"),
        ("tf_model.h5", b"\x89HDF\r\n\x1a\n", "TensorFlow weights", "from_tf=True"),
        ("saved_model.pb", b"\x08", "a TensorFlow SavedModel", "made from"),
        ("flax_model.msgpack", b"\x81", "Flax weights", "from_flax=True"),
    ],
)
def test_a_folder_of_another_program_says_what_it_holds(
    bare: Path, name: str, content: bytes, kind: str, hint: str
) -> None:
    (bare / name).parent.mkdir(exist_ok=True)
    (bare / name).write_bytes(content)
    error = refusal(bare)
    assert kind in error.message
    assert hint in str(error.hint)
    assert "not a checkpoint" in refusal(bare / name).message


def test_weights_of_another_program_do_not_hide_those_of_torch(
    bare: Path, weights: Weights
) -> None:
    (bare / "model.onnx").write_bytes(b"\x08\x07")
    save_file(weights, bare / "model.safetensors", metadata={"format": "pt"})
    assert load(ModelChoice(bare), CPU).labels == ("ham", "spam")


def test_a_folder_with_a_file_of_another_name_names_it(bare: Path, weights: Weights) -> None:
    FORMATS["a file .pt"](bare, weights)
    error = refusal(bare)
    assert "but weights.pt" in error.message
    assert str(bare / "weights.pt") in str(error.hint)


def trainer_folder(folder: Path, *, best: str | None) -> Path:
    """Write the folders of a training run, and the state in the newest."""
    for step in (500, 1000, 90):
        (folder / f"checkpoint-{step}").mkdir(parents=True)
    state = {"best_model_checkpoint": best}
    (folder / "checkpoint-1000" / "trainer_state.json").write_text(json.dumps(state))
    return folder


@pytest.mark.parametrize(
    ("best", "named"),
    [
        ("/gone/out/checkpoint-500", "checkpoint-500"),
        ("out\\checkpoint-500", "checkpoint-500"),
        ("/gone/out/checkpoint-700", None),
        ("../../secret", None),
        (None, None),
    ],
)
def test_the_folder_of_a_training_run_names_the_newest_and_the_best(
    tmp_path: Path, best: str | None, named: str | None
) -> None:
    folder = trainer_folder(tmp_path / "out", best=best)
    error = refusal(folder)
    assert "checkpoint-90, checkpoint-500, checkpoint-1000" in error.message
    assert f"give the newest, {folder / 'checkpoint-1000'}" in str(error.hint)
    assert ("the best by" in str(error.hint)) is (named is not None)
    assert named is None or str(folder / named) in str(error.hint)


@pytest.mark.parametrize(
    ("architectures", "hint"),
    [
        (["BertForSequenceClassification"], 'add "model_type": "bert"'),
        (["RobertaForSequenceClassification"], 'add "model_type": "roberta"'),
        (["Own"], "add the model's type"),
        ([["BertForSequenceClassification"]], "add the model's type"),
        (None, "add the model's type"),
    ],
)
def test_a_config_without_model_type_says_what_to_add(
    bare: Path, weights: Weights, architectures: object, hint: str
) -> None:
    save_file(weights, bare / "model.safetensors")
    change_config(bare, model_type=None, architectures=architectures)
    error = refusal(bare)
    assert "names no model_type" in error.message
    assert hint in str(error.hint)
