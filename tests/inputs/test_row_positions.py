"""Reading from each position that planning finds gives the same rows as reading through."""

import gzip
import hashlib
import io
import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from saliency_cli.errors import OutputError, UsageError
from saliency_cli.inputs import byte_source
from saliency_cli.inputs.byte_source import Input
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import Source, open_texts
from saliency_cli.records import BadRow, Row, RowPosition
from tests.inputs.test_text_source import FORMATS, Endless, hostile, stdin

HEADS: dict[str, bytes] = {"csv": b"text\n", "tsv": b"text\n", "jsonl": b'{"text": "a"}\n'}
forms = st.sampled_from(FORMATS)


@contextmanager
def opened_file(data: bytes, form: str, limit: int | None = None) -> Iterator[Source]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "texts"
        path.write_bytes(data)
        with open_texts(TextsChoice(str(path), form, limit=limit)) as source:
            yield source


def read_shards(source: Source, every: int, spool: Path | None = None) -> list[Row | BadRow]:
    positions = list(source.positions(every, spool=spool))
    assert [position.ordinal for position in positions] == list(range(0, source.count or 0, every))
    return [row for position in positions for row in source.rows(position, every)][: source.count]


@given(hostile, forms, st.integers(1, 3), st.booleans())
@example(data=b'a","\n' * 9, form="csv", every=2, gzipped=True)
@example(data=b'"a\r\n"\rb\n\r\n"open\n', form="csv", every=1, gzipped=False)
def test_rows_from_every_position_equal_reading_through(
    data: bytes, form: str, every: int, gzipped: bool
) -> None:
    data = HEADS[form] + data + b"\nlast\n"
    with opened_file(gzip.compress(data) if gzipped else data, form) as source:
        whole = list(source.all_rows())
        assert read_shards(source, every) == whole
        assert source.count == len(whole)
        positions = list(source.positions(1))
        backwards = [next(source.rows(position, 1)) for position in reversed(positions)]
        assert backwards[::-1] == whole


@given(hostile, forms, st.booleans(), st.none() | st.integers(1, 4))
def test_a_spooled_stream_is_read_like_a_file(
    data: bytes, form: str, gzipped: bool, limit: int | None
) -> None:
    data = HEADS[form] + data + b"\nlast\n"
    data = gzip.compress(data) if gzipped else data
    choice = TextsChoice("-", form, limit=limit)
    with opened_file(data, form, limit) as source, TemporaryDirectory() as folder:
        whole = list(source.all_rows())
        spool = Path(folder) / "input"
        with stdin(io.BytesIO(data)), open_texts(choice) as stream:
            assert (stream.seekable, stream.size) == (False, None)
            assert read_shards(stream, 2, spool) == whole
            assert stream.sha256() == (None if limit else hashlib.sha256(data).hexdigest())
            hashed = stream.sha256()
        assert limit or spool.read_bytes() == data
        with open_texts(choice, spooled=spool) as again:
            assert (again.name, again.seekable) == ("-", True)
            assert again.sha256() == hashed
            assert (
                list(again.rows(RowPosition(0, *_first_row(whole, form, data)), len(whole)))
                == whole
            )


@settings(max_examples=5)
@given(forms, st.floats(0.01, 0.99), st.integers(1, 255))
def test_a_damaged_gzip_file_has_the_same_rows_from_every_position(
    form: str, where: float, flipped: int
) -> None:
    texts = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(10_000)]
    lines = [f'{{"text": "{text}"}}' for text in texts] if form == "jsonl" else texts
    gzipped = bytearray(gzip.compress(HEADS[form] + "\n".join(lines).encode()))
    gzipped[int(where * len(gzipped))] ^= flipped
    with opened_file(bytes(gzipped), form) as source:
        whole = list(source.all_rows())
        assert read_shards(source, 700) == whole
        for position in list(source.positions(3000))[::-1]:
            assert list(source.rows(position, 2)) == whole[position.ordinal :][:2]


@pytest.mark.parametrize("form", FORMATS)
def test_planning_stops_at_the_limit_and_spools_the_bytes_read(form: str, tmp_path: Path) -> None:
    line = b'{"text": "text"}\n' if form == "jsonl" else b"text\n"
    stream = Endless(line)
    choice = TextsChoice("-", form, limit=1000)
    with stdin(io.BufferedReader(stream)), open_texts(choice) as source:
        positions = list(source.positions(300, spool=tmp_path / "input"))
        assert [position.ordinal for position in positions] == [0, 300, 600, 900]
        assert source.count == 1000
        assert source.sha256() is None
        rows = list(source.rows(positions[3], 100))
        assert [row.ordinal for row in rows] == list(range(900, 1000))
    spooled = (tmp_path / "input").read_bytes()
    assert len(spooled) == stream.served
    assert spooled.startswith(line * 1000)


