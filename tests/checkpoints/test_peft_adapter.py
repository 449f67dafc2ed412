"""PEFT adapters: merged into a base model on this disk, and refused if anything does not fit."""

import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, PrefixTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertForSequenceClassification, BertModel
from typer.testing import CliRunner

from saliency_cli.checkpoints import load, load_checkpoint
from saliency_cli.cli.app import app
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.settings import Compute, ModelChoice
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS, save_bert, wordpiece

CPU = Compute(device="cpu")


@pytest.fixture
def base(bert_folder: Path, tmp_path: Path) -> Path:
    """Return the folder of a base model without a head."""
    folder = tmp_path / "base"
    shutil.copytree(bert_folder, folder)
    BertModel.from_pretrained(bert_folder).save_pretrained(folder)
    shutil.copy(bert_folder / "config.json", folder)
    return folder


def load_with_head(folder: Path) -> nn.Module:
    """Return a classifier for training; a head that the base lacks is initialised at random."""
    torch.manual_seed(5)
    module: nn.Module = BertForSequenceClassification.from_pretrained(folder)
    return module


def save_adapter(folder: Path, module: nn.Module, config: Any) -> PeftModel:  # noqa: ANN401
    """Save an adapter with random, nonzero weights; return it on its base model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about weights that are initialised by default
        model = get_peft_model(module, config)
        torch.manual_seed(6)
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data.normal_(std=0.2)
        model.save_pretrained(folder)
    return model.eval()


def lora(**changes: Any) -> LoraConfig:  # noqa: ANN401
    """Return a LoRA config with the usual targets, changed by `changes`."""
    options = {"task_type": "SEQ_CLS", "r": 4, "target_modules": ["query", "value"]} | changes
    return LoraConfig(**options)


@pytest.mark.parametrize("changes", [{}, {"use_dora": True}, {"use_rslora": True, "bias": "all"}])
def test_an_adapter_is_merged_into_its_base(
    base: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    adapted = save_adapter(tmp_path / "adapter", load_with_head(base), lora(**changes))
    loaded = load_checkpoint(ModelChoice(tmp_path / "adapter"), CPU)
    classifier = loaded.classifier
    assert loaded.format == "PEFT adapter"
    assert type(classifier.module) is BertForSequenceClassification
    assert not any(weight.requires_grad for weight in classifier.module.parameters())
    inputs = classifier.tokenizer(TEXTS[3], return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(classifier.module(**inputs).logits, adapted(**inputs).logits)
    assert scored(engine(classifier, samples=2), TEXTS)[0].sum() == pytest.approx(1)
    assert (classifier.propagation, classifier.without_rule) == ("conservative", ())
    hashed = {"adapter_config.json", "adapter_model.safetensors", "config.json"}
    assert set(classifier.hashes["model"]) == hashed | {"model.safetensors"}


def rename_base(adapter: Path, name: object) -> None:
    """Write another name of the base model into an adapter's config."""
    path = adapter / "adapter_config.json"
    content = json.loads(path.read_text()) | {"base_model_name_or_path": name}
    path.write_text(json.dumps(content))


