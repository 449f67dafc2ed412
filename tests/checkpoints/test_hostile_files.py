"""Checkpoints from strangers: refused in one line, with nothing run, fetched or filled."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from saliency_cli.checkpoints.file_checks import unmasked
from tests.support import hostile_configs, hostile_files, hostile_pickles
from tests.support.hostile import CASES, Case, canary
from tests.support.paths import ROOT
from tests.support.shell import CHECKPOINT, DONE, Shell

TABLES = (hostile_configs, hostile_files, hostile_pickles)
"""The modules that fill the table."""

GUARDED = """
import json, resource, socket, sys
from contextlib import redirect_stderr
from io import StringIO

LIMIT = 12 << 30
resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
asked = []

def trap(*arguments, **options):
    asked.append(repr(arguments))
    raise OSError("the network was asked")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = trap

from saliency_cli.cli.app import app

answers = []
for line in json.loads(sys.argv[1]):
    said = StringIO()
    with redirect_stderr(said):
        try:
            app(line, standalone_mode=True)
        except SystemExit as end:
            answers.append([end.code, said.getvalue()])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
json.dump({"answers": answers, "asked": asked, "peak": peak}, sys.stdout)
"""


def test_the_table_is_long_enough() -> None:
    assert len(CASES) >= 40
    assert sum(case.guarded for case in CASES.values()) >= 20


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_a_hostile_checkpoint_is_refused_in_one_line(shell: Shell, case: Case) -> None:
    model = case.build(shell)
    message = shell.refused(case.exit_code, model=model or shell.model)
    assert case.told in message
    assert not canary(shell).exists()


def test_in_a_process_that_distrusts_weights_only_nothing_is_run_fetched_or_filled(
    pristine: Path, tmp_path: Path
) -> None:
    cases = [case for case in CASES.values() if case.guarded]
    shells = [Shell.beside(pristine, tmp_path / str(index)) for index in range(len(cases))]
    models = [case.build(each) or each.model for case, each in zip(cases, shells, strict=True)]
    lines = [each.arguments(model=model) for each, model in zip(shells, models, strict=True)]
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, json.dumps(lines)],
        input="y\n" * len(cases),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    seen = json.loads(done.stdout)
    assert seen["asked"] == []
    assert seen["peak"] < 2 << 20  # KiB; torch and transformers alone take 0.6 GiB
    for case, each, (code, said) in zip(cases, shells, seen["answers"], strict=True):
        assert code == case.exit_code, case.name
        assert case.told in said, case.name
        assert not canary(each).exists(), case.name
        assert not each.out.exists(), case.name


def test_the_canary_sings_where_a_pickle_is_trusted(shell: Shell) -> None:
    path = CASES["pickle: os.system in a zip"].build(shell)
    assert path is not None
    torch.load(path, weights_only=False)
    assert canary(shell).exists()


def test_a_tokenizer_with_code_of_its_own_is_served_by_a_standard_class(shell: Shell) -> None:
    hostile_configs.plant(shell)
    code = {"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]}
    hostile_configs.change(
        shell.model / "tokenizer_config.json",
        lambda content: content.update(auto_map=code, tokenizer_class="PreTrainedTokenizerFast"),
    )
    assert shell.explain().exit_code == DONE
    assert not canary(shell).exists()


def test_what_libraries_print_of_a_file_reaches_no_terminal(
    shell: Shell, capfd: pytest.CaptureFixture[str]
) -> None:
    token = {"content": "[PAD]", "special": True, "\x1b[31m": 1}
    hostile_configs.change(
        shell.model / "tokenizer_config.json",
        lambda content: content.update(added_tokens_decoder={"0": token}),
    )
    assert shell.explain("--json").exit_code == DONE
    shell.change_config(intermediate_size=0)
    assert "0×32" in shell.refused(CHECKPOINT, "--overwrite")
    shell.change_config(sub_configs="\x1b[31m")
    shell.refused(CHECKPOINT, "--overwrite")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"auto_map": {}},
        {"attn_implementation": None, "_attn_implementation_autoset": True},
        {"attn_implementation": "eager"},
        {"quantization_config": None, "_name_or_path": "somebody/model"},
    ],
    ids=str,
)
def test_keys_that_ask_for_nothing_are_left_alone(shell: Shell, changes: dict[str, object]) -> None:
    shell.change_config(**changes)
    assert shell.explain().exit_code == DONE


def test_the_links_of_the_hubs_cache_are_followed(shell: Shell) -> None:
    cache = shell.home / "models--somebody--bert"
    snapshot = cache / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    weights = sorted(shell.weights().items())
    shards = {"one.safetensors": weights[::2], "two.safetensors": weights[1::2]}
    for name, part in shards.items():
        save_file(dict(part), shell.model / name, {"format": "pt"})
    weight_map = {key: name for name, part in shards.items() for key, _ in part}
    index = shell.model / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (shell.model / "model.safetensors").unlink()
    for number, path in enumerate(sorted(shell.model.iterdir())):
        blob = path.rename(cache / "blobs" / f"{number:064x}")
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", blob.name))
    assert shell.explain(model=snapshot).exit_code == DONE


def test_a_model_that_is_a_link_is_followed(shell: Shell) -> None:
    path = shell.as_state_dict(shell.weights())
    (shell.model / "link.pt").symlink_to(path.rename(shell.home / "blob"))
    assert shell.explain(model=shell.model / "link.pt").exit_code == DONE


def test_files_that_torch_writes_are_not_taken_for_anything_else() -> None:
    heads = (b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"{", bytes([16, *bytes(7)]) + b"{")
    assert not any(unmasked(head) for head in heads)


def test_each_case_stands_in_the_docs() -> None:
    page = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+?)( †)? \| `([^|]+)` \| (\d) \|$", page, re.MULTILINE)
    assert rows == [
        (case.name, " †" if case.guarded else "", case.told, str(case.exit_code))
        for case in CASES.values()
    ]


@pytest.mark.parametrize("option", ["--config", "--tokenizer"])
def test_a_pipe_named_by_an_option_is_not_waited_for(shell: Shell, option: str) -> None:
    pipe = shell.home / "tokenizer.json"
    os.mkfifo(pipe)
    named = pipe if option == "--config" else shell.home
    assert "tokenizer.json is a FIFO" in shell.refused(CHECKPOINT, option, named)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("value", [None, "x", -5, 10**12, math.inf, [], {}], ids=ascii)
def test_whatever_stands_in_a_json_the_run_is_done_or_refused_in_one_line(
    shell: Shell, file: str, value: object
) -> None:
    path = shell.model / file
    sound = json.loads(path.read_text())
    for key in sound:
        path.write_text(json.dumps(sound | {key: value}).replace("Infinity", "1e400"))
        outcome = shell.explain("--overwrite")
        assert outcome.exit_code in {DONE, CHECKPOINT}, key
        if outcome.exit_code == CHECKPOINT:
            outcome.refusal()
