"""What holds for every export, and for the registry of them."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from saliency_cli.exports import EXPORTS, parquet_table
from saliency_cli.runs.finished_run import open_run
from tests.support.exports import export, exported, wrong_record
from tests.support.gates import every_outcome
from tests.support.paths import GOLDEN, ROOT
from tests.support.runs import record, varied, write_run

TEXT_EXPORTS = sorted(name for name, each in EXPORTS.items() if not each.binary)
DOCS = ROOT / "docs" / "exports.md"
SAVE_CSV = ["--format", "csv", "--output"]


@pytest.mark.parametrize("name", TEXT_EXPORTS)
def test_text_exports_equal_their_golden_files(name: str, pytestconfig: pytest.Config) -> None:
    content = exported(varied(), name)
    golden = GOLDEN / f"export-{name}.txt"
    if pytestconfig.getoption("--update-golden"):
        golden.write_bytes(content)
    assert content == golden.read_bytes()


GATED = [("github", False), ("github-summary", False), ("junit", False), ("junit", True)]


@pytest.mark.parametrize(("name", "rows"), GATED)
def test_exports_of_a_run_with_gates_equal_their_golden_files(
    name: str, rows: bool, pytestconfig: pytest.Config
) -> None:
    content = exported(varied(), name, gates=every_outcome(), rows=rows)
    golden = GOLDEN / f"export-{name}-gates{'-rows' if rows else ''}.txt"
    if pytestconfig.getoption("--update-golden"):
        golden.write_bytes(content)
    assert content == golden.read_bytes()


@pytest.mark.parametrize("name", sorted({*EXPORTS} - {"junit"}))
def test_formats_without_rows_as_cases_refuse_the_option(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path / "run", varied())
    refused = export(folder, "--format", name, "--junit-rows", code=2)
    assert f"--junit-rows is for --format junit, and not for {name}" in refused.stderr
    assert refused.stdout == ""


def test_table_in_the_docs_equals_the_registry(pytestconfig: pytest.Config) -> None:
    quarantined = {True: "yes", False: "no"}
    rows = [
        f"| `{each.name}` | {each.help} | {quarantined[each.includes_quarantined]} |\n"
        for each in EXPORTS.values()
    ]
    page = DOCS.read_text(encoding="utf-8")
    before, header, rest = page.partition("| --- | --- | --- |\n")
    _table, blank, after = rest.partition("\n\n")
    expected = before + header + "".join(rows)[:-1] + blank + after
    if pytestconfig.getoption("--update-golden"):
        DOCS.write_text(expected, encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == expected


def test_every_file_that_declares_an_export_is_registered() -> None:
    folder = ROOT / "saliency_cli" / "exports"
    declaring = [path for path in folder.glob("*.py") if "\nEXPORT = " in path.read_text("utf-8")]
    assert len(declaring) == len(EXPORTS)


def test_help_of_export_imports_no_slow_library() -> None:
    slow = ("torch", "numpy", "pyarrow", "xml.sax.saxutils")
    program = (
        "import sys\nfrom saliency_cli.cli.app import app\n"
        "app(['export', '--help'], standalone_mode=False)\n"
        f"sys.exit(str([name for name in {slow} if name in sys.modules] or ''))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert result.stderr.strip() == ""
    for name in EXPORTS:
        assert f"{name}: " in " ".join(result.stdout.replace("│", " ").split())


@pytest.mark.parametrize("name", TEXT_EXPORTS)
def test_file_and_stdout_get_the_same_bytes(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path / "run", varied())
    printed = export(folder, "--format", name).stdout_bytes
    assert export(folder, "--format", name, "--output", tmp_path / "file").stdout == ""
    assert (tmp_path / "file").read_bytes() == printed == exported(varied(), name)


@pytest.mark.parametrize("name", TEXT_EXPORTS)
def test_number_of_omitted_rows_is_printed_as_a_warning(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path / "run", varied())
    warning = f"--format {name} leaves out quarantined rows: 1"
    printed = warning in export(folder, "--format", name).stderr
    assert printed == (name in {"eraser", "instances"})


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    assert "xlsx" in export(folder, "--format", "xlsx", code=2).stderr


def test_damaged_record_keeps_the_previous_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    part = folder / "records" / "part-00000.jsonl"
    part.write_bytes(part.read_bytes()[:-20])
    output = tmp_path / "table.csv"
    output.write_text("before")
    assert "part-00000" in export(folder, *SAVE_CSV, output, "--overwrite", code=2).stderr
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "table.csv"]


def test_reader_that_closes_the_pipe_early_causes_no_error_message(tmp_path: Path) -> None:
    records = [record(number, "free call now ") for number in range(2000)]
    folder = write_run(tmp_path / "run", records, html_rows=0)
    command = [sys.executable, "-m", "saliency_cli", "export", str(folder), "--format", "csv"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_full_disk_exits_with_74(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    command = [sys.executable, "-m", "saliency_cli", "export", str(folder), "--format", "csv"]
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            command, check=False, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert result.returncode == 74
    assert result.stderr == f"error: standard output cannot be written: {os.strerror(28)}\n"


def test_file_that_cannot_be_written_exits_with_74(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    result = export(folder, *SAVE_CSV, Path("/proc/self/none"), code=74)
    assert "none cannot be written" in result.stderr


def test_pipe_and_device_are_written_into_and_not_replaced(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:  # noqa: S607
        export(folder, *SAVE_CSV, pipe)
        assert reader.communicate()[0] == exported(varied(), "csv")
    assert pipe.is_fifo()
    export(folder, *SAVE_CSV, os.devnull)
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_memory_does_not_grow_with_the_number_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(parquet_table, "ROW_GROUP_LINES", 100)
    _warm_up, few = (peak_bytes(tmp_path / str(n), n, name) for n in (60, 100))
    # Other threads of the process may allocate, too: one of two measurements has to be small.
    most = 1.5 * few + 20_000
    assert any(peak_bytes(tmp_path / f"many-{n}", 1000, name) < most for n in range(2))


def peak_bytes(folder: Path, rows: int, name: str) -> int:
    """Return the largest memory, in bytes, that an export of so many rows allocates."""
    records = [wrong_record(number, number / 2**12) for number in range(rows)]
    run = open_run(write_run(folder, records, html_rows=0))
    tracemalloc.start()
    for _chunk in EXPORTS[name].encode(run):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
