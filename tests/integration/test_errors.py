"""Errors of `saliency explain`: each gives one line, at most one hint and the right exit code."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from saliency_cli.cli.app import app
from tests.support.models import save_gpt2
from tests.support.shell import CHECKPOINT, DONE, OUTPUT, USAGE, Outcome, Shell, run

COLUMN_LIST = "its columns are"


def test_the_run_that_the_other_tests_break_succeeds(shell: Shell) -> None:
    outcome = shell.explain()
    assert (outcome.exit_code, outcome.stdout) == (DONE, "")
    assert "error" not in outcome.stderr


def test_a_missing_model_is_named(shell: Shell) -> None:
    assert "nowhere.pt" in shell.refused(USAGE, model=shell.home / "nowhere.pt")


def test_missing_texts_are_named(shell: Shell) -> None:
    assert "nowhere.csv" in shell.refused(USAGE, texts=shell.home / "nowhere.csv")


@pytest.mark.parametrize("option", ["--tokenizer", "--config"])
def test_a_missing_path_in_an_option_is_named(shell: Shell, option: str) -> None:
    assert "nowhere" in shell.refused(USAGE, option, shell.home / "nowhere")


TOO_LONG = "n" * 300
"""Longer than a file system allows: `Path.exists` raises instead of returning False."""


@pytest.mark.parametrize("where", ["model", "texts", "--tokenizer", "--config"])
def test_a_path_that_is_too_long_is_a_usage_error(shell: Shell, where: str) -> None:
    if where.startswith("--"):
        assert TOO_LONG in shell.refused(USAGE, where, TOO_LONG)
    else:
        assert TOO_LONG in shell.refused(USAGE, **{where: f"{TOO_LONG}.jsonl"})


def test_an_output_folder_with_a_too_long_name_is_reported_in_one_line(shell: Shell) -> None:
    outcome = shell.explain(out=shell.home / TOO_LONG)
    assert outcome.exit_code in {USAGE, OUTPUT}
    assert TOO_LONG in outcome.refusal()


def test_a_folder_without_a_model_is_refused(shell: Shell) -> None:
    folder = shell.home / "empty"
    folder.mkdir()
    assert "config.json" in shell.refused(CHECKPOINT, model=folder)


def test_a_file_with_another_suffix_than_a_models_is_refused(shell: Shell) -> None:
    assert ".pt" in shell.refused(CHECKPOINT, model=shell.texts)


def test_a_folder_without_weights_is_refused(shell: Shell) -> None:
    (shell.model / "model.safetensors").unlink()
    assert "safetensors" in shell.refused(CHECKPOINT)


def test_a_pickle_in_a_folder_of_safetensors_is_not_opened(shell: Shell) -> None:
    marker = shell.home / "marker"
    torch.save(WholeModule(Marker(marker)), shell.model / "pytorch_model.bin")
    assert shell.explain().exit_code == DONE
    assert not marker.exists()


def test_a_pickled_module_in_a_folder_is_refused(shell: Shell) -> None:
    marker = shell.home / "marker"
    (shell.model / "model.safetensors").unlink()
    torch.save(WholeModule(Marker(marker)), shell.model / "pytorch_model.bin")
    assert "torch.save(model.state_dict(), path)" in shell.refused(CHECKPOINT)
    assert not marker.exists()


def test_truncated_safetensors_are_refused(shell: Shell) -> None:
    path = shell.model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert str(shell.model) in shell.refused(CHECKPOINT)


def test_a_state_dict_without_a_config_asks_for_the_config_option(shell: Shell) -> None:
    path = shell.as_state_dict(shell.weights())
    (shell.model / "config.json").unlink()
    assert "--config" in shell.refused(USAGE, model=path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02.", b"PK\x03\x04" + bytes(64)])
def test_a_file_that_is_not_a_checkpoint_is_refused(shell: Shell, content: bytes) -> None:
    path = shell.as_state_dict({})
    path.write_bytes(content)
    assert str(path) in shell.refused(CHECKPOINT, model=path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_state_dict_is_refused_as_unreadable(shell: Shell, share: float) -> None:
    path = shell.as_state_dict(shell.weights())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "cannot be read" in shell.refused(CHECKPOINT, model=path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "list"),
        ({}, "empty dict"),
        (torch.zeros(2), "Tensor"),
        ({"epoch": 3, "lr": 0.1}, "'epoch' is not a tensor"),
        ({"state_dict": {"weight": torch.zeros(2)}}, "unexpected: weight"),
        ({"state_dict": {"weight": torch.zeros(2), "step": 3}}, "'step' is not a tensor"),
    ],
    ids=str,
)
def test_a_file_without_a_state_dict_is_refused_with_what_it_contains(
    shell: Shell, content: object, message: str
) -> None:
    assert message in shell.refused(CHECKPOINT, model=shell.as_state_dict(content))


class Marker:
    """An object whose pickle creates a file when it is loaded without restrictions."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._path,)


