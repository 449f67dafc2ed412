"""An input that is written while it is open is found out, by the file's state or by its bytes."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from saliency_cli.errors import UsageError
from saliency_cli.inputs.file_identity import names_descriptor
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import Source, open_texts
from tests.inputs.test_text_source import Endless, stdin

LINE, OTHER_LINE = b'{"text": "a"}\n', b'{"text": "b"}\n'


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(LINE * 3)
    os.utime(path, ns=(1, 1))  # so that every write changes the time
    return path


@pytest.fixture
def source(texts: Path) -> Iterator[Source]:
    with open_texts(TextsChoice(str(texts))) as source:
        assert [*source.positions(2)]
        yield source


def test_a_file_written_in_place_has_changed(source: Source, texts: Path) -> None:
    source.check_unchanged()
    texts.write_bytes(OTHER_LINE * 3)
    with pytest.raises(UsageError, match=r"^texts\.jsonl has changed since its rows were counted"):
        source.check_unchanged()


def test_a_file_written_while_its_rows_are_counted_has_changed(texts: Path) -> None:
    with open_texts(TextsChoice(str(texts))) as source:
        positions = source.positions(1)
        next(positions)
        texts.write_bytes(OTHER_LINE * 3)
        with pytest.raises(UsageError, match="has changed"):
            list(positions)


def test_a_file_that_another_one_replaces_is_read_to_its_end(source: Source, texts: Path) -> None:
    other = texts.with_name("other")
    other.write_bytes(OTHER_LINE * 3)
    other.replace(texts)
    source.check_content(source.sha256())


def test_a_change_that_size_and_time_do_not_show_is_found_by_the_hash(
    source: Source, texts: Path
) -> None:
    sha256 = source.sha256()
    texts.write_bytes(OTHER_LINE * 3)
    os.utime(texts, ns=(1, 1))
    source.check_unchanged()
    with pytest.raises(UsageError, match="has changed"):
        source.check_content(sha256)


def test_the_copy_of_a_stream_must_not_change_either(texts: Path, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with texts.open("rb") as stream:
        choice = TextsChoice(f"/dev/fd/{stream.fileno()}", format="jsonl")
        with open_texts(choice) as source:
            assert not source.seekable
            assert [*source.positions(2, spool=spool)]
            source.check_content(source.sha256())
            with spool.open("ab") as copy:
                copy.write(LINE)
            with pytest.raises(UsageError, match="has changed"):
                source.check_unchanged()


def test_paths_of_descriptors_are_told_from_files(tmp_path: Path) -> None:
    link, folder = tmp_path / "link", tmp_path / "fd"
    folder.mkdir()
    (folder / "3").write_bytes(LINE)
    link.symlink_to("/dev/fd/0")
    for path in ("/dev/fd/0", "/dev/stdin", "/proc/self/fd/0", "/proc/thread-self/fd/0", str(link)):
        assert names_descriptor(Path(path)), path
    assert not names_descriptor(folder / "3")
    assert not names_descriptor(Path("3"))


def test_a_file_of_holes_is_read_as_a_stream_only(texts: Path) -> None:
    os.truncate(texts, 1 << 40)
    whole = TextsChoice(str(texts))
    with pytest.raises(UsageError, match="almost none on the disk"), open_texts(whole):
        pass
    with texts.open("rb") as stream:
        choice = TextsChoice(f"/dev/fd/{stream.fileno()}", format="jsonl", limit=3)
        with open_texts(choice) as source:
            assert len([*source.all_rows()]) == 3


@pytest.mark.parametrize(
    ("arriving", "limit", "same"),
    [
        (LINE * 3, None, True),
        (b"", None, True),
        (LINE * 2, None, False),
        (LINE * 4, None, False),
        (LINE * 2 + OTHER_LINE, None, False),
        (LINE * 4, 2, True),
        (OTHER_LINE * 4, 2, False),
    ],
)
def test_what_arrives_again_is_compared_with_the_copy(
    texts: Path, arriving: bytes, limit: int | None, same: bool
) -> None:
    choice = TextsChoice("-", format="jsonl", limit=limit)
    with stdin(io.BytesIO(arriving)), open_texts(choice, spooled=texts) as source:
        assert source.matches_arriving() == same


def test_an_endless_stream_is_compared_as_far_as_its_copy_reaches(texts: Path) -> None:
    choice = TextsChoice("-", format="jsonl", limit=2)
    stream = io.BufferedReader(Endless(LINE))
    with stdin(stream), open_texts(choice, spooled=texts) as source:
        assert source.matches_arriving()
