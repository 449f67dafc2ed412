"""`saliency inspect`: describes a checkpoint, and refuses the same ones as `explain`."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner, Result

from saliency_cli.checkpoints import load
from saliency_cli.cli.app import app
from saliency_cli.errors import SaliencyError
from saliency_cli.settings import Compute, ModelChoice
from tests.support.models import wordpiece
from tests.support.paths import ROOT, SAMPLE
from tests.support.saving import FORMATS, Save, add_prefix, read_weights

CPU = Compute(device="cpu")
NAMES = set(
    "model format architecture parameters dtypes labels head embedding_layer embedding_shape "
    "tokenizer tokenizer_kind max_length warnings ready reason hint".split()
)


def inspect(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, ["inspect", *map(str, arguments), "--device", "cpu"])


def test_sample_is_described_within_30_seconds() -> None:
    command = [sys.executable, "-m", "saliency_cli", "inspect", str(SAMPLE / "model.pt"), "--json"]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert time.monotonic() - started < 30
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "model": "model.pt",
        "format": "PyTorch file",
        "architecture": "BertForSequenceClassification",
        "parameters": 942_210,
        "dtypes": ["float32"],
        "labels": ["ham", "spam"],
        "head": "single-label",
        "embedding_layer": "bert.embeddings.word_embeddings",
        "embedding_shape": [4000, 128],
        "tokenizer": "TokenizersBackend",
        "tokenizer_kind": "WordPiece",
        "max_length": 128,
        "warnings": None,
        "ready": True,
        "reason": None,
        "hint": None,
    }


def test_json_is_one_line_with_sorted_keys(bert_folder: Path) -> None:
    result = inspect(bert_folder, "--json")
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert list(json.loads(line)) == sorted(NAMES)


def test_text_output_has_one_line_per_fact(bert_folder: Path) -> None:
    lines = inspect(bert_folder).stdout.splitlines()
    facts = {line[:18].strip(): line[18:].strip() for line in lines}
    assert facts["labels"] == "ham, spam"
    assert facts["embedding shape"] == f"{len(wordpiece())} × 32"
    assert facts["ready"] == "yes"
    assert {name.replace("_", " ") for name in NAMES} - set(facts) == {"reason", "hint", "warnings"}


def test_tokenizer_kind_is_named(gpt2_folder: Path) -> None:
    assert json.loads(inspect(gpt2_folder, "--json").stdout)["tokenizer_kind"] == "byte-level BPE"


@pytest.mark.parametrize("save", FORMATS.values(), ids=FORMATS)
def test_format_of_every_kind_of_checkpoint_is_named(
    bert_folder: Path, tmp_path: Path, save: Save
) -> None:
    weights = {key: value.bfloat16() for key, value in read_weights(bert_folder).items()}
    path = save(tmp_path, weights)
    options = ["--config", bert_folder, "--tokenizer", bert_folder]
    if path.is_dir():
        (tmp_path / "config.json").write_bytes((bert_folder / "config.json").read_bytes())
    described = json.loads(inspect(path, "--json", *options).stdout)
    assert described["ready"]
    assert ("folder" in described["format"]) == path.is_dir()
    assert "bfloat16" in described["dtypes"]


def test_model_options_are_respected(bert_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("no\nyes")
    options = ["--labels", tmp_path / "labels", "--max-length", 9, "--embedding-layer"]
    described = json.loads(inspect(bert_folder, "--json", *options, "bert.embeddings").stdout)
    assert (described["labels"], described["max_length"]) == (["no", "yes"], 9)
    assert (described["embedding_layer"], described["embedding_shape"]) == ("bert.embeddings", None)


class FileCreator(nn.Module):
    """A module that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.path.touch()


def refusals(folder: Path, weights: dict[str, torch.Tensor]) -> dict[str, Path]:
    """Write checkpoints that `explain` refuses; return their paths by file name."""
    short = {key: value for key, value in weights.items() if "classifier" not in key}
    contents = {
        "short": short,
        "mixed": {**add_prefix("module.", short), "classifier.bias": weights["classifier.bias"]},
        "module": FileCreator(folder / "trace"),
        "empty": {},
        "nan": {key: value * torch.nan for key, value in weights.items()},
    }
    for name, content in contents.items():
        torch.save(content, folder / f"{name}.pt")
    (folder / "rubbish.safetensors").write_bytes(b"\x00" * 64)
    paths = [folder / f"{name}.pt" for name in contents]
    return {path.name: path for path in [*paths, folder / "rubbish.safetensors", folder / "no.pt"]}


@pytest.mark.parametrize(
    "name",
    ["short.pt", "mixed.pt", "module.pt", "empty.pt", "nan.pt", "rubbish.safetensors", "no.pt"],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_checkpoint_that_explain_refuses_is_not_ready(
    bert_folder: Path, tmp_path: Path, name: str, *, as_json: bool
) -> None:
    path = refusals(tmp_path, read_weights(bert_folder))[name]
    options = ["--config", bert_folder, "--tokenizer", bert_folder]
    with pytest.raises(SaliencyError) as caught:
        load(ModelChoice(path, config=bert_folder, tokenizer=bert_folder), CPU)
    result = inspect(path, *options, *(["--json"] if as_json else []))
    assert result.exit_code == caught.value.exit_code
    assert caught.value.message in result.stderr
    assert not (tmp_path / "trace").exists()
    if as_json:
        described = json.loads(result.stdout)
        assert set(described) == NAMES
        assert (described["ready"], described["reason"]) == (False, caught.value.message)
        assert (described["format"] is None) == (name == "no.pt")
    else:
        assert f"ready{'':<13} no" in result.stdout
        assert caught.value.message in result.stdout


def test_control_characters_in_labels_are_escaped(bert_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("\x1b[31mred\n\u202eright")
    result = inspect(bert_folder, "--labels", tmp_path / "labels")
    assert "\x1b" not in result.stdout
    assert r"\x1b[31mred, \u202eright" in result.stdout


def test_users_own_module_is_described(tmp_path: Path) -> None:
    wordpiece().save_pretrained(tmp_path)
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\nprint('imported')\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        f"        self.words = nn.Embedding({len(wordpiece())}, 3)\n"
        "    def forward(self, input_ids):\n        return self.words(input_ids).tanh().mean(1)\n"
    )
    torch.save({"words.weight": torch.randn(len(wordpiece()), 3)}, tmp_path / "net.pt")
    arch = ["--arch", f"{tmp_path / 'net.py'}:Net", "--embedding-layer", "words"]
    result = inspect(tmp_path / "net.pt", *arch, "--json")
    assert result.stderr == "imported\n"
    described = json.loads(result.stdout)
    assert described["architecture"] == "Net"
    assert described["embedding_shape"] == [len(wordpiece()), 3]
    assert described["labels"] == ["LABEL_0", "LABEL_1", "LABEL_2"]