class WholeModule(nn.Module):
    """A module to pickle as `torch.save(model, path)` does: its class and all its attributes."""

    def __init__(self, marker: Marker) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.marker = marker


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_module_is_refused_and_none_of_its_code_runs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, *, zipped: bool
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker = shell.home / "marker"
    path = shell.as_state_dict({})
    torch.save(WholeModule(Marker(marker)), path, _use_new_zipfile_serialization=zipped)
    assert "torch.save(model.state_dict(), path)" in shell.refused(CHECKPOINT, model=path)
    assert not marker.exists()


def test_a_plain_pickle_is_refused_without_a_warning_from_a_library(shell: Shell) -> None:
    marker = shell.home / "marker"
    path = shell.as_state_dict({})
    path.write_bytes(pickle.dumps(Marker(marker), protocol=4))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        message = shell.refused(CHECKPOINT, model=path)
    assert "torch.save(model.state_dict(), path)" in message
    assert caught == []
    assert not marker.exists()


def test_the_pickle_of_these_tests_runs_code_when_it_is_loaded_without_restrictions(
    shell: Shell,
) -> None:
    marker = shell.home / "marker"
    path = shell.as_state_dict({})
    torch.save(WholeModule(Marker(marker)), path)
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_a_pickled_module_is_refused_where_the_environment_turns_weights_only_off(
    shell: Shell,
) -> None:
    marker = shell.home / "marker"
    path = shell.as_state_dict({})
    torch.save(WholeModule(Marker(marker)), path)
    outcome = run(shell.arguments(model=path), TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="1")
    assert outcome.exit_code == CHECKPOINT
    assert "save it again" in outcome.refusal()
    assert not marker.exists()
    assert not shell.out.exists()


def test_one_message_names_all_keys_that_do_not_fit(shell: Shell) -> None:
    weights = shell.weights()
    del weights["classifier.weight"], weights["bert.pooler.dense.bias"]
    weights["head.extra"] = torch.zeros(3)
    weights["classifier.bias"] = torch.zeros(5)
    weights["bert.embeddings.LayerNorm.weight"] = torch.zeros(4)
    path = shell.as_state_dict(weights)
    outcome = run(shell.arguments(model=path))
    assert outcome.exit_code == CHECKPOINT
    assert not shell.out.exists()
    missing, unexpected, shapes = outcome.refusal().splitlines()[0].split("; ")
    assert "missing: bert.pooler.dense.bias, classifier.weight" in missing
    assert "unexpected: head.extra" in unexpected
    assert "bert.embeddings.LayerNorm.weight 4 for 32" in shapes
    assert "classifier.bias 5 for 2" in shapes


@pytest.mark.parametrize("key", ["classifier.weight", "bert.embeddings.word_embeddings.weight"])
def test_a_single_missing_key_is_refused(shell: Shell, key: str) -> None:
    weights = shell.weights()
    del weights[key]
    assert f"missing: {key}" in shell.refused(CHECKPOINT, model=shell.as_state_dict(weights))


def test_weights_without_a_head_are_refused_with_the_keys_of_the_head(shell: Shell) -> None:
    weights = {
        key: value for key, value in shell.weights().items() if not key.startswith("classifier")
    }
    save_file(weights, shell.model / "model.safetensors", {"format": "pt"})
    assert "also needs classifier.bias, classifier.weight" in shell.refused(CHECKPOINT)


