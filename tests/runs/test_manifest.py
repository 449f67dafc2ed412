"""Every setting counts: two processes that differ in one never write into one run.

The tests go through the declarations, so a new option is covered without a line here, unless it is
declared to work through something else that the manifest compares (`Effect.RESOLVED`).
"""

import json
import runpy
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods import METHODS, build_method
from saliency_cli.attribution.methods.base import Method
from saliency_cli.checkpoints import detect_checkpoint
from saliency_cli.errors import UsageError
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.model.instruction_set import instruction_set
from saliency_cli.runs.manifest import check_resumable, describe, differences, recorded_options
from saliency_cli.runs.request import Request
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import Compute, Effect, ModelChoice, Setting, settings_of
from tests.support.models import save_bert
from tests.support.shell import DONE, USAGE, run_here

SETTINGS = {each.name: each for each in settings_of(Request) if each.name != "method"}
PARAMETERS = {
    (name, each.name): each for name, method in METHODS.items() for each in settings_of(method)
}
REQUEST = Request(ModelChoice(Path("m")), TextsChoice("t"), Compute(), Maths())


def of_effect(effect: Effect) -> list[str]:
    return sorted(name for name, each in SETTINGS.items() if each.option.effect is effect)


def another_value(setting: Setting, value: Any) -> Any:  # noqa: ANN401
    """Return a value of the setting's type that differs from `value`."""
    kinds = [each for each in get_args(setting.type) or [setting.type] if each is not type(None)]
    examples: dict[Any, list[Any]] = {bool: [True, False], int: [2, 4], float: [0.25]}
    examples[str] = ["x:y"]
    examples[list[str]] = [["x"]]
    values: list[Any] = [*setting.option.choices]
    for kind in kinds:
        literals = get_args(kind) if get_origin(kind) is Literal else ()
        values += [*literals, *examples.get(kind, []), *([kind] if isinstance(kind, str) else [])]
    return next(each for each in values if each != value)


def changed(instance: Any, path: tuple[str, ...], value: Any) -> Any:  # noqa: ANN401
    """Return a copy of nested dataclasses with one value changed."""
    inner = value if len(path) == 1 else changed(getattr(instance, path[0]), path[1:], value)
    return replace(instance, **{path[0]: inner})


def told(before: Request, after: Request) -> list[str]:
    """Return what the manifests of two requests differ in, by their options alone."""
    return differences({"options": recorded_options(before)}, {"options": recorded_options(after)})


def with_another_value(name: str) -> Request:
    setting = SETTINGS[name]
    value = reduce(getattr, setting.path, REQUEST)
    return changed(REQUEST, setting.path, another_value(setting, value))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", of_effect(Effect.NUMBERS))
def test_an_option_that_changes_numbers_is_compared(name: str) -> None:
    assert told(REQUEST, REQUEST) == []
    (difference,) = told(REQUEST, with_another_value(name))
    assert difference.startswith(f"--{name.replace('_', '-')} was ")


@pytest.mark.parametrize("name", of_effect(Effect.PAGES))
def test_an_option_of_the_pages_is_recorded_and_may_differ(name: str) -> None:
    other = with_another_value(name)
    assert recorded_options(REQUEST)[name] != recorded_options(other)[name]
    assert told(REQUEST, other) == []


@pytest.mark.parametrize(("method", "name"), PARAMETERS)
def test_every_parameter_of_every_method_is_compared(method: str, name: str) -> None:
    default = build_method(method, {})
    other = build_method(
        method, {name: another_value(PARAMETERS[method, name], getattr(default, name))}
    )
    before, after = (replace(REQUEST, maths=Maths(each)) for each in (default, other))
    (difference,) = told(before, after)
    assert difference.startswith(f"--{name.replace('_', '-')} was ")


def test_the_method_is_compared() -> None:
    methods: list[Method] = [build_method(name, {}) for name in METHODS]
    for method in methods[1:]:
        found = told(
            replace(REQUEST, maths=Maths(methods[0])), replace(REQUEST, maths=Maths(method))
        )
        assert any(each.startswith("--method was ") for each in found)


def test_settings_have_a_name_each() -> None:
    names = [each.name for each in settings_of(Request)]
    assert len(names) == len(set(names))


