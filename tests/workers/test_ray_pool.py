"""The engine on Ray: two nodes on this machine, what dies on them, and the same bytes as ever."""

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
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.runs.request import Request
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.settings import Compute, ModelChoice, OutputChoice
from saliency_cli.workers.worker import Errand, Worker
from tests.support.paths import ROOT, SAMPLE
from tests.support.processes import children_of
from tests.support.runs import read_records
from tests.support.shell import DONE, USAGE, Outcome, Shell, run

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed: pip install 'saliency-cli[ray]'"
)
ROWS, SHARD = 2000, 100
PATIENCE = 300
"""Seconds to wait for what must come, on a machine that may be busy; a cluster starts in tens."""
KILLER, DEADLY = 150, "princess"
"""The row whose text has a word that no other text has, and that kills the model which reads it;
it is long, so that few others are in its batch."""
FATAL = f"""
import os
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

HOME = {str(SAMPLE)!r}
DEADLY = AutoTokenizer.from_pretrained(HOME).convert_tokens_to_ids({DEADLY!r})


class Fatal(BertForSequenceClassification):
    def forward(self, input_ids=None, attention_mask=None):
        if (input_ids == DEADLY).any():
            os._exit(9)
        return super().forward(input_ids, attention_mask)


def build():
    return Fatal(BertConfig.from_pretrained(HOME))
"""
CLUSTER = """
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
    """A Ray cluster of two nodes with a CPU each, and the processes that are these nodes."""

    address: str
    raylets: tuple[int, int]

    @property
    def engine(self) -> tuple[str, ...]:
        """The options that put a run on it."""
        return ("--engine", "ray", "--address", self.address, "--cpus-per-worker", "1")

    def workers(self, node: int) -> list[int]:
        """Return our processes on a node."""
        return children_of(self.raylets[node], b"ray::Actor")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | ONE_THREAD,
    )
    with process:
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        yield Cluster(found["address"], tuple(found["raylets"]))


@dataclass(frozen=True, slots=True)
class Desk:
    """Texts to explain, those with a killer among them, and a local run of the others."""

    home: Path

    def arguments(self, out: Path, *options: str, deadly: bool = False) -> list[str]:
        """Return the command line of a run."""
        texts = self.home / ("deadly.jsonl" if deadly else "texts.jsonl")
        fatal = ("--arch", f"{self.home / 'fatal.py'}:build") if deadly else ()
        shape = ("--samples", "2", "--shard-rows", str(SHARD), "--batch-tokens", "512")
        return [
            *("explain", str(SAMPLE / "model.pt"), str(texts), "--out", str(out)),
            *("--device", "cpu", *shape, *fatal, *options),
        ]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    found = (SAMPLE / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in found]
    rows = [f"{row} {texts[row % len(texts)]}" for row in range(ROWS)]
    assert not any(DEADLY in text.lower() for text in rows)
    for name, text in (("texts", ""), ("deadly", f"a {DEADLY}{' long' * 110}")):
        rows[KILLER] = text
        lines = (json.dumps({"text": row}) + "\n" for row in rows)
        (desk.home / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    (desk.home / "fatal.py").write_text(FATAL)
    assert run(desk.arguments(desk.home / "local"), **ONE_THREAD).exit_code == 4
    return desk


def begin(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start a run and go on meanwhile."""
    command = [sys.executable, "-m", "saliency_cli", *arguments]
    pipe = subprocess.PIPE
    environment = os.environ | ONE_THREAD
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=environment)


def ended(process: subprocess.Popen[str]) -> Outcome:
    """Wait for a run."""
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return Outcome(process.returncode, stdout, stderr)


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a run does."""
    until = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def committed(out: Path, process: subprocess.Popen[str], shards: int) -> None:
    """Wait until a run has committed so many shards."""
    wait_for(lambda: len([*(out / "work").glob("*.json")]) >= shards, process)


def same(one: Path, other: Path) -> bool:
    """Say whether two folders hold the same bytes under the same names."""
    return files(one) == files(other)


def files(folder: Path) -> dict[Path, bytes]:
    """Read all that is in a folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in found}


def test_without_the_extra_it_says_what_to_install(shell: Shell) -> None:
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
def test_options_of_the_engine_that_do_not_go_together_are_refused(
    shell: Shell, options: tuple[str, ...]
) -> None:
    shell.refused(USAGE, *options)


@pytest.fixture
def errand(shell: Shell) -> Errand:
    """Lay down a plan, and return what a worker is told of it."""
    request = Request(
        ModelChoice(shell.model),
        TextsChoice("texts.jsonl"),
        Compute(device="cpu"),
        Maths(),
        OutputChoice(Path("out")),
    )
    assert shell.explain().exit_code == DONE
    folder = RunFolder(shell.out)
    folder.identity.parent.mkdir()
    folder.identity.write_text("a token")
    return Errand(request, shell.home, shell.texts.stat().st_size, "a token")