def test_a_config_with_other_sizes_is_refused_with_both_shapes(shell: Shell) -> None:
    shell.change_config(intermediate_size=48)
    assert "intermediate.dense.weight 64×32 for 48×32" in shell.refused(CHECKPOINT)


def test_weights_that_are_not_finite_are_refused(shell: Shell) -> None:
    weights = {key: torch.full_like(value, torch.nan) for key, value in shell.weights().items()}
    assert "not finite" in shell.refused(CHECKPOINT, model=shell.as_state_dict(weights))


def test_a_model_without_a_tokenizer_is_refused(shell: Shell) -> None:
    (shell.model / "tokenizer.json").unlink()
    (shell.model / "tokenizer_config.json").unlink()
    assert "--tokenizer" in shell.refused(CHECKPOINT)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"not json", b'{"version": "1.0"}'])
def test_a_damaged_or_incomplete_tokenizer_is_refused(shell: Shell, content: bytes | None) -> None:
    path = shell.model / "tokenizer.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert "tokenizer" in shell.refused(CHECKPOINT)


def test_a_tokenizer_whose_ids_exceed_the_embedding_is_refused(shell: Shell) -> None:
    other = save_gpt2(shell.home / "gpt2")
    message = shell.refused(CHECKPOINT, "--tokenizer", other)
    assert str(other) in message
    assert "256" in message


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (CHECKPOINT, {"problem_type": "regression"}),
        (USAGE, ["--target", "eggs"]),
        (USAGE, ["--contrast", "eggs"]),
        (USAGE, ["--threshold", "1.5"]),
        (USAGE, ["--stride", "62"]),
        (USAGE, ["--pair-column", "other"]),
        (USAGE, ["--preset", "allennlp", "--multi-label"]),
    ],
    ids=str,
)
def test_an_option_or_config_that_the_model_does_not_support_is_refused(
    shell: Shell, code: int, options: dict[str, str] | list[str]
) -> None:
    if isinstance(options, dict):
        shell.change_config(**options)
        options = []
    shell.refused(code, *options)


@pytest.mark.parametrize(
    "changes",
    [
        {"id2label": {"0": "ham", "1": "ham"}},
        {"id2label": {"0": "ham", "2": "spam"}},
        {"id2label": {"zero": "ham", "one": "spam"}},
        {"model_type": "none-such"},
        {"model_type": None},
        {"hidden_size": -1},
        {"hidden_size": "wide"},
        {"num_attention_heads": 0},
    ],
    ids=str,
)
def test_a_config_with_invalid_values_is_refused(shell: Shell, changes: dict[str, Any]) -> None:
    shell.change_config(**changes)
    assert str(shell.model) in shell.refused(CHECKPOINT)


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 10**5]
)
def test_a_config_that_is_not_a_json_object_is_refused(shell: Shell, content: bytes) -> None:
    (shell.model / "config.json").write_bytes(content)
    assert "config.json" in shell.refused(CHECKPOINT)


def test_a_missing_column_is_refused_with_the_names_of_the_columns(shell: Shell) -> None:
    texts = shell.write("texts.csv", "body,gold\na,b\n")
    message = shell.refused(USAGE, texts=texts)
    assert "'text'" in message
    assert f"{COLUMN_LIST} body, gold" in message
    assert f"{COLUMN_LIST} body, gold" in shell.refused(
        USAGE, "--text-column", "body", "--label-column", "label", texts=texts
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jsonl", b"", "holds no row"),
        ("empty.csv", b"", "holds no row"),
        ("header.csv", b"text,label\n", "holds no row"),
        ("texts.xlsx", b"PK", "not a readable .xlsx file"),
        ("texts", b"a", "suffix"),
        ("utf16.csv", "text\na\n".encode("utf-16"), "UTF-16"),
        ("twice.csv", b"text,text\na,b\n", "twice"),
        ("broken.csv.gz", b"\x1f\x8b no gzip", "gzip"),
    ],
)
def test_texts_that_cannot_be_read_are_a_usage_error(
    shell: Shell, name: str, content: bytes, reason: str
) -> None:
    message = shell.refused(USAGE, texts=shell.write(name, content))
    assert name in message
    assert reason in message


