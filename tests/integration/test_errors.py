"""Every way to go wrong, tried as a new user would: one clear line, the right exit code."""

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


def test_the_run_that_the_tests_below_spoil_is_sound(shell: Shell) -> None:
    outcome = shell.explain()
    assert (outcome.exit_code, outcome.stdout) == (DONE, "")
    assert "error" not in outcome.stderr


def test_a_model_that_is_not_there_is_named(shell: Shell) -> None:
    assert "nowhere.pt" in shell.refused(USAGE, model=shell.home / "nowhere.pt")


def test_texts_that_are_not_there_are_named(shell: Shell) -> None:
    assert "nowhere.csv" in shell.refused(USAGE, texts=shell.home / "nowhere.csv")


@pytest.mark.parametrize("option", ["--tokenizer", "--config"])
def test_a_path_given_by_an_option_that_is_not_there_is_named(shell: Shell, option: str) -> None:
    assert "nowhere" in shell.refused(USAGE, option, shell.home / "nowhere")


TOO_LONG = "n" * 300
"""More than a file system takes: `Path.exists` raises instead of saying no."""


@pytest.mark.parametrize("where", ["model", "texts", "--tokenizer", "--config"])
def test_a_path_too_long_for_the_system_is_usage(shell: Shell, where: str) -> None:
    if where.startswith("--"):
        assert TOO_LONG in shell.refused(USAGE, where, TOO_LONG)
    else:
        assert TOO_LONG in shell.refused(USAGE, **{where: f"{TOO_LONG}.jsonl"})


def test_an_output_folder_whose_name_is_too_long_is_an_error_of_one_line(shell: Shell) -> None:
    outcome = shell.explain(out=shell.home / TOO_LONG)
    assert outcome.exit_code in {USAGE, OUTPUT}
    assert TOO_LONG in outcome.refusal()


def test_a_folder_that_is_no_model_is_refused(shell: Shell) -> None:
    folder = shell.home / "empty"
    folder.mkdir()
    assert "config.json" in shell.refused(CHECKPOINT, model=folder)


def test_a_file_that_is_no_model_is_refused_by_its_suffix(shell: Shell) -> None:
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