def refusal(errand: Errand) -> str:
    """Return what a worker says that cannot work."""
    outcome = Worker(errand).ready()
    assert isinstance(outcome, UsageError)
    return f"{outcome.message}; {outcome.hint}"


@pytest.fixture(autouse=True)
def _stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back from where a worker goes."""
    monkeypatch.chdir(ROOT)


@needs_ray
def test_a_worker_that_sees_another_folder_says_so(errand: Errand) -> None:
    (errand.cwd / "out" / "work" / "token").write_text("of another run")
    assert "storage that every node has" in refusal(errand)
    (errand.cwd / "out" / "work" / "token").unlink()
    assert "storage that every node has" in refusal(errand)


@needs_ray
def test_a_worker_that_does_not_see_the_input_says_so(errand: Errand) -> None:
    (errand.cwd / "texts.jsonl").write_text('{"text": "another"}\n')
    assert "texts.jsonl is another input" in refusal(errand)
    (errand.cwd / "texts.jsonl").unlink()
    assert "texts.jsonl" in refusal(errand)


@needs_ray
def test_a_worker_that_would_write_other_numbers_says_so(errand: Errand) -> None:
    folder = RunFolder(errand.cwd / "out")
    manifest = folder.read_manifest()
    folder.write_manifest({**manifest, "versions": {**manifest["versions"], "torch": "1.0"}})
    assert "the version of torch was 1.0, and is " in refusal(errand)


@needs_ray
@pytest.mark.slow
def test_where_there_is_no_cluster_or_no_room_nothing_is_left(
    cluster: Cluster, shell: Shell
) -> None:
    nowhere = shell.refused(USAGE, "--engine", "ray", "--address", "nowhere:1")
    assert "--address local" in nowhere
    crowded = run(shell.arguments(*cluster.engine[:-1], "64"), **ONE_THREAD)
    assert crowded.exit_code == USAGE
    assert "no node of the Ray cluster has 64 CPU" in crowded.refusal()
    assert not shell.out.exists()


@needs_ray
@pytest.mark.slow
def test_either_engine_goes_on_with_what_the_other_left(
    cluster: Cluster, desk: Desk, tmp_path: Path
) -> None:
    """Killed here, stopped by each signal and killed on Ray, and finished here."""
    out = tmp_path / "out"
    local = begin(desk.arguments(out))
    committed(out, local, 2)
    kill(local)
    for shards, number in ((4, signal.SIGINT), (6, signal.SIGTERM)):
        driver = begin(desk.arguments(out, "--resume", *cluster.engine))
        committed(out, driver, shards)
        driver.send_signal(number)
        said = f"error: stopped by {number.name}\n"
        assert ended(driver) == Outcome(128 + number, "", said)
        until = time.monotonic() + 10
        while any(cluster.workers(node) for node in (0, 1)):
            assert time.monotonic() < until
            time.sleep(0.02)
    driver = begin(desk.arguments(out, "--resume", *cluster.engine))
    committed(out, driver, 8)
    kill(driver)
    resumed = run(desk.arguments(out, "--resume"), **ONE_THREAD)
    assert resumed.exit_code == 4, resumed.stderr
    assert same(desk.home / "local", out)


def kill(process: subprocess.Popen[str]) -> None:
    """End a run without a word."""
    process.kill()
    process.communicate()


@needs_ray
@pytest.mark.slow
def test_a_cluster_of_our_own_writes_what_a_local_run_does(shell: Shell, tmp_path: Path) -> None:
    assert shell.explain().exit_code == DONE
    ours = ("--engine", "ray", "--address", "local", "--json")
    threads = str(torch.get_num_threads())
    done = run(shell.arguments(*ours, out=tmp_path / "ray"), OMP_NUM_THREADS=threads)
    assert (done.exit_code, json.loads(done.stdout)["rows"]) == (DONE, 2)
    assert same(shell.out, tmp_path / "ray")


@needs_ray
@pytest.mark.slow
def test_workers_nodes_and_rows_that_kill_lose_nothing(
    cluster: Cluster, desk: Desk, tmp_path: Path
) -> None:
    """Comes last: a node of the cluster is gone afterwards."""
    out = tmp_path / "out"
    driver = begin(desk.arguments(out, *cluster.engine, deadly=True))
    committed(out, driver, 3)
    wait_for(lambda: bool(cluster.workers(0)), driver)
    os.kill(cluster.workers(0)[0], signal.SIGKILL)
    committed(out, driver, 6)
    for pid in (cluster.raylets[1], *cluster.workers(1)):
        os.kill(pid, signal.SIGKILL)
    done = ended(driver)
    assert (done.exit_code, done.stdout) == (4, ""), done.stderr
    found, expected = read_records(out), read_records(desk.home / "local")
    assert found[KILLER]["status"] == "quarantined"
    assert found[KILLER]["reason"].startswith("the process died")
    del found[KILLER], expected[KILLER]
    assert found == expected
