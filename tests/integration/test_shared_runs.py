"""One run by several processes: the bytes are those of one."""

import signal
from pathlib import Path

from tests.support.faults import (
    QUARANTINED,
    Desk,
    files,
    same,
    wait_for,
)
from tests.support.shell import DONE, USAGE


def test_two_halves_at_once_are_a_whole(desk: Desk, out: Path) -> None:
    both = [desk.start(out, "--shard", f"{n}/2") for n in (1, 2)]
    codes = {each.outcome().exit_code for each in both}
    assert codes <= {DONE, QUARANTINED}
    finished_by_report(desk, out)


def finished_by_report(desk: Desk, out: Path) -> None:
    """Have `report` finish a run; see that it is what one process leaves."""
    assert not (out / "index.html").exists()
    outcome = desk.warm.run(["report", str(out)])
    assert outcome.exit_code == DONE, outcome.stderr
    same(files(out), desk.whole)


def test_shards_are_explained_in_any_order(desk: Desk, out: Path) -> None:
    codes = [desk.explain(out, "--shard", f"{n}/3").exit_code for n in (3, 1)]
    assert codes == [DONE, DONE]
    before = files(out)
    outcome = desk.warm.run(["report", str(out)])
    assert outcome.exit_code == USAGE
    assert all(f" {n}," in outcome.refusal() or f" {n}\n" in outcome.stderr for n in (1, 4, 7, 10))
    assert files(out) == before
    assert desk.explain(out, "--shard", "2/3").exit_code == QUARANTINED
    finished_by_report(desk, out)


def test_many_processes_may_have_the_same_share(desk: Desk, out: Path) -> None:
    running = [desk.start(out, "--shard", "1/1") for _ in range(3)]
    assert {each.outcome().exit_code for each in running} == {QUARANTINED}
    finished_by_report(desk, out)


def test_a_share_that_is_killed_is_taken_up_again(desk: Desk, out: Path) -> None:
    both = [desk.start(out, "--shard", f"{n}/2") for n in (1, 2)]
    wait_for((out / "records" / "part-00002.jsonl").exists, both[0])
    both[0].kill()
    outcomes = [each.outcome() for each in both]
    assert outcomes[0].exit_code == -signal.SIGKILL
    assert outcomes[1].exit_code in {DONE, QUARANTINED}
    desk.resumed(out)