def test_a_state_dict_whose_config_is_nowhere_asks_for_it(shell: Shell) -> None:
    path = shell.as_state_dict(shell.weights())
    (shell.model / "config.json").unlink()
    assert "--config" in shell.refused(USAGE, model=path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02.", b"PK\x03\x04" + bytes(64)])
def test_a_file_of_rubbish_is_refused(shell: Shell, content: bytes) -> None:
    path = shell.as_state_dict({})
    path.write_bytes(content)
    assert str(path) in shell.refused(CHECKPOINT, model=path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_state_dict_is_refused_as_unreadable(shell: Shell, kept: float) -> None:
    path = shell.as_state_dict(shell.weights())
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert "cannot be read" in shell.refused(CHECKPOINT, model=path)


@pytest.mark.parametrize(
    ("content", "told"),
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
def test_a_file_that_holds_no_state_dict_says_what_it_holds(
    shell: Shell, content: object, told: str
) -> None:
    assert told in shell.refused(CHECKPOINT, model=shell.as_state_dict(content))


class Marker:
    """Leaves a file behind where a pickle that holds it is opened by a careless reader."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._path,)


class WholeModule(nn.Module):
    """A module as `torch.save(model, path)` pickles it: by its class, and all it holds."""

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


def test_a_plain_pickle_is_refused_without_a_warning_of_a_library(shell: Shell) -> None:
    marker = shell.home / "marker"
    path = shell.as_state_dict({})
    path.write_bytes(pickle.dumps(Marker(marker), protocol=4))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        message = shell.refused(CHECKPOINT, model=path)
    assert "torch.save(model.state_dict(), path)" in message
    assert heard == []
    assert not marker.exists()


def test_the_pickle_would_run_its_code_if_it_were_trusted(shell: Shell) -> None:
    marker = shell.home / "marker"
    path = shell.as_state_dict({})
    torch.save(WholeModule(Marker(marker)), path)
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_a_pickled_module_is_refused_in_a_process_that_distrusts_weights_only(
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


def test_keys_that_do_not_fit_are_all_named_in_one_message(shell: Shell) -> None:
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
def test_a_single_missing_key_is_never_filled_in(shell: Shell, key: str) -> None:
    weights = shell.weights()
    del weights[key]
    assert f"missing: {key}" in shell.refused(CHECKPOINT, model=shell.as_state_dict(weights))


def test_weights_of_a_headless_model_are_refused_by_the_name_of_the_head(shell: Shell) -> None:
    weights = {
        key: value for key, value in shell.weights().items() if not key.startswith("classifier")
    }
    save_file(weights, shell.model / "model.safetensors", {"format": "pt"})
    assert "missing: classifier.bias, classifier.weight" in shell.refused(CHECKPOINT)


def test_a_config_of_other_sizes_is_refused_with_both_shapes(shell: Shell) -> None:
    shell.change_config(intermediate_size=48)
    assert "intermediate.dense.weight 64×32 for 48×32" in shell.refused(CHECKPOINT)


def test_weights_that_are_no_numbers_are_refused(shell: Shell) -> None:
    weights = {key: torch.full_like(value, torch.nan) for key, value in shell.weights().items()}
    assert "not finite" in shell.refused(CHECKPOINT, model=shell.as_state_dict(weights))


def test_a_model_without_a_tokenizer_is_refused(shell: Shell) -> None:
    (shell.model / "tokenizer.json").unlink()
    (shell.model / "tokenizer_config.json").unlink()
    assert "--tokenizer" in shell.refused(CHECKPOINT)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"not json", b'{"version": "1.0"}'])
def test_half_a_tokenizer_is_refused(shell: Shell, content: bytes | None) -> None:
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
def test_what_the_model_does_not_have_is_refused(
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
def test_a_config_that_makes_no_sense_is_refused(shell: Shell, changes: dict[str, Any]) -> None:
    shell.change_config(**changes)
    assert str(shell.model) in shell.refused(CHECKPOINT)


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 10**5]
)
def test_a_config_that_is_none_is_refused(shell: Shell, content: bytes) -> None:
    (shell.model / "config.json").write_bytes(content)
    assert "config.json" in shell.refused(CHECKPOINT)


def test_a_column_that_is_not_there_names_those_that_are(shell: Shell) -> None:
    texts = shell.write("texts.csv", "body,gold\na,b\n")
    message = shell.refused(USAGE, texts=texts)
    assert "'text'" in message
    assert f"{COLUMN_LIST} body, gold" in message
    assert f"{COLUMN_LIST} body, gold" in shell.refused(
        USAGE, "--text-column", "body", "--label-column", "label", texts=texts
    )


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.jsonl", b"", "holds no row"),
        ("empty.csv", b"", "holds no row"),
        ("header.csv", b"text,label\n", "holds no row"),
        ("texts.xlsx", b"PK", "suffix"),
        ("texts", b"a", "suffix"),
        ("utf16.csv", "text\na\n".encode("utf-16"), "UTF-16"),
        ("twice.csv", b"text,text\na,b\n", "twice"),
        ("broken.csv.gz", b"\x1f\x8b no gzip", "gzip"),
    ],
)
def test_texts_that_cannot_be_read_at_all_are_usage(
    shell: Shell, name: str, content: bytes, told: str
) -> None:
    message = shell.refused(USAGE, texts=shell.write(name, content))
    assert name in message
    assert told in message


def test_a_folder_given_as_texts_is_usage(shell: Shell) -> None:
    folder = shell.home / "folder.csv"
    folder.mkdir()
    assert "folder.csv" in shell.refused(USAGE, texts=folder)


def test_a_report_is_not_replaced_unless_asked(shell: Shell) -> None:
    assert shell.explain().exit_code == DONE
    before = (shell.out / "index.html").read_bytes()
    assert "--overwrite" in shell.refused(USAGE)
    assert (shell.out / "index.html").read_bytes() == before
    assert shell.explain("--overwrite").exit_code == DONE


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "foreign"])
def test_what_no_run_wrote_is_never_written_over(
    shell: Shell, kind: str, options: list[str]
) -> None:
    target = shell.home / "target"
    if kind == "file":
        shell.out.write_text("mine")
    elif kind == "foreign":
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
    elif kind == "foreign":
        assert "thesis.txt" in outcome.stderr
        assert (shell.out / "thesis.txt").read_text() == "mine"
        assert len(list(shell.out.iterdir())) == 1
    else:
        assert not list(target.iterdir() if kind == "link" else ())
        assert target.exists() is (kind == "link")


def test_output_that_cannot_be_written_is_an_error_of_its_own(shell: Shell) -> None:
    out = shell.texts / "below" / "a file"
    assert "cannot be written" in shell.refused(OUTPUT, out=out)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("name", ["records/part-00000.jsonl", "manifest.json", "index.html"])
def test_a_disk_that_fills_up_is_an_error_of_its_own(
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
    ("options", "told"),
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
def test_an_option_that_does_not_fit_says_what_would(
    shell: Shell, options: list[str], told: str
) -> None:
    assert told in shell.refused(USAGE, *options)


@pytest.mark.parametrize("length", [1, 2])
def test_a_length_that_has_no_room_beside_the_special_tokens_is_refused(
    shell: Shell, length: int
) -> None:
    texts = shell.write("long.jsonl", json.dumps({"text": "free call now " * 40}))
    assert "--max-length" in shell.refused(USAGE, "--max-length", length, texts=texts)


def test_cuda_is_refused_where_there_is_none(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no CUDA device" in shell.refused(USAGE, "--device", "cuda")


def test_a_layer_that_embeds_nothing_is_refused_by_its_name(shell: Shell) -> None:
    assert "classifier" in shell.refused(CHECKPOINT, "--embedding-layer", "classifier")


def test_the_preset_needs_a_block_of_embeddings(shell: Shell) -> None:
    model = save_gpt2(shell.home / "gpt2")
    assert "--embedding-layer" in shell.refused(USAGE, "--preset", "allennlp", model=model)


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
def test_an_option_outside_its_range_is_usage_without_a_traceback(
    shell: Shell, options: list[str]
) -> None:
    outcome = shell.explain(*options)
    assert (outcome.exit_code, outcome.stdout) == (USAGE, "")
    assert options[0] in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not shell.out.exists()


def test_debug_shows_the_traceback_and_ends_as_without_it(shell: Shell) -> None:
    outcome = shell.explain("--debug", model=shell.home / "nowhere.pt")
    assert (outcome.exit_code, outcome.stdout) == (USAGE, "")
    assert outcome.stderr.startswith("Traceback (most recent call last):\n")
    assert "UsageError" in outcome.stderr
    assert outcome.stderr.splitlines()[-1].startswith("error: ")


def test_quiet_still_tells_of_errors(shell: Shell) -> None:
    assert "nowhere" in shell.refused(USAGE, "--quiet", model=shell.home / "nowhere.pt")


HOSTILE_NAMES = [b"caf\xe9", b"tab\there\x1b[31m", "\u202egnp".encode(), b"-", b"a b'\"\\"]
"""Bytes that are no UTF-8, and names that act where they are shown."""


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_texts_of_any_file_name_are_explained(shell: Shell, name: bytes) -> None:
    texts = shell.write(os.fsdecode(name + b".jsonl"), '{"text": "ok"}\n')
    assert shell.explain(texts=texts).exit_code == DONE


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_state_dict_of_any_file_name_is_explained(shell: Shell, name: bytes) -> None:
    path = shell.as_state_dict(shell.weights())
    path = path.rename(shell.model / os.fsdecode(name + b".pt"))
    assert shell.explain(model=path).exit_code == DONE


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_report_goes_into_a_folder_of_any_name(shell: Shell, name: bytes) -> None:
    out = shell.home / os.fsdecode(name)
    assert shell.explain(out=out).exit_code == DONE
    assert (out / "index.html").is_file()


def test_a_folder_that_the_tokenizers_cannot_open_is_refused_in_one_line(shell: Shell) -> None:
    model = shell.model.rename(shell.home / os.fsdecode(b"mod\xe8le"))
    assert "mod" in shell.refused(CHECKPOINT, model=model)


@pytest.fixture
def under_way(shell: Shell) -> Iterator[subprocess.Popen[bytes]]:
    """Start a run that takes some seconds, and wait until its records are begun."""
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
        begun = time.monotonic()
        while not part.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < begun + 60
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        with process:  # closes its pipes
            pass


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_ends_in_one_line_and_leaves_nothing_that_looks_whole(
    shell: Shell, under_way: subprocess.Popen[bytes], number: signal.Signals, exit_code: int
) -> None:
    under_way.send_signal(number)
    under_way.wait(timeout=30)
    assert under_way.returncode == exit_code
    assert under_way.stdout is not None
    assert under_way.stderr is not None
    told = Outcome(exit_code, under_way.stdout.read().decode(), under_way.stderr.read().decode())
    assert number.name in told.refusal()
    assert not [*shell.out.rglob("*.tmp"), *shell.out.rglob("*.html")]
    assert CliRunner().invoke(app, ["report", str(shell.out)]).exit_code == USAGE