def test_the_base_is_found_from_the_adapter_the_working_folder_or_the_option(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = tmp_path / "adapter"
    save_adapter(adapter, load_with_head(base), lora())
    for name in ("../base", "elsewhere/base"):
        rename_base(adapter, name)
        (tmp_path / "here" / "elsewhere").mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(tmp_path / "here")
        shutil.copytree(base, "elsewhere/base", dirs_exist_ok=True)
        assert load(ModelChoice(adapter), CPU).labels == ("ham", "spam")
    rename_base(adapter, "bert-base-uncased")
    with pytest.raises(CheckpointError, match="'bert-base-uncased' is not on this disk") as caught:
        load(ModelChoice(adapter), CPU)
    assert "--base-model" in str(caught.value.hint)
    assert load(ModelChoice(adapter, base_model=base), CPU).labels == ("ham", "spam")
    with pytest.raises(UsageError, match="no such file"):
        load(ModelChoice(adapter, base_model=tmp_path / "nowhere"), CPU)


@pytest.mark.parametrize("name", [None, 3, "", "\x1b[31m"])
def test_an_invalid_name_of_a_base_is_refused(base: Path, tmp_path: Path, name: object) -> None:
    save_adapter(tmp_path / "adapter", load_with_head(base), lora())
    rename_base(tmp_path / "adapter", name)
    with pytest.raises(CheckpointError) as caught:
        load(ModelChoice(tmp_path / "adapter"), CPU)
    assert caught.value.message.isprintable()


def test_the_head_must_be_in_the_adapter_or_in_its_base(
    base: Path, bert_folder: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter"
    save_adapter(adapter, load_with_head(base), lora(task_type=None))
    with pytest.raises(CheckpointError, match=r"also needs classifier\.bias, classifier\.weight"):
        load(ModelChoice(adapter), CPU)
    assert load(ModelChoice(adapter, base_model=bert_folder), CPU).labels == ("ham", "spam")


@pytest.mark.parametrize("problem", ["missing", "unexpected", "wrong shape"])
@pytest.mark.parametrize("part", ["classifier.bias", "layer.0.attention.self.query.lora_B.weight"])
def test_weights_of_an_adapter_are_loaded_strictly(
    base: Path, tmp_path: Path, problem: str, part: str
) -> None:
    adapter = tmp_path / "adapter"
    save_adapter(adapter, load_with_head(base), lora())
    path = adapter / "adapter_model.safetensors"
    weights = load_file(path)
    (key,) = (key for key in weights if key.endswith(part))
    if problem == "missing":
        del weights[key]
    elif problem == "unexpected":
        weights[f"{key}.more"] = torch.zeros(2)
    else:
        weights[key] = torch.zeros(7, *weights[key].shape[1:])
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=f"{problem}: .*{part}"):
        load(ModelChoice(adapter), CPU)


def test_the_number_of_labels_is_that_of_the_adapters_head(base: Path, tmp_path: Path) -> None:
    three = save_bert(tmp_path / "three", labels=("a", "b", "c"))
    save_adapter(tmp_path / "adapter", load_with_head(three), lora())
    choice = ModelChoice(tmp_path / "adapter", base_model=base)
    (tmp_path / "labels").write_text("a\nb\nc")
    named = ModelChoice(choice.checkpoint, base_model=base, labels=tmp_path / "labels")
    assert load(named, CPU).labels == ("a", "b", "c")
    with_config = ModelChoice(choice.checkpoint, base_model=base, config=three)
    assert load(with_config, CPU).labels == ("a", "b", "c")
    assert load(choice, CPU).labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    (tmp_path / "labels").write_text("a\nb")
    with pytest.raises(UsageError, match="names 2 labels, but the model has 3"):
        load(named, CPU)


def test_the_adapters_own_tokenizer_and_config_come_first(base: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    save_adapter(adapter, load_with_head(base), lora())
    config = json.loads((base / "config.json").read_text())
    config["id2label"] = {"0": "no", "1": "yes"}
    (adapter / "config.json").write_text(json.dumps(config))
    assert load(ModelChoice(adapter), CPU).labels == ("no", "yes")
    wordpiece().save_pretrained(adapter)
    (base / "tokenizer.json").unlink()
    assert "tokenizer.json" in load(ModelChoice(adapter), CPU).hashes["tokenizer"]


def test_arch_with_an_adapter_is_a_usage_error(base: Path, tmp_path: Path) -> None:
    save_adapter(tmp_path / "adapter", load_with_head(base), lora())
    with pytest.raises(UsageError, match="is an adapter"):
        load(ModelChoice(tmp_path / "adapter", arch="net.py:Net"), CPU)


def test_an_adapter_that_adds_tokens_is_refused(base: Path, tmp_path: Path) -> None:
    config = PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4)
    save_adapter(tmp_path / "adapter", load_with_head(base), config)
    with pytest.raises(CheckpointError, match="cannot be merged"):
        load(ModelChoice(tmp_path / "adapter"), CPU)


def test_a_module_named_by_an_adapter_is_not_imported(base: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    save_adapter(adapter, load_with_head(base), lora())
    path = adapter / "adapter_config.json"
    content = json.loads(path.read_text())
    content |= {"megatron_config": {"a": 1}, "megatron_core": "antigravity"}
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="megatron_config"):
        load(ModelChoice(adapter), CPU)
    assert "antigravity" not in sys.modules


def test_without_peft_the_hint_says_what_to_install(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_adapter(tmp_path / "adapter", load_with_head(base), lora())
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(CheckpointError, match="peft is not installed") as caught:
        load(ModelChoice(tmp_path / "adapter"), CPU)
    assert "pip install 'saliency-cli[peft]'" in str(caught.value.hint)


def test_an_adapter_without_weights_is_refused(base: Path, tmp_path: Path) -> None:
    save_adapter(tmp_path / "adapter", load_with_head(base), lora())
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="holds no weights"):
        load(ModelChoice(tmp_path / "adapter"), CPU)


@pytest.mark.parametrize("command", ["explain", "inspect"])
def test_the_option_base_model_names_the_base(base: Path, tmp_path: Path, command: str) -> None:
    adapter = tmp_path / "adapter"
    save_adapter(adapter, load_with_head(base), lora())
    rename_base(adapter, "bert-base-uncased")
    (tmp_path / "texts.jsonl").write_text('{"text": "free call now"}\n')
    out = [str(tmp_path / "texts.jsonl"), "--out", str(tmp_path / "out")]
    arguments = [command, str(adapter), *(out if command == "explain" else []), "--json"]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 3
    assert "--base-model" in refused.stderr
    done = CliRunner().invoke(app, [*arguments, "--base-model", str(base)])
    assert done.exit_code == 0
    assert isinstance(json.loads(done.stdout), dict)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 10**7}, "r is 10,000,000, but the adapter's tensors have"),
        ({"rank_pattern": {"query": 10**7}}, "rank_pattern is 10,000,000"),
        ({"target_modules": "(.*)*query"}, "may take very long"),
        ({"target_modules": ".*" * 20 + "x"}, "may take very long"),
        ({"rank_pattern": {"((a+)+)+b": 4}}, "may take very long"),
    ],
    ids=str,
)
def test_a_config_that_asks_for_too_much_is_refused(
    base: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    adapter = tmp_path / "adapter"
    save_adapter(adapter, load_with_head(base), lora())
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(CheckpointError, match=message):
        load(ModelChoice(adapter, base_model=base), CPU)


def test_a_key_that_occurs_twice_in_an_adapters_config_is_refused(
    base: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter"
    save_adapter(adapter, load_with_head(base), lora())
    path = adapter / "adapter_config.json"
    path.write_text('{"r": 4, ' + path.read_text().strip().removeprefix("{"))
    with pytest.raises(CheckpointError, match="'r' occurs twice"):
        load(ModelChoice(adapter, base_model=base), CPU)


def test_a_pattern_of_target_modules_is_accepted(base: Path, tmp_path: Path) -> None:
    targets = r".*encoder.*self\.(query|value)"
    save_adapter(tmp_path / "adapter", load_with_head(base), lora(target_modules=targets))
    assert load(ModelChoice(tmp_path / "adapter"), CPU).labels == ("ham", "spam")
