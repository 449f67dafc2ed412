"""The crash journal of a shard: crashing rows are found in few crashes, and no other row is."""

from math import ceil, log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.errors import OutputError
from saliency_cli.runs.crash_journal import (
    Journal,
    crash_limit_reached,
    needs_isolation,
    next_step,
    open_journal,
    read_history,
    record_crash,
)


def crash(
    journal: Journal, rows: tuple[int, ...] | None, *, in_flight: list[int], recorded: bool
) -> None:
    """Write the entries that a crashed attempt at `rows` leaves in the journal."""
    journal.write(attempt=rows if rows is None else [*rows])
    journal.record_in_flight(in_flight)
    if recorded:
        journal.write(crash_recorded=True)


def simulate_shard(path: Path, *, crashing_rows: set[int], in_flight: list[int]) -> int:
    """Explain a shard, without a model, until it is committed; return the number of crashes."""
    crashes = 0
    with open_journal(path) as journal:
        while True:
            history = read_history(path)
            step = next_step(history)
            if step.crashing_row is not None:
                journal.write(crashing_row=step.crashing_row)
                continue
            rows = in_flight if step.rows is None else [*step.rows]
            if crashing_rows & ({*rows} - {*history.quarantined}):
                crash(journal, step.rows, in_flight=rows, recorded=True)
                crashes += 1
                continue
            with journal.attempt(step.rows):
                journal.record_in_flight(rows)
            if step.rows is None:
                return crashes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@given(data=st.data(), count=st.integers(1, 200))
def test_a_crashing_row_is_found_in_few_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, count: int
) -> None:
    path = tmp_path_factory.mktemp("shard") / "journal"
    row = data.draw(st.integers(0, count - 1))
    crashes = simulate_shard(path, crashing_rows={row}, in_flight=list(range(count)))
    assert read_history(path).quarantined == [row]
    assert crashes <= 2 + ceil(log2(count)) + 2


@given(crashing_rows=st.sets(st.integers(0, 30), min_size=1, max_size=4))
def test_all_crashing_rows_are_found_and_no_other_row(
    tmp_path_factory: pytest.TempPathFactory, crashing_rows: set[int]
) -> None:
    path = tmp_path_factory.mktemp("shard") / "journal"
    simulate_shard(path, crashing_rows=crashing_rows, in_flight=list(range(31)))
    assert {*read_history(path).quarantined} == crashing_rows


@given(
    kills=st.lists(
        st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True), min_size=1, max_size=30
    )
)
def test_a_run_that_is_killed_from_outside_quarantines_no_row(
    tmp_path_factory: pytest.TempPathFactory, kills: list[list[int]]
) -> None:
    path = tmp_path_factory.mktemp("shard") / "journal"
    with open_journal(path) as journal:
        for rows in kills:
            step = next_step(read_history(path))
            assert step.crashing_row is None
            crash(journal, step.rows, in_flight=rows, recorded=False)
    assert not crash_limit_reached(read_history(path))


def test_crashes_without_common_rows_give_no_suspects(path: Path) -> None:
    with open_journal(path) as journal:
        crash(journal, None, in_flight=[1, 2], recorded=False)
        crash(journal, None, in_flight=[3, 4], recorded=False)
    assert not needs_isolation(path)
    assert next_step(read_history(path)).rows is None


def test_after_two_crashes_with_common_rows_these_are_tried_half_by_half(path: Path) -> None:
    with open_journal(path) as journal:
        crash(journal, None, in_flight=[1, 2, 3, 4, 5], recorded=False)
        crash(journal, None, in_flight=[2, 3, 4, 5, 6], recorded=False)
        assert needs_isolation(path)
        assert next_step(read_history(path)).rows == (2, 3)
        with journal.attempt((2, 3)):
            pass
        assert next_step(read_history(path)).rows == (4, 5)


def test_an_attempt_that_ends_with_an_exception_is_no_crash_and_clears_no_row(path: Path) -> None:
    with open_journal(path) as journal:
        crash(journal, None, in_flight=[1, 2], recorded=True)
        crash(journal, None, in_flight=[1, 2], recorded=True)
        with pytest.raises(KeyboardInterrupt), journal.attempt((1,)):
            raise KeyboardInterrupt
    assert len(read_history(path).crashes) == 2
    assert next_step(read_history(path)).rows == (1,)


def test_a_shard_that_crashes_without_a_crashing_row_reaches_the_crash_limit(path: Path) -> None:
    with open_journal(path) as journal:
        for _ in range(4):
            crash(journal, None, in_flight=[1, 2], recorded=True)
            for half in ((1,), (2,)):
                with journal.attempt(half):
                    pass
        assert not crash_limit_reached(read_history(path))
        crash(journal, None, in_flight=[1, 2], recorded=True)
    assert crash_limit_reached(read_history(path))


def test_rows_in_flight_are_kept_per_thread(path: Path) -> None:
    with open_journal(path) as journal:
        for _ in range(2):
            journal.write(attempt=None)
            journal.write(thread=1, rows=[1])
            journal.write(thread=2, rows=[2])
            journal.write(thread=1, rows=[3])
    assert read_history(path).suspects == (2, 3)


NO_ENTRIES = (
    *(b"", b'{"thr', b"\x00\x00", b'{"attempt":', b"\xff\xfe", b"[" * 100_000, b"9" * 5000),
    *(b"[1]", b"5", b"null", b"{}", b'{"attempt":5}', b'{"attempt":[null]}', b'{"thread":1}'),
    *(b'{"rows":[1],"thread":[]}', b'{"rows":null,"thread":1}', b'{"passed":[1]}'),
    *(b'{"crashing_row":{}}', b'{"crashing_row":1.5}', b'{"crash_recorded":null}'),
)


@pytest.mark.parametrize("line", NO_ENTRIES, ids=lambda line: repr(line[:24]))
def test_a_line_that_is_no_entry_is_skipped(path: Path, line: bytes) -> None:
    with open_journal(path) as journal:
        crash(journal, None, in_flight=[1], recorded=False)
    with path.open("ab") as stream:
        stream.write(line + b"\n")
    record_crash(path)
    assert read_history(path).quarantined == []
    (only,) = read_history(path).crashes
    assert (only.crash_recorded, only.suspects) == (True, {1})


def test_a_symbolic_link_in_place_of_the_journal_is_not_followed(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text("mine")
    path.symlink_to(elsewhere)
    with pytest.raises(OutputError), open_journal(path):
        pass
    assert elsewhere.read_text() == "mine"
