"""The process pool: it writes the bytes of a single process, also when workers die."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from threading import Event

import pytest

from saliency_cli.settings import ExecutionChoice
from saliency_cli.workers.worker_process import _picklable_error, worker_main
from tests.support.faults import (
    INTERRUPTED,
    QUARANTINED,
    ROWS,
    TERMINATED,
    PreparedRun,
    assert_same_files,
    read_files,
    start_from_pipe,
    wait_for,
)
from tests.support.models import WORDS, save_bert, wordpiece
from tests.support.processes import children_of, command_line
from tests.support.runs import read_records
from tests.support.shell import CHECKPOINT, DONE, USAGE, Shell
from tests.support.warm import Running

pytestmark = pytest.mark.slow
WORKERS = ("--workers", "2")
MODULE = """
import os
from multiprocessing import parent_process
from transformers import BertConfig, BertForSequenceClassification

HOME = {home!r}


class Net(BertForSequenceClassification):
    def forward(self, input_ids=None, attention_mask=None):
        if parent_process() is not None and (input_ids == {deadly}).any():
            {action}
        return super().forward(input_ids, attention_mask)


def build():
    return Net(BertConfig.from_pretrained(HOME))
"""
DEADLY_START = """

def parameters(self, recurse=True):
    if parent_process() is not None:
        os._exit(7)
    return super(Net, self).parameters(recurse)


Net.parameters = parameters  # a worker counts them when it compares itself with the plan
"""


def ended_by_a_signal_during_its_exit(stderr: str) -> None:
    """Run a worker whose run has ended, then send this process SIGTERM, as a fork server may."""
    sys.stderr = Path(stderr).open("w", encoding="utf-8")  # noqa: SIM115
    pipe, other_end = get_context("fork").Pipe()
    other_end.close()
    with suppress(SystemExit):
        worker_main(None, pipe, parent_pid=-1)  # type: ignore[arg-type]  # it is an orphan
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_during_the_exit_of_a_worker_prints_nothing(tmp_path: Path) -> None:
    stderr = tmp_path / "stderr"
    process = get_context("fork").Process(
        target=ended_by_a_signal_during_its_exit, args=(str(stderr),)
    )
    process.start()
    process.join()
    assert stderr.read_text() == ""
    assert process.exitcode == -signal.SIGTERM


def server_of(running: Running) -> int:
    """Return the process ID of a run's fork server."""
    (server,) = children_of(running.pid)
    return server


def workers_of(running: Running) -> list[int]:
    """Return the process IDs of a run's workers."""
    return children_of(server_of(running))


def all_ended(pids: list[int]) -> Callable[[], bool]:
    """Return a condition: no process is running."""
    return lambda: not any(map(is_running, pids))


def is_running(pid: int) -> bool:
    """Return whether a process has not ended."""
    return bool(command_line(pid))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail after 60 seconds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def committed(out: Path, shards: int) -> Callable[[], bool]:
    """Return a condition: at least `shards` shards are committed."""
    return lambda: len([*(out / "work").glob("*.json")]) >= shards


def write_module(home: Path, *, action: str) -> None:
    """Write a user's own module; in a worker it runs a statement on texts with the word `late`."""
    model = save_bert(home / "own")
    deadly = wordpiece().convert_tokens_to_ids("late")
    code = MODULE.format(home=str(model), deadly=deadly, action=action)
    (home / "own.py").write_text(code)


def arguments(home: Path, *options: str) -> list[str]:
    """Return the command line of a run with the module of `write_module`."""
    arch = ("--arch", f"{home / 'own.py'}:build", "--samples", "2", "--shard-rows", "3")
    positions = [str(home / "own"), str(home / "t.jsonl"), "--out", str(home / "out")]
    return ["explain", *positions, "--device", "cpu", *arch, *options]


def write_rows(home: Path, *, late: int) -> None:
    """Write a dozen texts; only that of row `late` has the word `late`."""
    rows = [" ".join(word for word in WORDS[n : n + 3] if word != "late") for n in range(12)]
    rows[late] = "when the prize was late"
    (home / "t.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_write_the_files_of_one_process(
    prepared: PreparedRun, out: Path, workers: int
) -> None:
    assert prepared.explain(out, "--workers", workers).exit_code == QUARANTINED
    assert_same_files(read_files(out), prepared.expected_files)