def test_a_fifo_is_spooled_like_standard_input(tmp_path: Path) -> None:
    fifo = tmp_path / "texts.jsonl"
    os.mkfifo(fifo)
    data = b'{"text": "a"}\n' * 5
    writer = threading.Thread(target=fifo.write_bytes, args=[data])
    writer.start()
    with open_texts(TextsChoice(str(fifo))) as source:
        assert (source.name, source.size, source.seekable) == ("texts.jsonl", None, False)
        rows = read_shards(source, 2, tmp_path / "input")
    writer.join()
    assert len(rows) == 5
    assert (tmp_path / "input").read_bytes() == data


class Terminal(io.BytesIO):
    """A terminal: reading it again after its end would wait for a second Ctrl-D."""

    ended = False

    def read1(self, size: int | None = -1) -> bytes:
        data = super().read1(size)
        assert data or not self.ended
        self.ended = not data
        return data


def test_a_terminal_is_not_read_again_after_its_end(tmp_path: Path) -> None:
    with stdin(Terminal(b'{"text": "a"}\n')), open_texts(TextsChoice("-")) as source:
        assert len(read_shards(source, 2, tmp_path / "input")) == 1
        assert source.sha256()


def test_a_spool_follows_no_link_and_overwrites_no_file(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("there", "link"):
        with (
            stdin(io.BytesIO(b'{"text": "a"}\n')),
            open_texts(TextsChoice("-")) as source,
            pytest.raises(OutputError, match=name),
        ):
            list(source.positions(1, spool=tmp_path / name))
    assert (tmp_path / "there").read_bytes() == b"theirs"
    assert not (tmp_path / "elsewhere").exists()


def test_a_spool_that_cannot_grow_is_an_output_error(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with stdin(io.BytesIO(b'{"text": "a"}\n' * 9)), open_texts(TextsChoice("-")) as source:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
        try:
            with pytest.raises(OutputError, match="too large"):
                list(source.positions(1, spool=tmp_path / "input"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_shards_in_ascending_order_decompress_a_gzip_file_once() -> None:
    data = gzip.compress(b"".join(b'{"text": "%d"}\n' % n for n in range(1000)))
    with opened_file(data, "jsonl") as source:
        positions = list(source.positions(10))
        with patch.object(Input, "read_from", autospec=True, side_effect=Input.read_from) as opened:
            rows = [row for position in positions[::3] for row in source.rows(position, 10)]
            assert opened.call_count == 1
            assert [row.ordinal for row in source.rows(positions[1], 10)] == list(range(10, 20))
            assert opened.call_count == 2
    assert [row.ordinal for row in rows] == [n for n in range(1000) if n // 10 % 3 == 0]


def test_an_input_that_was_truncated_gives_fewer_rows(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b'{"text": "a"}\n' * 4)
    with open_texts(TextsChoice(str(path))) as source:
        positions = list(source.positions(2))
        path.write_bytes(b'{"text": "a"}\n' * 3)
        assert [len(list(source.rows(position, 2))) for position in positions] == [2, 1]


def test_planning_refuses_an_input_of_only_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b"\n" * 100)
    with (
        patch.object(byte_source, "HEAD_BYTES", 10),
        open_texts(TextsChoice(str(path))) as source,
        pytest.raises(UsageError, match="holds no row"),
    ):
        list(source.positions(1))


def test_a_bounded_part_of_a_stream_is_kept_at_opening(tmp_path: Path) -> None:
    data = b'{"text": "%s"}\n' % (b"a" * 9000)
    with patch.object(byte_source, "HEAD_BYTES", 10_000):
        stream = Endless(data)
        choice = TextsChoice("-", limit=3)
        with stdin(io.BufferedReader(stream)), open_texts(choice) as source:
            assert stream.served < 40_000
            assert len(read_shards(source, 2, tmp_path / "input")) == 3


def _first_row(rows: list[Row | BadRow], form: str, data: bytes) -> tuple[int, int]:
    """Return the offset and the line of the first row."""
    with opened_file(data, form, len(rows)) as source:
        position = next(source.positions(1))
    return position.offset, position.line


@pytest.mark.parametrize("form", FORMATS)
def test_a_hundred_thousand_rows_are_planned_in_a_second(form: str) -> None:
    line = b'{"text": "free call now"}\n' if form == "jsonl" else b'"free ""call"" now"\n'
    with opened_file(HEADS[form] + line * 100_000, form) as source:
        start = time.process_time()
        assert len(list(source.positions(2000))) in {50, 51}
        assert time.process_time() - start < 1
