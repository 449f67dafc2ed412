"""Hostile checkpoints: refused in one line, without running code, fetching or allocating much."""

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
from tokenizers import normalizers

from saliency_cli.checkpoints.file_checks import foreign_format
from saliency_cli.checkpoints.tokenizer_checks import check_loaded_growth
from saliency_cli.errors import CheckpointError
from tests.support import hostile_configs, hostile_files, hostile_pickles
from tests.support.hostile import CASES, Case, marker_file
from tests.support.models import wordpiece
from tests.support.paths import ROOT
from tests.support.shell import CHECKPOINT, DONE, Shell

TABLES = (hostile_configs, hostile_files, hostile_pickles)
"""The modules that fill `CASES` when they are imported."""

ISOLATED_PROCESS = """
import json, resource, socket, sys
from contextlib import redirect_stderr
from io import StringIO

LIMIT = 12 << 30
resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
connections = []

def trap(*arguments, **options):
    connections.append(repr(arguments))
    raise OSError("the network was used")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = trap

from saliency_cli.cli.app import app

answers = []
for line in json.loads(sys.argv[1]):
    stderr = StringIO()
    with redirect_stderr(stderr):
        try:
            app(line, standalone_mode=True)
        except SystemExit as error:
            answers.append([error.code, stderr.getvalue()])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
json.dump({"answers": answers, "connections": connections, "peak": peak}, sys.stdout)
"""


def test_the_table_has_at_least_forty_cases() -> None:
    assert len(CASES) >= 40
    assert sum(case.isolated for case in CASES.values()) >= 20


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_a_hostile_checkpoint_is_refused_in_one_line(shell: Shell, case: Case) -> None:
    model = case.build(shell)
    message = shell.refused(case.exit_code, model=model or shell.model)
    assert case.message in message
    assert not marker_file(shell).exists()


def test_no_code_network_or_large_memory_is_used_with_weights_only_disabled(
    pristine: Path, tmp_path: Path
) -> None:
    cases = [case for case in CASES.values() if case.isolated]
    shells = [Shell.beside(pristine, tmp_path / str(index)) for index in range(len(cases))]
    models = [case.build(each) or each.model for case, each in zip(cases, shells, strict=True)]
    lines = [each.arguments(model=model) for each, model in zip(shells, models, strict=True)]
    done = subprocess.run(
        [sys.executable, "-c", ISOLATED_PROCESS, json.dumps(lines)],
        input="y\n" * len(cases),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["connections"] == []
    assert result["peak"] < 2 << 20  # KiB; torch and transformers alone take 0.6 GiB
    for case, each, (code, stderr) in zip(cases, shells, result["answers"], strict=True):
        assert code == case.exit_code, case.name
        assert case.message in stderr, case.name
        assert not marker_file(each).exists(), case.name
        assert not each.out.exists(), case.name


def test_a_trusted_pickle_creates_the_marker_file(shell: Shell) -> None:
    path = CASES["pickle: os.system in a zip"].build(shell)
    assert path is not None
    torch.load(path, weights_only=False)
    assert marker_file(shell).exists()


def test_a_tokenizer_with_auto_map_is_loaded_as_its_standard_class(shell: Shell) -> None:
    hostile_configs.add_evil_module(shell)
    code = {"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]}
    hostile_configs.edit_json(
        shell.model / "tokenizer_config.json",
        lambda content: content.update(auto_map=code, tokenizer_class="PreTrainedTokenizerFast"),
    )
    assert shell.explain().exit_code == DONE
    assert not marker_file(shell).exists()


def test_output_of_libraries_does_not_reach_the_terminal(
    shell: Shell, capfd: pytest.CaptureFixture[str]
) -> None:
    token = {"content": "[PAD]", "special": True, "\x1b[31m": 1}
    hostile_configs.edit_json(
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
def test_forbidden_keys_with_empty_values_are_accepted(
    shell: Shell, changes: dict[str, object]
) -> None:
    shell.change_config(**changes)
    assert shell.explain().exit_code == DONE


def test_links_in_the_cache_of_the_hub_are_followed(shell: Shell) -> None:
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


def test_a_link_as_model_is_followed(shell: Shell) -> None:
    path = shell.as_state_dict(shell.weights())
    (shell.model / "link.pt").symlink_to(path.rename(shell.home / "blob"))
    assert shell.explain(model=shell.model / "link.pt").exit_code == DONE


def test_files_of_torch_and_safetensors_are_not_foreign_formats() -> None:
    heads = (b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"{", bytes([16, *bytes(7)]) + b"{")
    assert not any(foreign_format(head) for head in heads)


def test_a_normalizer_made_of_a_sentencepiece_model_is_checked() -> None:
    backend = wordpiece().backend_tokenizer
    backend.normalizer = normalizers.Precompiled(hostile_configs.charsmap("e", "e" * 64))
    assert backend.normalizer.normalize_str("be") == "b" + "e" * 64
    check_loaded_growth(backend, ROOT)
    backend.normalizer = normalizers.Precompiled(hostile_configs.charsmap("e", "e" * 65))
    with pytest.raises(CheckpointError, match="by more than 64"):
        check_loaded_growth(backend, ROOT)


def test_the_docs_list_every_case() -> None:
    page = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+?)( †)? \| `([^|]+)` \| (\d) \|$", page, re.MULTILINE)
    assert rows == [
        (case.name, " †" if case.isolated else "", case.message, str(case.exit_code))
        for case in CASES.values()
    ]


@pytest.mark.parametrize("option", ["--config", "--tokenizer"])
def test_a_fifo_given_by_an_option_is_refused_without_waiting(shell: Shell, option: str) -> None:
    pipe = shell.home / "tokenizer.json"
    os.mkfifo(pipe)
    named = pipe if option == "--config" else shell.home
    assert "tokenizer.json is a FIFO" in shell.refused(CHECKPOINT, option, named)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("value", [None, "x", -5, 10**12, math.inf, [], {}], ids=ascii)
def test_any_json_value_leads_to_success_or_a_one_line_error(
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
