"""The Ray executor, on two nodes on this machine: it writes the bytes of a local run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from saliency_cli.attribution.maths import Maths
from saliency_cli.errors import UsageError
from saliency_cli.inputs.file_identity import FileIdentity
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.runs.request import Request
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.settings import Compute, ModelChoice, OutputChoice
from saliency_cli.workers.worker import Worker, WorkerSpec
from tests.support.paths import ROOT, SAMPLE
from tests.support.processes import children_of
from tests.support.runs import read_records
from tests.support.shell import DONE, USAGE, Outcome, Shell, run

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed: pip install 'saliency-cli[ray]'"
)
ROWS, SHARD = 1200, 100
TIMEOUT = 300
"""Seconds to wait for an event; the machine may be busy, and a cluster needs tens of seconds."""
CRASHING_ROW, DEADLY = 150, "princess"
"""The row whose text crashes the model of `CRASHING_MODULE`, and the word that does it, which no
other text has. The text is long, so that few other rows are in its batch."""
CRASHING_MODULE = f"""
import os
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

HOME = {str(SAMPLE)!r}
DEADLY = AutoTokenizer.from_pretrained(HOME).convert_tokens_to_ids({DEADLY!r})


class Crashing(BertForSequenceClassification):
    def forward(self, input_ids=None, attention_mask=None):
        if (input_ids == DEADLY).any():
            os._exit(9)
        return super().forward(input_ids, attention_mask)


def build():
    return Crashing(BertConfig.from_pretrained(HOME))
"""
START_CLUSTER = """
import json, os, sys
from ray.cluster_utils import Cluster

node = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node)
nodes = [cluster.head_node, cluster.add_node(**node)]
raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
sys.stdin.read()
cluster.shutdown()
"""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster of two nodes with one CPU each.

    Attributes:
        address: HOST:PORT of the cluster.
        raylets: Process ID of each node's main process.
    """

    address: str
    raylets: tuple[int, int]

    @property
    def engine(self) -> tuple[str, ...]:
        """The options that run `saliency explain` on the cluster."""
        return ("--engine", "ray", "--address", self.address, "--cpus-per-worker", "1")

    def workers(self, node: int) -> list[int]:
        """Return the process IDs of the workers on a node."""
        return children_of(self.raylets[node], b"ray::RayWorker")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    process = subprocess.Popen(
        [sys.executable, "-c", START_CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | ONE_THREAD,
    )
    with process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        yield Cluster(started["address"], tuple(started["raylets"]))


@dataclass(frozen=True, slots=True)
class TwoInputs:
    """Two inputs, without and with a crashing row, and a local run of the first in `home/local`."""

    home: Path

    def arguments(self, out: Path, *options: str, crashing: bool = False) -> list[str]:
        """Return the command line of a run.

        Args:
            out: The run folder.
            options: Further options of `saliency explain`.
            crashing: Whether to explain the input with the crashing row.
        """
        texts = self.home / ("crashing.jsonl" if crashing else "texts.jsonl")
        module = ("--arch", f"{self.home / 'crashing.py'}:build") if crashing else ()
        sizes = ("--samples", "2", "--shard-rows", str(SHARD), "--batch-tokens", "512")
        return [
            *("explain", str(SAMPLE / "model.pt"), str(texts), "--out", str(out)),
            *("--device", "cpu", *sizes, *module, *options),
        ]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> TwoInputs:
    inputs = TwoInputs(tmp_path_factory.mktemp("inputs"))
    sample_lines = (SAMPLE / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in sample_lines]
    rows = [f"{row} {texts[row % len(texts)]}" for row in range(ROWS)]
    assert not any(DEADLY in text.lower() for text in rows)
    for name, text in (("texts", ""), ("crashing", f"a {DEADLY}{' long' * 110}")):
        rows[CRASHING_ROW] = text
        lines = (json.dumps({"text": row}) + "\n" for row in rows)
        (inputs.home / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    (inputs.home / "crashing.py").write_text(CRASHING_MODULE)
    assert run(inputs.arguments(inputs.home / "local"), **ONE_THREAD).exit_code == 4
    return inputs


def start(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start a run; do not wait for it."""
    command = [sys.executable, "-m", "saliency_cli", *arguments]
    pipe = subprocess.PIPE
    environment = os.environ | ONE_THREAD
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=environment)


def wait_for_end(process: subprocess.Popen[str]) -> Outcome:
    """Wait for the end of a run; return its outcome."""
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    return Outcome(process.returncode, stdout, stderr)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until a condition holds; fail if the run ends before, or after `TIMEOUT` seconds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_shards(out: Path, process: subprocess.Popen[str], shards: int) -> None:
    """Wait until a run has committed at least `shards` shards."""
    wait_for(lambda: len([*(out / "work").glob("*.json")]) >= shards, process)


def same(one: Path, other: Path) -> bool:
    """Return whether two folders have the same files with the same bytes."""
    return files(one) == files(other)


def files(folder: Path) -> dict[Path, bytes]:
    """Return the content of all files of a folder, by relative path."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in paths}


def test_without_ray_the_hint_says_what_to_install(shell: Shell) -> None:
    program = (
        "import sys; sys.modules['ray'] = None\nfrom saliency_cli.__main__ import main\nmain()\n"
    )
    command = [sys.executable, "-c", program, *shell.arguments("--engine", "ray")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    refused = Outcome(done.returncode, done.stdout, done.stderr)
    assert refused.exit_code == USAGE
    assert "pip install 'saliency-cli[ray]'" in refused.refusal()
    assert not shell.out.exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--gpus-per-worker", "1", "--device", "cuda"),
        ("--address", "auto"),
        ("--engine", "ray", "--gpus-per-worker", "1.5", "--device", "cuda"),
        ("--engine", "ray", "--gpus-per-worker", "1"),
        ("--engine", "ray", "--gpus-per-worker", "0", "--device", "cuda"),
        ("--engine", "ray", "--shard", "1/2"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    shell: Shell, options: tuple[str, ...]
) -> None:
    shell.refused(USAGE, *options)


@pytest.fixture
def spec(shell: Shell) -> WorkerSpec:
    """Write a run folder; return the specification of a worker of that run."""
    request = Request(
        ModelChoice(shell.model),
        TextsChoice("texts.jsonl"),
        Compute(device="cpu"),
        Maths(check_words=1),
        OutputChoice(Path("out")),
    )
    assert shell.explain().exit_code == DONE
    folder = RunFolder(shell.out)
    folder.identity.parent.mkdir()
    folder.identity.write_text("an ID")
    with shell.texts.open("rb") as stream:
        return WorkerSpec(request, shell.home, FileIdentity.of(stream.fileno()), "an ID")


def refusal(spec: WorkerSpec) -> str:
    """Return the message and the hint of a worker that cannot be prepared."""
    error = Worker(spec).prepare()
    assert isinstance(error, UsageError)
    return f"{error.message}; {error.hint}"


@pytest.fixture(autouse=True)
def _restore_cwd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the working directory, which a worker changes."""
    monkeypatch.chdir(ROOT)


@needs_ray
def test_a_worker_refuses_another_run_folder(spec: WorkerSpec) -> None:
    (spec.cwd / "out" / "work" / "token").write_text("of another run")
    assert "storage that every node has" in refusal(spec)
    (spec.cwd / "out" / "work" / "token").unlink()
    assert "storage that every node has" in refusal(spec)


@needs_ray
def test_a_worker_refuses_another_input(spec: WorkerSpec) -> None:
    planned = (spec.cwd / "texts.jsonl").read_bytes()
    (spec.cwd / "texts.jsonl").write_text('{"text": "another"}\n')
    assert "texts.jsonl is another input" in refusal(spec)
    (spec.cwd / "texts.jsonl").write_bytes(planned.replace(b"ok", b"no"))  # of the same size
    assert "texts.jsonl is another input" in refusal(spec)
    (spec.cwd / "texts.jsonl").write_bytes(planned)  # a copy, of another time
    assert Worker(spec).prepare() == ""
    (spec.cwd / "texts.jsonl").unlink()
    assert "texts.jsonl" in refusal(spec)


@needs_ray
def test_a_worker_refuses_versions_that_would_change_numbers(spec: WorkerSpec) -> None:
    folder = RunFolder(spec.cwd / "out")
    manifest = folder.read_manifest()
    folder.write_manifest({**manifest, "versions": {**manifest["versions"], "torch": "1.0"}})
    assert "the version of torch was 1.0, and is " in refusal(spec)


@needs_ray
@pytest.mark.slow
def test_nothing_is_written_without_a_cluster_or_without_capacity(
    cluster: Cluster, shell: Shell
) -> None:
    unreachable = shell.refused(USAGE, "--engine", "ray", "--address", "nowhere:1")
    assert "--address local" in unreachable
    too_large = run(shell.arguments(*cluster.engine[:-1], "64"), **ONE_THREAD)
    assert too_large.exit_code == USAGE
    assert "no node of the Ray cluster has 64 CPU" in too_large.refusal()
    assert not shell.out.exists()


@needs_ray
@pytest.mark.slow
def test_each_executor_resumes_runs_of_the_other(
    cluster: Cluster, inputs: TwoInputs, tmp_path: Path
) -> None:
    """Kill a local run; stop it by each signal and kill it on Ray; finish it locally."""
    out = tmp_path / "out"
    local = start(inputs.arguments(out))
    wait_for_shards(out, local, 2)
    kill(local)
    for shards, number in ((4, signal.SIGINT), (6, signal.SIGTERM)):
        driver = start(inputs.arguments(out, "--resume", *cluster.engine))
        wait_for_shards(out, driver, shards)
        driver.send_signal(number)
        stderr = f"error: stopped by {number.name}\n"
        assert wait_for_end(driver) == Outcome(128 + number, "", stderr)
        deadline = time.monotonic() + 10
        while any(cluster.workers(node) for node in (0, 1)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    driver = start(inputs.arguments(out, "--resume", *cluster.engine))
    wait_for_shards(out, driver, 8)
    kill(driver)
    resumed = run(inputs.arguments(out, "--resume"), **ONE_THREAD)
    assert resumed.exit_code == 4, resumed.stderr
    assert same(inputs.home / "local", out)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a run and discard its output."""
    process.kill()
    process.communicate()


@needs_ray
@pytest.mark.slow
def test_a_cluster_on_this_machine_writes_the_files_of_a_local_run(
    shell: Shell, tmp_path: Path
) -> None:
    assert shell.explain().exit_code == DONE
    options = ("--engine", "ray", "--address", "local", "--json")
    threads = str(torch.get_num_threads())
    done = run(shell.arguments(*options, out=tmp_path / "ray"), OMP_NUM_THREADS=threads)
    assert (done.exit_code, json.loads(done.stdout)["rows"]) == (DONE, 2)
    assert same(shell.out, tmp_path / "ray")


@needs_ray
@pytest.mark.slow
def test_no_row_is_lost_with_workers_nodes_and_crashing_rows(
    cluster: Cluster, inputs: TwoInputs, tmp_path: Path
) -> None:
    """This test must be the last one: it kills a node of the cluster."""
    out = tmp_path / "out"
    driver = start(inputs.arguments(out, *cluster.engine, crashing=True))
    wait_for_shards(out, driver, 3)
    wait_for(lambda: bool(cluster.workers(0)), driver)
    os.kill(cluster.workers(0)[0], signal.SIGKILL)
    wait_for_shards(out, driver, 6)
    for pid in (cluster.raylets[1], *cluster.workers(1)):
        os.kill(pid, signal.SIGKILL)
    done = wait_for_end(driver)
    assert (done.exit_code, done.stdout) == (4, ""), done.stderr
    records, expected = read_records(out), read_records(inputs.home / "local")
    assert records[CRASHING_ROW]["status"] == "quarantined"
    assert records[CRASHING_ROW]["reason"].startswith("the process died")
    del records[CRASHING_ROW], expected[CRASHING_ROW]
    assert records == expected