# Settings that work through something else.

Change = Callable[[Path, Request], Request]


def _edit(path: Path, before: bytes, after: bytes) -> None:
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after, 1))


def other_checkpoint(home: Path, request: Request) -> Request:
    path = home / "model" / "model.safetensors"
    weights = bytearray(path.read_bytes())
    weights[-2] ^= 1
    path.write_bytes(weights)
    return request


def other_tokenizer(home: Path, request: Request) -> Request:
    tokenizer = shutil.copytree(home / "model", home / "tokenizer")
    _edit(tokenizer / "tokenizer.json", b'"version": "1.0"', b'"version":  "1.0"')
    return changed(request, ("model", "tokenizer"), tokenizer)  # type: ignore[no-any-return]


def other_config(home: Path, request: Request) -> Request:
    _edit(home / "model" / "config.json", b"{", b"{ ")
    return request


def other_labels(home: Path, request: Request) -> Request:
    (home / "labels.txt").write_text("no\nyes\n", encoding="utf-8")
    return changed(request, ("model", "labels"), home / "labels.txt")  # type: ignore[no-any-return]


def other_input(home: Path, request: Request) -> Request:
    texts = home / "other.jsonl"
    texts.write_text('{"text": "free"}\n', encoding="utf-8")
    return changed(request, ("texts", "path"), str(texts))  # type: ignore[no-any-return]


def with_value(*path: str, value: object) -> Change:
    return lambda _home, request: changed(request, path, value)


CHANGES: dict[str, Change] = {
    "model": other_checkpoint,
    "tokenizer": other_tokenizer,
    "config": other_config,
    "labels": other_labels,
    "embedding_layer": with_value("model", "embedding_layer", value="bert.embeddings"),
    "max_length": with_value("compute", "max_length", value=16),
    "dtype": with_value("compute", "dtype", value="bfloat16"),
    "attention": with_value("compute", "attention", value="eager"),
    "batch_tokens": with_value("compute", "batch_tokens", value=300),
    "texts": other_input,
    "encoding": with_value("texts", "encoding", value="cp1252"),
    "shard_rows": with_value("sharding", "shard_rows", value=3),
}
ELSEWHERE = {"base_model", "delimiter", "device", "gpus_per_worker", "workers"}
"""Settings that the tests below change without a second description."""


def test_every_setting_that_works_through_something_else_is_tested() -> None:
    assert {*of_effect(Effect.RESOLVED)} == {*CHANGES} | ELSEWHERE


def described(request: Request) -> dict[str, Any]:
    with open_texts(request.texts) as source:
        return describe(request, build_engine(request), source)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    save_bert(tmp_path / "model")
    (tmp_path / "texts.jsonl").write_text('{"text": "free call"}\n', encoding="utf-8")
    return tmp_path


def request_in(home: Path) -> Request:
    compute = Compute(device="cpu", dtype="float32")
    return Request(
        ModelChoice(home / "model"), TextsChoice(str(home / "texts.jsonl")), compute, Maths()
    )


@pytest.mark.parametrize("name", CHANGES)
def test_what_an_option_leads_to_is_compared(home: Path, name: str) -> None:
    request = request_in(home)
    before = described(request)
    assert differences(before, described(request)) == []
    after = described(CHANGES[name](home, request))
    assert differences(before, after), name


def test_the_delimiter_is_compared(home: Path) -> None:
    (home / "texts.jsonl").write_text("text\nfree call\n", encoding="utf-8")
    request = changed(request_in(home), ("texts", "format"), "csv")
    before, after = (
        described(changed(request, ("texts", "delimiter"), each)) for each in (None, ";")
    )
    assert differences(before, after) == ["--delimiter was ,, and is ;"]


def test_another_input_of_the_same_name_is_refused(home: Path) -> None:
    request = request_in(home)
    with open_texts(request.texts) as source:
        now = describe(request, build_engine(request), source)
        before = {**now, "hashes": {**now["hashes"], "input": "0" * 64}}
        with pytest.raises(UsageError, match="another input"):
            check_resumable(before, now, folder=RunFolder(home), source=source)


