"""What a user's own module does while it runs: print, change its input, draw at random."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from saliency_cli.checkpoints import load
from saliency_cli.cli.app import app
from saliency_cli.errors import CheckpointError
from saliency_cli.settings import Compute
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS
from tests.support.shell import CHECKPOINT, DONE, run
from tests.support.user_modules import write_user_module

CPU = Compute(device="cpu")


WRITES = "; ".join(
    (
        "print('of print;'); sys.stdout.write('of sys;')",
        "import ctypes, os, subprocess",
        "os.write(1, b'of os;')",
        "subprocess.run(['echo', 'of a process;'])",
        "sys.__stdout__.write('of a buffer;')",
        "ctypes.CDLL(None).printf(b'of C;')",
    )
)


def test_what_a_module_writes_goes_to_stderr(tmp_path: Path) -> None:
    user = write_user_module(tmp_path, WRITES)
    shown = run(["show", user.arguments[0], TEXTS[0], *user.arguments[1:], "--json"])
    assert shown.exit_code == DONE, shown.stderr
    assert json.loads(shown.stdout)["text"] == TEXTS[0]
    for source in ("print", "sys", "os", "a process", "a buffer", "C"):
        assert f"of {source};" in shown.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_a_module_prints_is_no_part_of_the_summary(tmp_path: Path, workers: str) -> None:
    statement = "import os; print('a shape'); os.write(1, b'a shape')"
    user = write_user_module(tmp_path / "net", statement)
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    options = ("--out", str(tmp_path / "out"), "--shard-rows", "2", "--workers", workers)
    paths = (user.arguments[0], str(texts))
    outcome = run(["explain", *paths, *user.arguments[1:], *options, "--json"])
    assert outcome.exit_code == DONE, outcome.stderr
    assert json.loads(outcome.stdout)["ok"] == len(TEXTS)


def test_a_module_may_change_its_embedding_in_place(tmp_path: Path) -> None:
    inplace = load(write_user_module(tmp_path / "inplace", "e += 1; e *= 2").choice, CPU)
    plain = load(write_user_module(tmp_path / "plain", "e = (e + 1) * 2").choice, CPU)
    for reduction in ("l2", "dot"):
        runs = [engine(each, samples=4, reduction=reduction) for each in (inplace, plain)]
        one, other = (scored(each, TEXTS) for each in runs)
        assert all(map(torch.equal, one, other))


def test_the_output_of_a_command_still_goes_to_stdout(tmp_path: Path) -> None:
    user = write_user_module(tmp_path)
    result = CliRunner().invoke(app, ["inspect", *user.arguments, "--json"])
    assert json.loads(result.stdout)["ready"]


def test_code_that_is_imported_after_the_model_was_tried_ends_the_run(tmp_path: Path) -> None:
    user = write_user_module(tmp_path / "net", "late and __import__('late_helper')")
    helper = user.home / "late_helper.py"
    helper.write_text("")
    texts, out = tmp_path / "texts.jsonl", tmp_path / "out"
    rows = [{"text": "free call now"}, {"text": "late"}]
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    paths = [user.arguments[0], str(texts), *user.arguments[1:], "--out", str(out)]
    result = CliRunner().invoke(app, ["explain", *paths, "--samples", "2", "--shard-rows", "1"])
    assert result.exit_code == CHECKPOINT
    assert result.stderr.startswith(f"error: {helper} was imported while rows were explained")
    assert [path.name for path in (out / "records").iterdir()] == ["part-00000.jsonl"]


RANDOM = (
    "e = nn.functional.dropout(e)",
    "e = e + torch.randn(())",
    "e = e + self.calls",
    "e = e * (1 + 1e-6 * self.calls)",
)


@pytest.mark.parametrize("statement", RANDOM)
def test_a_model_whose_passes_differ_is_detected_and_said(tmp_path: Path, statement: str) -> None:
    user = write_user_module(tmp_path / "net", statement)
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    options = ("--out", str(tmp_path / "out"), "--samples", "2")
    arguments = [user.arguments[0], str(texts), *user.arguments[1:], *options]
    result = CliRunner().invoke(app, ["explain", *arguments])
    assert result.exit_code == DONE, result.stderr
    assert "warning: two passes of the model over one text differ" in result.stderr
    assert "the noise changes" not in result.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["deterministic"] is False


def test_a_model_whose_passes_are_the_same_is_deterministic(tmp_path: Path) -> None:
    classifier = load(write_user_module(tmp_path).choice, CPU)
    assert classifier.repeats
    assert classifier.deterministic


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("raise KeyError('x')", "does not run on a plain text: KeyError: 'x'"),
        ("sys.exit(0)", "does not run on a plain text: SystemExit: 0"),
        ("e = e.detach()", "does not give a gradient on a plain text: RuntimeError"),
        ("raise ValueError('a\\x1b')", r"ValueError: a\\x1b$"),
    ],
)
def test_a_model_that_fails_on_every_row_is_refused_when_it_is_loaded(
    tmp_path: Path, statement: str, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(write_user_module(tmp_path, statement).choice, CPU)
