"""The journal of a shard: a row that kills is found in few deaths, and no other is convicted."""

from math import ceil, log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.errors import OutputError
from saliency_cli.runs.crash_journal import (
    Journal,
    crash_limit_reached,
    journal,
    needs_isolation,
    next_step,
    read_history,
    record_crash,
)


def die(log: Journal, rows: tuple[int, ...] | None, *, at: list[int], seen: bool) -> None:
    """Write what a process leaves that dies while it is at some rows."""
    log.write(attempt=rows if rows is None else [*rows])
    log.watch(at)
    if seen:
        log.write(seen=True)


def convict(path: Path, *, killers: set[int], in_flight: list[int]) -> list[int]:
    """Play a shard whose process dies over `killers` until it is done; return the steps' deaths."""
    deaths = []
    with journal(path) as log:
        while True:
            history = read_history(path)
            step = next_step(history)
            if step.crashing_row is not None:
                log.write(crashing_row=step.crashing_row)
                continue
            rows = in_flight if step.rows is None else [*step.rows]
            alive = {*rows} - {*history.quarantined}
            if killers & alive:
                die(log, step.rows, at=rows, seen=True)
                deaths.append(len(rows))
                continue
            with log.attempt(step.rows):
                log.watch(rows)
            if step.rows is None:
                return deaths


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@given(data=st.data(), count=st.integers(1, 200))
def test_the_row_that_kills_is_found_in_few_deaths(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, count: int
) -> None:
    path = tmp_path_factory.mktemp("shard") / "journal"
    killer = data.draw(st.integers(0, count - 1))
    deaths = convict(path, killers={killer}, in_flight=list(range(count)))
    assert read_history(path).quarantined == [killer]
    assert len(deaths) <= 2 + ceil(log2(count)) + 2


@given(killers=st.sets(st.integers(0, 30), min_size=1, max_size=4))
def test_every_row_that_kills_is_found_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, killers: set[int]
) -> None:
    path = tmp_path_factory.mktemp("shard") / "journal"
    convict(path, killers=killers, in_flight=list(range(31)))
    assert {*read_history(path).quarantined} == killers


@given(
    kills=st.lists(
        st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True), min_size=1, max_size=30
    )
)
def test_a_run_that_is_killed_from_outside_convicts_no_row(
    tmp_path_factory: pytest.TempPathFactory, kills: list[list[int]]
) -> None:
    path = tmp_path_factory.mktemp("shard") / "journal"
    with journal(path) as log:
        for rows in kills:
            step = next_step(read_history(path))
            assert step.crashing_row is None
            die(log, step.rows, at=rows, seen=False)
    assert not crash_limit_reached(read_history(path))


def test_deaths_over_other_rows_each_time_suspect_none(path: Path) -> None:
    with journal(path) as log:
        die(log, None, at=[1, 2], seen=False)
        die(log, None, at=[3, 4], seen=False)
    assert not needs_isolation(path)
    assert next_step(read_history(path)).rows is None


def test_two_deaths_over_common_rows_have_those_tried_by_halves(path: Path) -> None:
    with journal(path) as log:
        die(log, None, at=[1, 2, 3, 4, 5], seen=False)
        die(log, None, at=[2, 3, 4, 5, 6], seen=False)
        assert needs_isolation(path)
        assert next_step(read_history(path)).rows == (2, 3)
        with log.attempt((2, 3)):
            pass
        assert next_step(read_history(path)).rows == (4, 5)


def test_an_attempt_that_ends_with_an_exception_is_no_death_and_clears_no_row(path: Path) -> None:
    with journal(path) as log:
        die(log, None, at=[1, 2], seen=True)
        die(log, None, at=[1, 2], seen=True)
        with pytest.raises(KeyboardInterrupt), log.attempt((1,)):
            raise KeyboardInterrupt
    assert len(read_history(path).deaths) == 2
    assert next_step(read_history(path)).rows == (1,)


def test_a_shard_that_dies_with_no_row_to_blame_is_given_up(path: Path) -> None:
    with journal(path) as log:
        for _ in range(4):
            die(log, None, at=[1, 2], seen=True)
            for half in ((1,), (2,)):
                with log.attempt(half):
                    pass
        assert not crash_limit_reached(read_history(path))
        die(log, None, at=[1, 2], seen=True)
    assert crash_limit_reached(read_history(path))


def test_each_thread_is_at_its_own_rows(path: Path) -> None:
    with journal(path) as log:
        for _ in range(2):
            log.write(attempt=None)
            log.write(thread=1, rows=[1])
            log.write(thread=2, rows=[2])
            log.write(thread=1, rows=[3])
    assert read_history(path).suspects == (2, 3)


@pytest.mark.parametrize("torn", ["", '{"thr', "\x00\x00", '{"attempt":'])
def test_a_line_that_was_not_written_whole_is_none(path: Path, torn: str) -> None:
    with journal(path) as log:
        die(log, None, at=[1], seen=False)
    with path.open("a") as stream:
        stream.write(torn + "\n")
    record_crash(path)
    (death,) = read_history(path).deaths
    assert (death.seen, death.suspects) == (True, {1})


def test_a_link_in_the_journals_place_is_not_followed(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text("mine")
    path.symlink_to(elsewhere)
    with pytest.raises(OutputError), journal(path):
        pass
    assert elsewhere.read_text() == "mine"
