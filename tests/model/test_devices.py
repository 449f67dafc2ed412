"""A device changes no byte, prints no warning, and recovers when its memory runs out."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.model_checks import has_deterministic_kernels
from saliency_cli.checkpoints import load, loader
from saliency_cli.model import devices
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import (
    allow_nondeterministic_kernels,
    prepare_device,
    usable_cores,
)
from saliency_cli.settings import Compute, ModelChoice
from tests.attribution.test_promises import Linear, unchecked
from tests.support.attribution import engine, scored
from tests.support.faults import assert_same_files, read_files
from tests.support.models import TEXTS, WORDS
from tests.support.shell import DONE, Shell, run

CUDA = torch.device("cuda")
needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no CUDA device here"
)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("1600000 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("", 8)],
)
def test_a_container_has_the_cores_of_its_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    monkeypatch.setattr(devices, "TORCH_THREADS", 8)
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert usable_cores(tmp_path / "cpu.max") == cores
    assert usable_cores(tmp_path / "no file") == 8


def many(rows: int) -> str:
    """Return `rows` different texts as JSON Lines."""
    chance = random.Random(0)  # noqa: S311
    texts = (" ".join(chance.choices(WORDS, k=chance.randint(2, 30))) for _ in range(rows))
    return "".join(f'{{"text": "{number} {text}"}}\n' for number, text in enumerate(texts))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_repeated_run_gives_the_same_bytes_and_no_warning(
    shell: Shell, device: str, dtype: str
) -> None:
    texts = shell.write("many.jsonl", many(200))
    options = ("--device", device, "--dtype", dtype, "--shard-rows", 80)
    outs = [shell.home / "first", shell.home / "second"]
    for out in outs:
        outcome = shell.explain(*options, texts=texts, out=out)
        assert outcome.exit_code == DONE, outcome.stderr
        assert "determin" not in outcome.stderr
    manifest = json.loads((outs[0] / "manifest.json").read_text())
    assert (manifest["device"], manifest["dtype"]) == (device, dtype)
    assert manifest["deterministic"] is True
    assert_same_files(read_files(outs[1]), read_files(outs[0]))


@pytest.mark.cuda
@pytest.mark.slow
@needs_cuda
def test_workers_on_one_gpu_and_a_resumed_run_give_the_same_bytes(shell: Shell) -> None:
    texts = shell.write("many.jsonl", many(2000))
    options = ("--device", "cuda", "--shard-rows", "100")
    alone, shared, killed = (
        shell.arguments(*options, texts=texts, out=shell.home / name)
        for name in ("alone", "shared", "killed")
    )
    assert run(alone, OMP_NUM_THREADS="1").exit_code == DONE
    assert run([*shared, "--workers", "2"], OMP_NUM_THREADS="1").exit_code == DONE
    parts = shell.home / "killed" / "records"
    command = [sys.executable, "-m", "saliency_cli", *killed]
    with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        while not (parts / "part-00003.jsonl").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert run([*killed, "--resume"], OMP_NUM_THREADS="1").exit_code == DONE
    whole = read_files(shell.home / "alone")
    assert_same_files(read_files(shell.home / "shared"), whole)
    assert_same_files(read_files(shell.home / "killed"), whole)


@pytest.mark.cuda
@needs_cuda
def test_out_of_memory_on_a_gpu_halves_the_batches(bert_folder: Path) -> None:
    classifier = load(ModelChoice(bert_folder), Compute(device="cuda"))
    run = replace(engine(classifier, samples=4000), replicas=2)
    expected = scored(replace(run, budget=Budget(16_384)), TEXTS)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_stats()["num_ooms"]
    share = (512 << 20) / torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        found = scored(replace(run, budget=Budget(1 << 24)), TEXTS)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.cuda.memory_stats()["num_ooms"] > before
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


class Nondeterministic(Linear):
    """Calls an operation for which torch has no deterministic kernel on any device."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        positions = torch.zeros(1, dtype=torch.long, device=input_ids.device)
        self.head.bias.clone().put_(positions, self.head.bias[:1])
        return super().forward(input_ids, attention_mask)


@pytest.fixture
def strict() -> Iterator[None]:
    """Make torch refuse nondeterministic kernels, as `prepare_device` does on CUDA."""
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    on = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(mode=True)
    yield
    torch.use_deterministic_algorithms(on, warn_only=warned)


@pytest.mark.usefixtures("strict")
def test_a_model_that_needs_a_nondeterministic_kernel_is_detected(bert: Classifier) -> None:
    assert has_deterministic_kernels(replace(unchecked(bert, Linear), labels=()))
    assert not has_deterministic_kernels(replace(unchecked(bert, Nondeterministic), labels=()))


@pytest.mark.usefixtures("strict")
def test_a_nondeterministic_model_is_loaded_and_marked(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    classifier = replace(unchecked(bert, Nondeterministic), device=CUDA)
    monkeypatch.setattr(loader, "has_deterministic_kernels", lambda _classifier: False)
    assert not loader._allow_nondeterministic_kernels(classifier).deterministic
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not recwarn.list


def test_loading_another_model_forbids_nondeterministic_kernels_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allowed: list[bool] = []
    monkeypatch.setattr(
        torch, "use_deterministic_algorithms", lambda *_, warn_only=False: allowed.append(warn_only)
    )
    allow_nondeterministic_kernels()
    prepare_device(CUDA)
    assert allowed == [True, False]