def test_a_folder_in_place_of_texts_is_a_usage_error(shell: Shell) -> None:
    folder = shell.home / "folder.csv"
    folder.mkdir()
    assert "folder.csv" in shell.refused(USAGE, texts=folder)


def test_a_report_is_replaced_only_with_overwrite(shell: Shell) -> None:
    assert shell.explain().exit_code == DONE
    before = (shell.out / "index.html").read_bytes()
    assert "--overwrite" in shell.refused(USAGE)
    assert (shell.out / "index.html").read_bytes() == before
    assert shell.explain("--overwrite").exit_code == DONE


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "unknown file"])
def test_files_that_no_run_wrote_are_never_overwritten(
    shell: Shell, kind: str, options: list[str]
) -> None:
    target = shell.home / "target"
    if kind == "file":
        shell.out.write_text("mine")
    elif kind == "unknown file":
        shell.out.mkdir()
        (shell.out / "thesis.txt").write_text("mine")
    else:
        shell.out.symlink_to(target, target_is_directory=True)
        if kind == "link":
            target.mkdir()
    outcome = shell.explain(*options)
    assert outcome.exit_code == USAGE
    assert str(shell.out) in outcome.refusal()
    if kind == "file":
        assert shell.out.read_text() == "mine"
    elif kind == "unknown file":
        assert "thesis.txt" in outcome.stderr
        assert (shell.out / "thesis.txt").read_text() == "mine"
        assert len(list(shell.out.iterdir())) == 1
    else:
        assert not list(target.iterdir() if kind == "link" else ())
        assert target.exists() is (kind == "link")


def test_output_that_cannot_be_written_is_an_output_error(shell: Shell) -> None:
    out = shell.texts / "below" / "a file"
    assert "cannot be written" in shell.refused(OUTPUT, out=out)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("name", ["records/part-00000.jsonl", "manifest.json", "index.html"])
def test_a_full_disk_is_an_output_error(
    shell: Shell, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.open
    part = shell.out / f"{name}.tmp"

    def full(path: Path, mode: str = "r", **kwargs: Any) -> Any:  # noqa: ANN401 - as Path.open
        if path == part:
            return original(Path("/dev/full"), mode.replace("x", "w"), **kwargs)
        return original(path, mode, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    outcome = shell.explain()
    assert outcome.exit_code == OUTPUT
    assert "No space left on device" in outcome.refusal()
    assert not (shell.out / name).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samples", "3"], "odd"),
        (["--samples", "0"], "at least 1"),
        (["--samples", "many"], "'many'"),
        (["--preset", "allennlp", "--noise", "0.1"], "--noise"),
        (["--preset", "allennlp", "--samples", "10"], "--samples"),
        (["--preset", "allennlp", "--reduction", "sum"], "--reduction"),
        (["--preset", "allennlp", "--antithetic"], "--antithetic"),
        (["--reduction", "sum"], "--embedding-layer bert.embeddings,"),
        (["--embedding-layer", "none.such"], "bert.embeddings.word_embeddings"),
        (["--embedding-layer", ""], "''"),
        (["--device", "tpu"], "cpu, cuda"),
        (["--device", "mps"], "cpu and cuda"),
        (["--device", ""], "cuda"),
        (["--max-length", "65"], "64 tokens at most"),
    ],
    ids=ascii,
)
def test_an_invalid_option_is_refused_with_what_is_valid(
    shell: Shell, options: list[str], message: str
) -> None:
    assert message in shell.refused(USAGE, *options)


@pytest.mark.parametrize("length", [1, 2])
def test_a_max_length_without_space_for_text_is_refused(shell: Shell, length: int) -> None:
    texts = shell.write("long.jsonl", json.dumps({"text": "free call now " * 40}))
    assert "--max-length" in shell.refused(USAGE, "--max-length", length, texts=texts)


def test_cuda_is_refused_on_a_machine_without_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no CUDA device" in shell.refused(USAGE, "--device", "cuda")


