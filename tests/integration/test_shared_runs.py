"""Runs with `--shard`: several processes write the same bytes as one."""

import signal
from pathlib import Path

from tests.support.faults import QUARANTINED, Desk, files, same, wait_for
from tests.support.shell import DONE, USAGE


def test_two_processes_at_once_explain_the_whole_input(desk: Desk, out: Path) -> None:
    both = [desk.start(out, "--shard", f"{n}/2") for n in (1, 2)]
    codes = {process.outcome().exit_code for process in both}
    assert codes <= {DONE, QUARANTINED}
    finish_by_report(desk, out)


def finish_by_report(desk: Desk, out: Path) -> None:
    """Finish a run with `saliency report`, and assert that its files are those of one process."""
    assert not (out / "index.html").exists()
    outcome = desk.warm.run(["report", str(out)])
    assert outcome.exit_code == DONE, outcome.stderr
    same(files(out), desk.whole)


def test_shares_can_be_explained_in_any_order(desk: Desk, out: Path) -> None:
    codes = [desk.explain(out, "--shard", f"{n}/3").exit_code for n in (3, 1)]
    assert codes == [DONE, DONE]
    before = files(out)
    outcome = desk.warm.run(["report", str(out)])
    assert outcome.exit_code == USAGE
    assert all(f" {n}," in outcome.refusal() or f" {n}\n" in outcome.stderr for n in (1, 4, 7, 10))
    assert files(out) == before
    assert desk.explain(out, "--shard", "2/3").exit_code == QUARANTINED
    finish_by_report(desk, out)


def test_several_processes_can_work_on_the_same_share(desk: Desk, out: Path) -> None:
    running = [desk.start(out, "--shard", "1/1") for _ in range(3)]
    assert {process.outcome().exit_code for process in running} == {QUARANTINED}
    finish_by_report(desk, out)


def test_a_run_is_resumed_after_the_process_of_a_share_was_killed(desk: Desk, out: Path) -> None:
    both = [desk.start(out, "--shard", f"{n}/2") for n in (1, 2)]
    wait_for((out / "records" / "part-00002.jsonl").exists, both[0])
    both[0].kill()
    outcomes = [process.outcome() for process in both]
    assert outcomes[0].exit_code == -signal.SIGKILL
    assert outcomes[1].exit_code in {DONE, QUARANTINED}
    desk.resumed(out)
