"""Runs with `--shard`: several processes write the same bytes as one."""

import signal
from pathlib import Path

from tests.support.faults import QUARANTINED, PreparedRun, assert_same_files, read_files, wait_for
from tests.support.shell import DONE, USAGE

FAILED = 1


def test_two_processes_at_once_explain_the_whole_input(prepared: PreparedRun, out: Path) -> None:
    both = [prepared.start(out, "--shard", f"{n}/2") for n in (1, 2)]
    codes = {process.outcome().exit_code for process in both}
    assert codes <= {DONE, QUARANTINED}
    finish_by_report(prepared, out)


def finish_by_report(prepared: PreparedRun, out: Path) -> None:
    """Finish a run with `saliency report`, and assert that its files are those of one process."""
    assert not (out / "index.html").exists()
    outcome = prepared.warm.run(["report", str(out)])
    assert outcome.exit_code == DONE, outcome.stderr
    assert_same_files(read_files(out), prepared.expected_files)


def test_shares_can_be_explained_in_any_order(prepared: PreparedRun, out: Path) -> None:
    codes = [prepared.explain(out, "--shard", f"{n}/3").exit_code for n in (3, 1)]
    assert codes == [DONE, DONE]
    before = read_files(out)
    outcome = prepared.warm.run(["report", str(out)])
    assert outcome.exit_code == USAGE
    assert all(f" {n}," in outcome.refusal() or f" {n}\n" in outcome.stderr for n in (1, 4, 7, 10))
    assert read_files(out) == before
    assert prepared.explain(out, "--shard", "2/3").exit_code == QUARANTINED
    finish_by_report(prepared, out)


def test_several_processes_can_work_on_the_same_share(prepared: PreparedRun, out: Path) -> None:
    running = [prepared.start(out, "--shard", "1/1") for _ in range(3)]
    assert {process.outcome().exit_code for process in running} == {QUARANTINED}
    finish_by_report(prepared, out)


def test_a_shared_run_is_judged_by_report_as_one_of_a_single_process(
    prepared: PreparedRun, out: Path
) -> None:
    gates = ("--fail-on", "quarantined>0", "--fail-on", "warn:rows<1", "--fail-on", "suspects>9")
    for share in ("1/2", "2/2"):
        assert prepared.explain(out, "--shard", share).exit_code in {DONE, QUARANTINED}
    judged = prepared.warm.run(["report", str(out), *gates])
    assert judged.exit_code == FAILED
    assert "failed: number of quarantined rows is " in judged.stderr
    alone = out.parent / "alone"
    assert prepared.explain(alone, *gates).exit_code == FAILED
    assert_same_files(read_files(out), read_files(alone))


def test_a_run_is_resumed_after_the_process_of_a_share_was_killed(
    prepared: PreparedRun, out: Path
) -> None:
    both = [prepared.start(out, "--shard", f"{n}/2") for n in (1, 2)]
    wait_for((out / "records" / "part-00002.jsonl").exists, both[0])
    both[0].kill()
    outcomes = [process.outcome() for process in both]
    assert outcomes[0].exit_code == -signal.SIGKILL
    assert outcomes[1].exit_code in {DONE, QUARANTINED}
    prepared.check_resume(out)
