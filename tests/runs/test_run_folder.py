"""The run folder: files are complete or absent, unknown files are kept, output is deterministic."""

import errno
import hashlib
import io
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.atomic_files import open_atomic
from saliency_cli.errors import Interrupted, OutputError, UsageError
from saliency_cli.records import Record
from saliency_cli.runs.record_lines import RecordWriter
from saliency_cli.runs.run_folder import RunFolder
from tests.support.models import TEXTS
from tests.support.runs import read_records, record, write_run
from tests.support.shell import Shell

OK_FIELDS = {
    *("schema", "status", "ordinal", "id", "text", "pair", "predicted", "probability"),
    *("probabilities", "target", "gold", "tokens", "offsets", "special", "scores", "errors"),
    *("special_share", "samples", "flip_rate", "evaluations", "truncated", "windows", "checks"),
}
QUARANTINED_FIELDS = {"schema", "status", "ordinal", "id", "line", "reason", "excerpt"}

strings = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings
)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(strings, scalars, max_size=3)
records = st.lists(st.dictionaries(strings, values, max_size=4), max_size=3)


def listing(folder: Path) -> dict[str, bytes | None]:
    """Return the content of each file in a folder by its path; None for folders and links."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def sorted_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, after asserting that its keys are sorted and unique."""
    keys = [key for key, _ in pairs]
    assert keys == sorted(set(keys))
    return dict(pairs)