def test_there_is_a_worker_for_each_core_and_the_files_are_those_of_one(
    prepared: PreparedRun, out: Path
) -> None:
    arguments = [sys.executable, "-m", "saliency_cli", *prepared.arguments(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    with subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: committed(out, 1)() or process.poll() is not None)
        (server,) = children_of(process.pid)
        assert len(children_of(server)) == 2
    assert process.returncode == QUARANTINED
    assert_same_files(read_files(out), prepared.expected_files)


def test_a_process_with_threads_spawns_its_workers(shell: Shell, tmp_path: Path) -> None:
    expected, stop = tmp_path / "one", Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(stop.wait)
        try:
            for out, workers in ((expected, 1), (shell.out, 2)):
                options = ("--shard-rows", 1, "--samples", 2, "--workers", workers)
                assert shell.explain(*options, out=out).exit_code == DONE
        finally:
            stop.set()
    assert_same_files(read_files(shell.out), read_files(expected))


def test_a_run_of_one_shard_starts_no_process(prepared: PreparedRun, out: Path) -> None:
    running = prepared.start(out, *WORKERS, "--shard-rows", ROWS)
    wait_for((out / "records" / "part-00000.jsonl.tmp").exists, running)
    assert children_of(running.pid) == []
    assert running.outcome().exit_code == QUARANTINED


def test_workers_explain_texts_from_a_pipe(
    prepared: PreparedRun, out: Path, tmp_path: Path
) -> None:
    content = prepared.texts.read_bytes()
    for folder, options in ((out, WORKERS), (tmp_path / "one", ())):
        outcome = start_from_pipe(prepared, folder, content, *options).outcome()
        assert outcome.exit_code == QUARANTINED, outcome.stderr
    assert_same_files(read_files(out), read_files(tmp_path / "one"))


def test_a_killed_worker_is_replaced(prepared: PreparedRun, out: Path) -> None:
    running = prepared.start(out, *WORKERS)
    wait_for(committed(out, 2), running)
    os.kill(workers_of(running)[0], signal.SIGKILL)
    assert running.outcome().exit_code == QUARANTINED
    assert_same_files(read_files(out), prepared.expected_files)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_workers_and_the_run_can_be_resumed(
    prepared: PreparedRun, out: Path, number: signal.Signals
) -> None:
    running = prepared.start(out, *WORKERS)
    wait_for(committed(out, 2), running)
    workers = [server_of(running), *workers_of(running)]
    for pid in workers if number == signal.SIGINT else ():  # a terminal sends it to all processes
        os.kill(pid, number)
    running.kill(number)
    outcome = running.outcome()
    code = INTERRUPTED if number == signal.SIGINT else TERMINATED
    assert (outcome.exit_code, outcome.stderr) == (code, f"error: stopped by {number.name}\n")
    assert all_ended(workers)()
    prepared.check_resume(out)


def test_server_and_workers_end_when_the_runs_process_is_killed(
    prepared: PreparedRun, out: Path
) -> None:
    running = prepared.start(out, *WORKERS)
    wait_for(committed(out, 2), running)
    processes = [server_of(running), *workers_of(running)]
    assert len(processes) == 3
    running.kill()
    running.outcome()
    wait_until(all_ended(processes))
    assert prepared.explain(out, "--resume", *WORKERS).exit_code == QUARANTINED
    assert_same_files(read_files(out), prepared.expected_files)


def test_a_killed_server_ends_the_run_which_can_be_resumed(
    prepared: PreparedRun, out: Path
) -> None:
    running = prepared.start(out, *WORKERS)
    wait_for(committed(out, 2), running)
    workers = workers_of(running)
    os.kill(server_of(running), signal.SIGKILL)
    outcome = running.outcome()
    assert outcome.exit_code == CHECKPOINT
    assert "the process that starts workers was killed" in outcome.refusal()
    wait_until(all_ended(workers))
    prepared.check_resume(out)


def test_the_server_holds_no_file_of_the_run(prepared: PreparedRun, out: Path) -> None:
    running = prepared.start(out, *WORKERS)
    wait_for(committed(out, 1), running)
    descriptors = [*Path(f"/proc/{server_of(running)}/fd").iterdir()]
    held = [str(each.readlink()) for each in descriptors if int(each.name) > 2]
    assert [each for each in held if not each.startswith(("/dev/null", "socket:", "pipe:"))] == []
    assert running.outcome().exit_code == QUARANTINED


def test_two_runs_with_a_share_each_may_use_workers(prepared: PreparedRun, out: Path) -> None:
    runs = [prepared.start(out, "--shard", f"{part}/2", *WORKERS) for part in (1, 2)]
    for running in runs:
        outcome = running.outcome()
        assert outcome.exit_code in {DONE, QUARANTINED}, outcome.stderr
    assert prepared.warm.run(["report", str(out)]).exit_code == DONE
    assert_same_files(read_files(out), prepared.expected_files)


def test_a_crashing_row_is_quarantined_without_a_restart(
    prepared: PreparedRun, tmp_path: Path
) -> None:
    write_module(tmp_path, action="os._exit(9)")
    write_rows(tmp_path, late=7)
    outcome = prepared.warm.run(arguments(tmp_path, *WORKERS))
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    records = read_records(tmp_path / "out")
    assert [each["ordinal"] for each in records if each["status"] != "ok"] == [7]
    assert records[7]["reason"].startswith("the process died")


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("raise LookupError('in the module')", "the model fails: LookupError: in the module"),
        ("raise SystemExit(0)", "the model fails: SystemExit: 0"),
    ],
)
def test_an_exception_of_a_module_quarantines_its_row(
    prepared: PreparedRun, tmp_path: Path, action: str, reason: str
) -> None:
    write_module(tmp_path, action=action)
    write_rows(tmp_path, late=7)
    outcome = prepared.warm.run(arguments(tmp_path, *WORKERS))
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    records = read_records(tmp_path / "out")
    assert [each["ordinal"] for each in records if each["status"] != "ok"] == [7]
    assert records[7]["reason"] == reason