def test_a_layer_that_is_no_embedding_is_refused_by_its_name(shell: Shell) -> None:
    assert "classifier" in shell.refused(CHECKPOINT, "--embedding-layer", "classifier")


def test_the_preset_needs_a_block_of_embedding_layers(shell: Shell) -> None:
    model = save_gpt2(shell.home / "gpt2")
    assert "--preset allennlp-gradient" in shell.refused(USAGE, "--preset", "allennlp", model=model)


@pytest.mark.parametrize(
    "options",
    [
        ["--noise", "-1"],
        ["--noise", "nan"],
        ["--limit", "0"],
        ["--reduction", "l3"],
        ["--nonesuch"],
    ],
    ids=" ".join,
)
def test_an_option_out_of_range_is_a_usage_error_without_a_traceback(
    shell: Shell, options: list[str]
) -> None:
    outcome = shell.explain(*options)
    assert (outcome.exit_code, outcome.stdout) == (USAGE, "")
    assert options[0] in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not shell.out.exists()


def test_debug_prints_the_traceback_before_the_error_message(shell: Shell) -> None:
    outcome = shell.explain("--debug", model=shell.home / "nowhere.pt")
    assert (outcome.exit_code, outcome.stdout) == (USAGE, "")
    assert outcome.stderr.startswith("Traceback (most recent call last):\n")
    assert "UsageError" in outcome.stderr
    assert outcome.stderr.splitlines()[-1].startswith("error: ")


def test_quiet_still_prints_errors(shell: Shell) -> None:
    assert "nowhere" in shell.refused(USAGE, "--quiet", model=shell.home / "nowhere.pt")


HOSTILE_NAMES = [b"caf\xe9", b"tab\there\x1b[31m", "\u202egnp".encode(), b"-", b"a b'\"\\"]
"""Names that are not UTF-8, or contain control characters or quotes."""


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_texts_with_any_file_name_are_explained(shell: Shell, name: bytes) -> None:
    texts = shell.write(os.fsdecode(name + b".jsonl"), '{"text": "ok"}\n')
    assert shell.explain(texts=texts).exit_code == DONE


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_state_dict_with_any_file_name_is_explained(shell: Shell, name: bytes) -> None:
    path = shell.as_state_dict(shell.weights())
    path = path.rename(shell.model / os.fsdecode(name + b".pt"))
    assert shell.explain(model=path).exit_code == DONE


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_report_is_written_to_a_folder_with_any_name(shell: Shell, name: bytes) -> None:
    out = shell.home / os.fsdecode(name)
    assert shell.explain(out=out).exit_code == DONE
    assert (out / "index.html").is_file()


def test_a_folder_that_the_tokenizers_cannot_open_is_refused_in_one_line(shell: Shell) -> None:
    model = shell.model.rename(shell.home / os.fsdecode(b"mod\xe8le"))
    assert "mod" in shell.refused(CHECKPOINT, model=model)


@pytest.fixture
def running(shell: Shell) -> Iterator[subprocess.Popen[bytes]]:
    """A run that takes some seconds, after it has begun to write records."""
    process = subprocess.Popen(
        [sys.executable, "-m", "saliency_cli", *shell.arguments(texts="-")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdin is not None
        process.stdin.writelines(b'{"text": "you won prize %d"}\n' % n for n in range(20_000))
        process.stdin.close()
        part = shell.out / "records" / "part-00000.jsonl.tmp"
        started = time.monotonic()
        while not part.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < started + 60
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        with process:  # closes its pipes
            pass


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_prints_one_line_and_leaves_no_page_or_temporary_file(
    shell: Shell, running: subprocess.Popen[bytes], number: signal.Signals, exit_code: int
) -> None:
    running.send_signal(number)
    running.wait(timeout=30)
    assert running.returncode == exit_code
    assert running.stdout is not None
    assert running.stderr is not None
    outcome = Outcome(exit_code, running.stdout.read().decode(), running.stderr.read().decode())
    assert number.name in outcome.refusal()
    assert not [*shell.out.rglob("*.tmp"), *shell.out.rglob("*.html")]
    assert CliRunner().invoke(app, ["report", str(shell.out)]).exit_code == USAGE