def reject_constant(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not a JSON number")


def parse_strict(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON, after asserting that its keys are sorted and its numbers finite."""
    return json.loads(text, object_pairs_hook=sorted_object, parse_constant=reject_constant)


class FullDisk(io.BytesIO):
    """A file on a disk that is full."""

    def write(self, _content: object) -> int:
        """Raise the error that the system raises."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@given(parts=st.lists(strings))
def test_an_atomic_file_holds_exactly_what_was_written(scratch: Path, parts: list[str]) -> None:
    path = scratch / "below" / "file"
    with open_atomic(path) as stream:
        stream.writelines(parts)
    assert listing(scratch) == {"below": None, "below/file": "".join(parts).encode()}


@pytest.mark.parametrize(
    "failure", [ValueError("no"), KeyboardInterrupt(), Interrupted(signal.SIGTERM)]
)
@pytest.mark.parametrize("before", [None, "old"])
def test_a_file_that_was_not_written_completely_changes_nothing(
    tmp_path: Path, failure: BaseException, before: str | None
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_text(before)
    untouched = listing(tmp_path)
    with pytest.raises(type(failure)):
        write_half(path, failure)
    assert listing(tmp_path) == untouched


def write_half(path: Path, failure: BaseException) -> None:
    """Write to a file, assert that its name still holds the old content, and raise `failure`."""
    before = path.read_bytes() if path.exists() else None
    with open_atomic(path) as stream:
        stream.write("new " * 10_000)
        stream.flush()
        assert (path.read_bytes() if path.exists() else None) == before
        raise failure


def test_an_interrupt_while_the_file_is_opened_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.open

    def interrupted(path: Path, mode: str) -> NoReturn:
        original(path, mode).close()
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(Path, "open", lambda path, mode, **_kwargs: interrupted(path, mode))
    with pytest.raises(Interrupted), open_atomic(tmp_path / "file"):
        pass
    assert listing(tmp_path) == {}


def test_a_file_that_cannot_be_renamed_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(OutputError), open_atomic(path) as stream:
        stream.write("new")
    assert listing(tmp_path) == {"file": None}


def test_a_path_below_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with (
        pytest.raises(OutputError, match="cannot be written"),
        open_atomic(tmp_path / "file" / "x"),
    ):
        pass
    assert listing(tmp_path) == {"file": b"old"}


def test_a_full_disk_while_records_are_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left on device") as caught:
        RecordWriter(FullDisk(), tmp_path / "part").write({"schema": 1})
    assert caught.value.exit_code == 74
    assert str(tmp_path / "part") in caught.value.message


def test_a_full_disk_while_the_manifest_is_written_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "open", lambda *_args, **_kwargs: FullDisk())
    with pytest.raises(OutputError, match=r"manifest\.json cannot be written: No space left"):
        RunFolder(tmp_path).write_manifest({"schema": 1})


@given(rows=records)
def test_a_record_is_one_line_that_parses_to_the_same_record(rows: list[Record]) -> None:
    stream = io.BytesIO()
    writer = RecordWriter(stream, Path("part"))
    for each in rows:
        writer.write(each)
    *lines, rest = stream.getvalue().decode().split("\n")
    assert rest == ""
    assert [parse_strict(line) for line in lines] == rows


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_never_written(number: float) -> None:
    stream = io.BytesIO()
    with pytest.raises(ValueError, match="JSON"):
        RecordWriter(stream, Path("part")).write({"scores": [number]})
    assert stream.getvalue() == b""


def nothing(_out: Path) -> None:
    """Write nothing."""


def empty_folder(out: Path) -> None:
    out.mkdir()


def report(out: Path) -> None:
    write_run(out, [record(0, "free call now")])


def killed_run(out: Path) -> None:
    """Write the files of a run that was killed."""
    (out / "records").mkdir(parents=True)
    (out / "records" / "part-00000.jsonl.tmp").write_text("{")


def interrupted_pages(out: Path) -> None:
    report(out)
    (out / "index.html").rename(out / "index.html.tmp")


def file(out: Path) -> None:
    out.write_text("mine")


def link(out: Path) -> None:
    report(out.with_name("target"))
    out.symlink_to("target")


def dangling_link(out: Path) -> None:
    out.symlink_to("nowhere")


def unknown_file(out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("mine")


def unknown_file_beside_a_report(out: Path) -> None:
    report(out)
    (out / ".thesis.tmp").write_text("mine")


def unknown_file_among_the_records(out: Path) -> None:
    report(out)
    (out / "records" / "thesis.jsonl").write_text("mine")


def unknown_file_among_the_pages(out: Path) -> None:
    report(out)
    (out / "pages" / "figures").mkdir(parents=True)
    (out / "pages" / "figures" / "thesis.html").write_text("mine")


def linked_records(out: Path) -> None:
    """Link `records` to those of another report, which must not be replaced."""
    report(out.with_name("target"))
    out.mkdir()
    (out / "records").symlink_to("../target/records")


@pytest.mark.parametrize(
    ("write", "allowed", "replaceable"),
    [
        (nothing, True, True),
        (empty_folder, True, True),
        (report, False, True),
        (killed_run, False, True),
        (interrupted_pages, False, True),
        (file, False, False),
        (link, False, False),
        (dangling_link, False, False),
        (unknown_file, False, False),
        (unknown_file_beside_a_report, False, False),
        (unknown_file_among_the_records, False, False),
        (unknown_file_among_the_pages, False, False),
        (linked_records, False, False),
    ],
)
def test_a_run_may_replace_only_files_that_a_run_wrote(
    tmp_path: Path, write: Callable[[Path], None], *, allowed: bool, replaceable: bool
) -> None:
    out = tmp_path / "out"
    write(out)
    before = listing(tmp_path)
    for overwrite, accepted in ((False, allowed), (True, replaceable)):
        refusal = pytest.raises(UsageError, match=re.escape(str(out)))
        with nullcontext() if accepted else refusal:
            RunFolder(out).check(overwrite=overwrite)
        assert listing(tmp_path) == before


def test_a_replaced_report_leaves_no_file(tmp_path: Path) -> None:
    out = write_run(tmp_path / "out", [record(n, "free call now") for n in range(501)])
    assert (out / "pages" / "page-0002.html").exists()
    write_run(out, [record(0, "ok")])
    fresh = write_run(tmp_path / "fresh", [record(0, "ok")])
    assert listing(out) == listing(fresh)


@pytest.fixture(scope="module")
def runs(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, Shell]:
    """Run the same command in two folders, each over an earlier report."""
    rows: list[object] = [
        {"text": text, "id": number, "label": label}
        for number, (text, label) in enumerate(
            zip(TEXTS, ["spam", "1", "ham", "x", None], strict=True)
        )
    ]
    rows[2:2] = [{"txt": "free"}, "no object", {"text": "won\u2028a prize\n", "id": "ü"}]
    shells = tuple(Shell(tmp_path_factory.mktemp(name)) for name in ("first", "second"))
    for shell in shells:
        shutil.copytree(bert_folder, shell.model)
        shell.write("texts.jsonl", "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
        report(shell.out)
        assert shell.explain("--overwrite").exit_code == 4
    first, second = shells
    return first, second


def test_the_same_command_twice_gives_the_same_bytes(runs: tuple[Shell, Shell]) -> None:
    first, second = (listing(shell.out) for shell in runs)
    assert {"index.html", "manifest.json", "records/part-00000.jsonl"} <= set(first)
    assert first == second


def test_no_file_of_a_run_contains_the_path_it_was_written_to(runs: tuple[Shell, Shell]) -> None:
    for content in listing(runs[0].out).values():
        assert content is None or str(runs[0].home.parent).encode() not in content


def test_the_manifest_names_options_counts_and_hashes(runs: tuple[Shell, Shell]) -> None:
    shell = runs[0]
    manifest = parse_strict((shell.out / "manifest.json").read_text(encoding="utf-8"))
    assert {"versions", "seed", "options", "device", "dtype", "hashes", "counts"} <= set(manifest)
    assert (manifest["seed"], manifest["device"], manifest["dtype"]) == (0, "cpu", "float32")
    assert (manifest["counts"]["ok"], manifest["counts"]["quarantined"]) == (6, 2)
    assert manifest["counts"]["rows"] == 8
    assert manifest["hashes"]["input"] == digest(shell.texts)
    for name in ("config.json", "model.safetensors"):
        assert manifest["hashes"]["model"][name] == digest(shell.model / name)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert manifest["hashes"]["tokenizer"][name] == digest(shell.model / name)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_manifest_holds_no_absolute_path(runs: tuple[Shell, Shell]) -> None:
    text = (runs[0].out / "manifest.json").read_text(encoding="utf-8")
    assert '"/' not in text
    assert "\\" not in text
    assert text.endswith("}\n")


def test_there_is_one_record_per_row_in_input_order(runs: tuple[Shell, Shell]) -> None:
    path = runs[0].out / "records" / "part-00000.jsonl"
    lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    records = [parse_strict(line) for line in lines]
    assert records == read_records(runs[0].out)
    assert [each["ordinal"] for each in records] == list(range(8))
    assert [each["id"] for each in records] == ["0", "1", None, None, "ü", "2", "3", "4"]
    texts = [each.get("text") for each in records]
    assert texts == [*TEXTS[:2], None, None, "won\u2028a prize\n", *TEXTS[2:]]


def test_records_have_exactly_the_documented_fields(runs: tuple[Shell, Shell]) -> None:
    for each in read_records(runs[0].out):
        fields = OK_FIELDS if each["status"] == "ok" else QUARANTINED_FIELDS
        assert set(each) == fields
        assert each["schema"] == 2


def test_the_fields_of_an_explained_record_are_consistent(runs: tuple[Shell, Shell]) -> None:
    explained = [each for each in read_records(runs[0].out) if each["status"] == "ok"]
    assert [each["gold"] for each in explained] == ["spam", "spam", None, "ham", "x", None]
    for each in explained:
        tokens = len(each["tokens"])
        for name in ("offsets", "special", "scores", "errors"):
            assert len(each[name]) == tokens
        assert each["pair"] is None
        assert each["predicted"] == each["target"]
        assert each["probability"] == max(each["probabilities"].values())
        assert sum(each["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert sum(map(abs, each["scores"])) == pytest.approx(1, abs=1e-5)
        specials = zip(each["special"], each["scores"], each["offsets"], strict=True)
        shares = [abs(score) for special, score, _ in specials if special]
        assert each["special_share"] == pytest.approx(sum(shares), abs=1e-6)
        for special, (start, end) in zip(each["special"], each["offsets"], strict=True):
            assert ((start, end) == (0, 0)) if special else (0 <= start < end <= len(each["text"]))


def test_a_quarantined_record_holds_line_reason_and_excerpt(runs: tuple[Shell, Shell]) -> None:
    bad = [each for each in read_records(runs[0].out) if each["status"] == "quarantined"]
    assert [(each["line"], each["reason"], each["excerpt"]) for each in bad] == [
        (5, "text is missing", '{"txt": "free"}'),
        (7, "not a JSON object", '"no object"'),
    ]