def test_an_unexpected_error_of_a_worker_can_be_raised_in_the_parent_process() -> None:
    class UsersError(Exception):
        """A class that the parent process does not know."""

    sent = pickle.loads(pickle.dumps(_picklable_error(UsersError("a\x1b"))))  # noqa: S301
    assert (sent.exit_code, sent.message) == (70, r"internal error: UsersError: a\x1b")
    assert "--debug" in sent.hint
    assert "UsersError" in "".join(sent.__notes__)


def test_the_run_ends_after_too_many_startup_failures(
    prepared: PreparedRun, tmp_path: Path
) -> None:
    write_module(tmp_path, action="pass")
    write_rows(tmp_path, late=7)
    module = tmp_path / "own.py"
    module.write_text(module.read_text() + DEADLY_START)
    outcome = prepared.warm.run(arguments(tmp_path, *WORKERS))
    assert outcome.exit_code == CHECKPOINT
    assert "died before they were ready: exit code 7" in outcome.refusal()


@pytest.mark.parametrize(
    ("choice", "device", "shards", "processes", "cores"),
    [
        (ExecutionChoice(), "cpu", 20, 8, 1),
        (ExecutionChoice(), "cpu", 3, 3, 2),
        (ExecutionChoice(), "cpu", 1, 1, 8),
        (ExecutionChoice(), "cuda", 20, 1, 8),
        (ExecutionChoice(cpus_per_worker=3), "cpu", 20, 2, 3),
        (ExecutionChoice(cpus_per_worker=9), "cpu", 20, 1, 9),
        (ExecutionChoice(workers=1), "cpu", 20, 1, 8),
        (ExecutionChoice(workers=3), "cpu", 20, 3, 2),
        (ExecutionChoice(workers=3), "cuda", 20, 3, 2),
        (ExecutionChoice(workers=9), "cpu", 20, 9, 1),
        (ExecutionChoice("ray", workers=3), "cpu", 20, 1, 8),
    ],
)
def test_workers_divide_the_cores_of_the_machine(
    choice: ExecutionChoice, device: str, shards: int, processes: int, cores: int
) -> None:
    assert choice.processes(device, cores=8, shards=shards) == processes
    assert choice.cores_per_worker(processes, cores=8) == cores


@pytest.mark.parametrize("given", ["0", "-1", "many", "", "1.5", "1" * 10])
def test_a_number_of_workers_that_is_none_is_refused(shell: Shell, given: str) -> None:
    assert "--workers" in shell.refused(USAGE, "--workers", given)


@pytest.mark.parametrize(
    ("choice", "share"),
    [
        (ExecutionChoice(), 1.0),
        (ExecutionChoice(workers=4), 0.25),
        (ExecutionChoice("ray", workers=4), 1.0),
        (ExecutionChoice("ray", gpus_per_worker=0.5), 0.5),
        (ExecutionChoice("ray", gpus_per_worker=2), 1.0),
        (ExecutionChoice("ray", gpus_per_worker=0), 1.0),
    ],
)
def test_workers_on_one_gpu_divide_its_memory(choice: ExecutionChoice, share: float) -> None:
    assert choice.device_share == share


def test_more_cpus_than_cores_give_a_warning(prepared: PreparedRun, out: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    two_shards = ("--limit", 2, "--shard-rows", 1)
    outcome = prepared.explain(out, *two_shards, "--cpus-per-worker", cores, *WORKERS)
    assert outcome.exit_code == DONE
    assert f"2 workers of {cores} CPUs are slower than fewer workers" in outcome.stderr


def test_more_workers_than_shards_give_a_warning(shell: Shell) -> None:
    outcome = shell.explain("--cpus-per-worker", "1", "--workers", "3")
    assert outcome.exit_code == DONE
    assert "--workers 3 is more than the number of shards, 1" in outcome.stderr


def test_a_resumed_run_may_have_other_workers(shell: Shell) -> None:
    assert shell.explain("--cpus-per-worker", "1").exit_code == DONE
    assert shell.explain("--resume", *WORKERS).exit_code == DONE
    assert shell.explain("--resume", "--address", "local").exit_code == USAGE
