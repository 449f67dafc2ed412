"""`saliency site`: what it shows, what it writes, and what it leaves as it is."""

import json
import os
import re
import shutil
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.figures.chance import wilson_interval
from saliency_cli.site.build import build_site
from saliency_cli.site.charts import AREA, RUNS_SHOWN, Chart, charts
from saliency_cli.site.entries import GATES, RunEntry, Suspect
from saliency_cli.site.folder import SiteFolder
from saliency_cli.site.names import natural_key, part_name
from saliency_cli.site.page import write_site_page
from tests.support.comparisons import compare
from tests.support.faults import read_files
from tests.support.paths import GOLDEN
from tests.support.runs import HOSTILE_LABEL, read_records, record, write_run
from tests.support.sites import (
    HOSTILE_FOLDER,
    HOSTILE_MODEL,
    NO_RUN,
    UNFINISHED,
    predictions,
    site,
    write_runs,
)

RUNS = ("build-8", HOSTILE_FOLDER, "build-9", "build-10")
FILE_NAME = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def built(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "out"
    result = site(runs, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert result.stderr.count("left out: ") == 2
    return out


@pytest.fixture
def copied(built: Path, runs: Path, tmp_path: Path) -> Path:
    """A folder with a copy of `runs` and of the `site`."""
    shutil.copytree(runs, tmp_path / "runs")
    shutil.copytree(built, tmp_path / "site")
    return tmp_path


def update(folder: Path) -> str:
    """Update the site in a folder from the runs beside it, and return what was printed."""
    result = site(folder / "runs", "--out", folder / "site", "--overwrite")
    assert result.exit_code == 0, result.output
    return result.stderr


def identities(folder: Path, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return the inode and the time of files: they differ after a file was written again."""
    status = {name: (folder / name).stat() for name in names}
    return {name: (each.st_ino, each.st_mtime_ns) for name, each in status.items()}


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def parts_of(folder: Path) -> set[str]:
    """Return the files of a site that belong to a run or a comparison."""
    return {name for name in read_files(folder) if "/" in name}


@given(st.lists(st.integers(0, 10**30)))
def test_numbers_in_names_are_ordered_as_numbers(numbers: list[int]) -> None:
    names = sorted((f"build-{number}" for number in numbers), key=natural_key)
    assert names == [f"build-{number}" for number in sorted(numbers)]


@given(st.lists(st.dates()))
def test_dates_in_names_are_ordered_as_dates(dates: list[object]) -> None:
    names = sorted(map(str, dates), key=natural_key)
    assert names == sorted(map(str, dates))


@given(FILE_NAME, FILE_NAME)
def test_the_order_of_names_is_total(one: str, other: str) -> None:
    keys = natural_key(one), natural_key(other)
    assert (keys[0] < keys[1], keys[1] < keys[0], one == other).count(True) == 1


@given(st.binary(min_size=1).filter(lambda name: not {*b"/\0"} & {*name}))
def test_each_name_has_its_own_part_which_any_server_accepts(name: bytes) -> None:
    part = part_name(os.fsdecode(name))
    assert re.fullmatch(r"[\w.~-]+", part, re.ASCII)
    back = re.sub(rb"~(..)", lambda found: bytes([int(found[1], 16)]), part.encode())
    assert back == name


def test_the_page_equals_the_golden_file(
    runs: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = SiteFolder(tmp_path / "site")
    write_site_page(folder.page, build_site(runs, folder), version="0")
    golden = GOLDEN / "site.html"
    if request.config.getoption("--update-golden"):
        golden.write_bytes(folder.page.read_bytes())
    assert folder.page.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")


def test_entries_equal_a_direct_computation_from_the_records(runs: Path, tmp_path: Path) -> None:
    built = build_site(runs, SiteFolder(tmp_path / "site"))
    assert [each.name for each in built.runs] == [*RUNS]
    for entry in built.runs:
        records = read_records(runs / entry.name)
        explained = [each for each in records if each["status"] == "ok"]
        known = [each for each in explained if each["gold"] in each["probabilities"]]
        right = sum(each["predicted"] == each["gold"] for each in known)
        assert (entry.rows, entry.quarantined) == (len(records), len(records) - len(explained))
        assert entry.accuracy == (right / len(known) if known else None)
        assert entry.interval == (wilson_interval(right, len(known)) if known else None)
    suspect = Suspect("zap", HOSTILE_LABEL)
    assert [each.suspects for each in built.runs] == [(), (suspect,), (), ()]
    assert [each.new_suspects for each in built.runs] == [(), (suspect,), (), ()]
    assert built.runs[-1].gates == {"failed": 2, "warned": 2, "passed": 1}
    first, *others = (each.change for each in built.runs)
    assert first is None
    changes = [(each.before, each.refused is None) for each in others if each]
    assert changes == [("build-8", False), (HOSTILE_FOLDER, False), ("build-9", True)]


def test_parts_are_the_pages_of_the_runs_and_what_compare_writes_without_rows(
    runs: Path, built: Path, tmp_path: Path
) -> None:
    for name in RUNS:
        copies = read_files(built / "runs" / part_name(name))
        own = {
            n: data for n, data in read_files(runs / name).items() if n.endswith((".html", "js"))
        }
        assert copies == own
    result = compare(runs / "build-9", runs / "build-10", "--out", tmp_path / "compared")
    assert result.exit_code == 0, result.output
    written, kept = (
        read_files(tmp_path / "compared"),
        read_files(built / "comparisons" / "build-10"),
    )
    assert kept["comparison.json"] == written["comparison.json"]
    without = written["index.html"].replace(b" All rows are in <code>rows.jsonl</code>.", b"")
    seal = b"\n<!-- written by "
    assert kept["index.html"].rpartition(seal)[0] == without.rpartition(seal)[0] != b""
    assert {*kept} == {"comparison.json", "index.html"}
    assert names_in(built / "comparisons") == ["build-10"]  # the others were refused


def test_the_same_runs_give_the_same_bytes_wherever_they_are(copied: Path) -> None:
    inside = copied / "runs" / "site"  # the site is no run of its own
    assert site(copied / "runs", "--out", inside).exit_code == 0
    assert read_files(inside) == read_files(copied / "site")
    assert not [n for n, data in read_files(inside).items() if str(copied).encode() in data]


def test_what_has_not_changed_is_not_written_again(copied: Path) -> None:
    files, names = read_files(copied / "site"), parts_of(copied / "site")
    before = identities(copied / "site", names)
    update(copied)
    assert identities(copied / "site", names) == before
    assert read_files(copied / "site") == files


def test_a_changed_run_is_compared_again_and_no_other(copied: Path) -> None:
    write_run(copied / "runs" / "build-12", predictions(40, wrong=3))
    update(copied)
    names = parts_of(copied / "site")
    before = identities(copied / "site", names)
    write_run(copied / "runs" / "build-12", predictions(40, wrong=4))
    update(copied)
    after = identities(copied / "site", names)
    assert {name for name in names if after[name] != before[name]} == {
        "runs/build-12/index.html",
        *(f"comparisons/build-12/{n}" for n in ("index.html", "comparison.json")),
    }
    compared = json.loads((copied / "site/comparisons/build-12/comparison.json").read_bytes())
    assert compared["broken"] == 2


def test_a_part_that_is_damaged_or_lost_is_made_again(copied: Path) -> None:
    files = read_files(copied / "site")
    shutil.rmtree(copied / "site" / "runs" / "build-8")
    (copied / "site" / "comparisons" / "build-10" / "index.html").unlink()
    update(copied)
    assert read_files(copied / "site") == files
    for damaged in ('{\n  "comparisons": 1', '{\n  "comparisons": {"build-10": {"refused": 5}}}'):
        (copied / "site" / "site.json").write_text(damaged, encoding="utf-8")
        update(copied)
        assert read_files(copied / "site") == files


def test_a_run_that_is_gone_leaves_the_site(copied: Path) -> None:
    shutil.rmtree(copied / "runs" / "build-9")
    shutil.rmtree(copied / "runs" / HOSTILE_FOLDER)
    update(copied)
    assert names_in(copied / "site" / "runs") == ["build-10", "build-8"]
    compared = json.loads((copied / "site/comparisons/build-10/comparison.json").read_bytes())
    assert (compared["broken"], compared["fixed"]) == (0, 4)


def test_folders_without_a_sound_run_are_named_and_do_not_stop_the_others(copied: Path) -> None:
    runs = copied / "runs"
    part = runs / "build-8" / "records" / "part-00000.jsonl"
    part.write_text(part.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    page = runs / "build-9" / "index.html"
    page.write_text(page.read_text(encoding="utf-8").replace("spam", "ham"), encoding="utf-8")
    (runs / "latest").symlink_to("build-10")
    shown = update(copied)
    written = (copied / "site" / "index.html").read_text(encoding="utf-8")
    for name in ("build-8", "build-9", "latest", UNFINISHED, NO_RUN):
        assert shown.count(f"left out: {name}") + shown.count(f"write {name}/index.html") == 1
        assert f"<bdi>{name} " in written or f"{name}/" in written
        assert not (copied / "site" / "runs" / name).exists()
    assert str(copied) not in written
    assert (copied / "site" / "runs" / "build-10" / "index.html").is_file()


FOREIGN = {
    "a file": "notes.txt",
    "a file beside pages": "runs/build-8/notes.txt",
    "a folder": "other/notes.txt",
    "a file beside a comparison": "comparisons/build-10/notes.txt",
    "a page of another kind": "runs/build-8/pages/page-0001.html",
    "a state that is none": "site.json",
}


@pytest.mark.parametrize("name", FOREIGN.values(), ids=FOREIGN)
def test_what_no_site_wrote_is_never_touched(copied: Path, name: str) -> None:
    file = copied / "site" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("<!doctype html> mine", encoding="utf-8")
    assert_refused(copied, "wrote")


def test_changed_pages_links_and_a_site_without_overwrite_are_not_replaced(copied: Path) -> None:
    out = copied / "site"
    result = site(copied / "runs", "--out", out)
    assert (result.exit_code, "add --overwrite to update it" in result.stderr) == (2, True)
    page = out / "runs" / "build-8" / "index.html"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("spam", "mine", 1), encoding="utf-8")
    assert_refused(copied, "runs/build-8/index.html")
    page.unlink()
    page.symlink_to(copied / "runs" / "build-8" / "index.html")
    assert_refused(copied, "runs/build-8/index.html")
    page.unlink()
    page.parent.rmdir()
    page.parent.symlink_to(copied / "runs" / "build-8")
    before = read_files(copied / "runs")
    result = site(copied / "runs", "--out", out, "--overwrite")
    assert (result.exit_code, "site/runs/build-8 as it is" in result.stderr) == (2, True)
    assert read_files(copied / "runs") == before


def assert_refused(folder: Path, message: str) -> None:
    """Assert that the site is not updated, and that no file changes."""
    before = read_files(folder)
    result = site(folder / "runs", "--out", folder / "site", "--overwrite")
    assert result.exit_code == 2
    assert message in result.stderr
    assert read_files(folder) == before


def test_a_folder_without_runs_is_refused(tmp_path: Path, runs: Path) -> None:
    for folder in (tmp_path / "gone", tmp_path, runs / "build-8"):
        result = site(folder, "--out", tmp_path / "site")
        assert result.exit_code == 2, folder
        assert result.stderr.startswith(("error: ", "warning: "))
        assert not (tmp_path / "site" / "index.html").exists()


def entry(accuracy: float | None, suspects: int, gates: tuple[int, int, int]) -> RunEntry:
    interval = None if accuracy is None else wilson_interval(round(40 * accuracy), 40)
    found = tuple(Suspect(f"word{n}", "spam") for n in range(suspects))
    return RunEntry(
        *("name", "part", "model", "input", 40, 0, accuracy, interval, found, found[::2]),
        dict(zip(GATES, gates, strict=True)),
        None,
    )


ENTRY = st.builds(
    entry,
    st.none() | st.integers(0, 40).map(lambda right: right / 40),
    st.integers(0, 9),
    st.tuples(*[st.integers(0, 5)] * 3),
)


@given(st.lists(ENTRY, min_size=2, max_size=RUNS_SHOWN + 10))
def test_marks_are_inside_the_area_and_as_high_as_their_numbers(runs: list[RunEntry]) -> None:
    drawn = charts(runs)
    assert drawn is not None
    shown = runs[-RUNS_SHOWN:]
    assert drawn.shown == len(shown)
    counts = {"suspects": [len(run.suspects) for run in shown]}
    counts["gates"] = [sum(run.gates.values()) for run in shown]
    for name, totals in counts.items():
        chart: Chart | None = getattr(drawn, name)
        assert (chart is not None) == any(totals)
        for column, total in zip(chart.columns if chart else (), totals, strict=bool(chart)):
            assert sum(block.count for block in column.blocks) == total
            height = (AREA.bottom - AREA.top) * total / max(totals)
            assert sum(block.height for block in column.blocks) == pytest.approx(height, abs=0.1)
            assert all(one.y >= other.y for one, other in pairwise(column.blocks))
    known = [run for run in shown if run.accuracy is not None]
    points = drawn.accuracy.points if drawn.accuracy else ()
    assert [point.run for point in points] == known
    for point in points:
        assert AREA.top <= point.high <= point.y <= point.low <= AREA.bottom  # y goes downwards
        assert AREA.left < point.x < AREA.right


def test_a_single_run_has_a_site_without_charts(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "one", [record(0, "free call now", gold="spam")])
    assert site(tmp_path / "runs", "--out", tmp_path / "site").exit_code == 0
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "<h1>1 run over time</h1>" in page
    assert "<svg" not in page


def test_hostile_names_are_escaped(built: Path) -> None:
    page = (built / "index.html").read_text(encoding="utf-8")
    for hostile in (HOSTILE_FOLDER, HOSTILE_MODEL, HOSTILE_LABEL):
        assert hostile not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