def test_device_and_batches_are_compared(home: Path) -> None:
    request = request_in(home)
    engine = build_engine(request)
    with open_texts(request.texts) as source:
        before = describe(request, engine, source)
        moved = replace(engine.classifier, device=torch.device("meta"))
        elsewhere = describe(request, replace(engine, classifier=moved), source)
        fewer = describe(request, replace(engine, budget=Budget(7)), source)  # --gpus-per-worker
    for after, name in ((elsewhere, "--device"), (fewer, "--batch-tokens")):
        assert any(each.startswith(f"{name} was ") for each in differences(before, after))


def test_the_files_of_a_base_model_are_hashed(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "task_type": "SEQ_CLS", "r": 2}), encoding="utf-8"
    )
    (adapter / "adapter_model.safetensors").write_bytes(b"\0" * 16)
    for name in ("one", "two"):
        save_bert(tmp_path / name)
        found = detect_checkpoint(ModelChoice(adapter, base_model=tmp_path / name))
        assert tmp_path / name / "model.safetensors" in found.files


# The machine.


@pytest.mark.parametrize(
    "variable", ["ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_CBWR"]
)
def test_variables_that_choose_kernels_are_recorded(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    cpu = torch.device("cpu")
    before = {"instruction_set": instruction_set(cpu)}
    monkeypatch.setenv(variable, "AVX2" if "ISA" in variable else "default")
    after = {"instruction_set": instruction_set(cpu)}
    (difference,) = differences(before, after)
    assert "instruction set" in difference


def explain_shard(home: Path, part: str, *options: str) -> tuple[int, str]:
    arguments = ["explain", str(home / "model"), str(home / "texts"), "--shard-rows", "1"]
    arguments += ["--shard", part, "--out", str(home / "out"), "--device", "cpu", *options]
    outcome = run_here(arguments)
    return outcome.exit_code, outcome.stderr


def test_a_csv_half_and_a_tsv_half_are_not_one_run(home: Path) -> None:
    (home / "texts").write_text("text\nfree call\nyou won\n", encoding="utf-8")
    assert explain_shard(home, "1/2", "--input-format", "csv")[0] == DONE
    code, stderr = explain_shard(home, "2/2", "--input-format", "tsv")
    assert code == USAGE
    assert "--input-format was csv, and is tsv" in stderr


def test_another_instruction_set_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "texts").write_text("text\nfree call\nyou won\n", encoding="utf-8")
    options = ("--input-format", "csv")
    assert explain_shard(home, "1/2", *options)[0] == DONE
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    code, stderr = explain_shard(home, "2/2", *options)
    assert code == USAGE
    assert "instruction set" in stderr


MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding({rows}, 4)
        self.head = nn.Linear(4, 2)
    def forward(self, input_ids, attention_mask):
        return self.head((self.embedding(input_ids) * attention_mask[..., None]).sum(dim=1))

def other():
    return Net()
"""


def test_two_names_of_one_file_are_not_one_run(home: Path) -> None:
    """`--arch m.py:Net` and `--arch m.py:other` have the same file, so only the name tells."""
    rows = json.loads((home / "model" / "config.json").read_bytes())["vocab_size"]
    (home / "m.py").write_text(MODULE.replace("{rows}", str(rows)), encoding="utf-8")
    names = runpy.run_path(str(home / "m.py"))
    torch.save(names["Net"]().state_dict(), home / "weights.pt")
    (home / "texts").write_text("text\nfree call\nyou won\n", encoding="utf-8")
    (home / "labels").write_text("no\nyes\n", encoding="utf-8")

    def half(part: str, name: str) -> tuple[int, str]:
        arguments = ["explain", str(home / "weights.pt"), str(home / "texts"), "--device", "cpu"]
        arguments += ["--arch", f"{home / 'm.py'}:{name}", "--tokenizer", str(home / "model")]
        arguments += ["--labels", str(home / "labels"), "--input-format", "csv"]
        arguments += ["--shard-rows", "1", "--shard", part, "--out", str(home / "out")]
        outcome = run_here(arguments)
        return outcome.exit_code, outcome.stderr

    assert half("1/2", "Net")[0] == DONE
    code, stderr = half("2/2", "other")
    assert code == USAGE
    assert "--arch was m.py:Net, and is m.py:other" in stderr
