"""Any bytes are split into lines and rows without loss, in bounded memory and linear time."""

import csv
import io
import json
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice, pairwise
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from saliency_cli.inputs import line_splitter
from saliency_cli.inputs.byte_source import Chunks
from saliency_cli.inputs.formats import delimited
from saliency_cli.inputs.formats.delimited import group_rows
from saliency_cli.inputs.formats.json_lines import drop_blank_lines
from saliency_cli.inputs.line_splitter import BYTE_ORDER_MARK, LineGroup, split_lines
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.records import BadRow, Row
from tests.inputs.test_text_source import LINE_END, hostile, read, stdin

MIB = 1 << 20
QUOTES = 'a","\n'


class SlowReader(io.RawIOBase):
    """Returns at most `step` bytes of each part at a time, or all that fit if `step` is 0."""

    def __init__(self, parts: Iterator[bytes], *, step: int = 0) -> None:
        self._parts = parts
        self._step = step
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, as io has it
        self._rest = self._rest or next(self._parts, b"")
        data = self._rest[: min(len(buffer), self._step or len(buffer))]
        self._rest = self._rest[len(data) :]
        buffer[: len(data)] = data
        return len(data)


def chunks(*parts: bytes, step: int = 0, gzipped: bool = False) -> Chunks:
    return Chunks(SlowReader(iter(parts), step=step), gzipped=gzipped)


def lines_of(data: bytes, *, step: int = 0) -> list[LineGroup]:
    return list(split_lines(chunks(data, step=step), offset=0, line=1))


@contextmanager
def small_limits() -> Iterator[None]:
    with (
        patch.multiple(line_splitter, LINE_LIMIT=24, KEPT_BYTES=4),
        patch.multiple(delimited, LINE_LIMIT=24, ROW_LINES=4),
    ):
        yield


@given(hostile, st.integers(0, 3))
@example(b"a\r\nb\r\r\n\n\rc", 1)
@example(BYTE_ORDER_MARK + b"a\n", 1)
def test_lines_end_in_a_line_feed_or_a_carriage_return(data: bytes, step: int) -> None:
    found = lines_of(data, step=step)
    ends = [match.end() for match in LINE_END.finditer(data)]
    starts = [0, *ends]
    expected = [data[a:b] for a, b in pairwise([*starts, len(data)]) if a < b]
    if expected:
        expected[0] = expected[0].removeprefix(BYTE_ORDER_MARK)
    assert [line.data for line in found] == expected
    assert [line.line for line in found] == list(range(1, len(expected) + 1))
    assert [line.offset for line in found] == starts[: len(expected)]


@pytest.mark.parametrize("delimiter", [None, ",", "\t"])
@given(data=hostile, step=st.integers(0, 3))
@example(data=b'"a\nb\nc\nd\ne"\nf\n', step=0)
@example(data=b'a","\na","\n"' + b"x" * 30 + b'"\n', step=0)
def test_every_byte_belongs_to_one_row_or_to_a_blank_line(
    delimiter: str | None, data: bytes, step: int
) -> None:
    with small_limits():
        split = split_lines(chunks(data, step=step), offset=0, line=1)
        found = list(
            drop_blank_lines(split) if delimiter is None else group_rows(split, delimiter=delimiter)
        )
    reached, line = 0, 1
    for row in found:
        assert_blank(data, reached, row.offset)
        assert row.line == line + len(LINE_END.findall(data[reached : row.offset]))
        assert row.problem is not None or (row.fields is None) == (delimiter is None)
        line = row.line + len(LINE_END.findall(data[row.offset : row.offset + row.size]))
        reached = row.offset + row.size
    assert_blank(data, reached, len(data))


def assert_blank(data: bytes, start: int, end: int) -> None:
    between = data[start:end]
    assert (between if start else between.removeprefix(BYTE_ORDER_MARK)).strip(b" \t\r\n") == b""


@pytest.mark.parametrize("delimiter", [",", "\t"])
@given(data=hostile)
@example(data=b'a","\n' * 9)
@example(data=b'"a\nb\nc\nd\ne"\nf\n')
@example(data=b'"a\nb\nc"d\n"e\n')
def test_rows_do_not_depend_on_where_reading_starts(delimiter: str, data: bytes) -> None:
    with small_limits():
        found = list(group_rows(iter(lines_of(data)), delimiter=delimiter))
        for index, row in enumerate(found):
            remainder = split_lines(chunks(data[row.offset :]), offset=row.offset, line=row.line)
            again = list(group_rows(remainder, delimiter=delimiter))
            assert again == found[index:]


def accepted(data: bytes) -> Iterator[list[str]]:
    """Yield the records that the csv module reads, or none if it rejects the file."""
    with suppress(UnicodeDecodeError, csv.Error):
        text = io.StringIO(data.decode(), newline="")
        yield from [record for record in csv.reader(text, strict=True) if record]


@given(hostile)
def test_rows_equal_those_of_the_csv_module(data: bytes) -> None:
    fields = list(accepted(data))
    assume(fields)
    rows = read(b"text\n" + data, "csv")
    for row, record in zip(rows, fields, strict=True):
        if record != [record[0]] or not record[0]:
            assert isinstance(row, BadRow)
        else:
            assert isinstance(row, Row)
            assert row.text == record[0]


values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.sampled_from(["text", "id", "x"]), values), min_size=1))
def test_rows_equal_those_of_the_json_module(objects: list[dict[str, Any]]) -> None:
    assume(any("text" in each for each in objects))
    rows = read("\n".join(map(json.dumps, objects)).encode())
    for row, value in zip(rows, objects, strict=True):
        text = value.get("text")
        assert isinstance(row, Row) == (isinstance(text, str) and text != "" and encodable(value))
        assert not isinstance(row, Row) or row.text == text


def encodable(value: dict[str, Any]) -> bool:
    parts = (part for part in (value.get("text"), value.get("id")) if isinstance(part, str))
    return not any("\ud800" <= character <= "\udfff" for part in parts for character in part)


def peak(work: Any) -> int:  # noqa: ANN401
    """Return the largest number of bytes that Python had allocated while `work` ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_line_of_a_gigabyte_takes_bounded_memory() -> None:
    kilobytes = iter([b'{"text": "', *[b"a" * MIB] * 1024, b'"}\n{"text": "b"}\n'])
    found: list[LineGroup] = []
    used = peak(
        lambda: found.extend(
            split_lines(Chunks(SlowReader(kilobytes), gzipped=False), offset=0, line=1)
        )
    )
    assert used < 24 * MIB
    long, after = found
    assert long.problem == "the line is longer than 8 MiB"
    assert long.data == b'{"text": "' + b"a" * (line_splitter.KEPT_BYTES - 10)
    assert long.size == 1024 * MIB + 13
    assert (after.offset, after.line, after.problem) == (long.size, 2, None)


@pytest.mark.parametrize("line", [b"a" * MIB, b'{"text": "a"}\n' * 70_000])
def test_a_gzip_bomb_takes_bounded_memory(line: bytes) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(line) for _ in range(256)), packer.flush()])
    assert len(bomb) < 8 * MIB
    with stdin(io.BytesIO(bomb)), open_texts(TextsChoice("-", limit=30_000)) as source:
        used = peak(lambda: sum(1 for _ in source.all_rows()))
    assert used < 24 * MIB


def test_a_file_of_open_quotes_is_read_in_linear_time() -> None:
    start = time.process_time()
    source = chunks(QUOTES.encode() * 200_000)
    found = sum(1 for _ in group_rows(split_lines(source, offset=0, line=1), delimiter=","))
    assert found == 200_000
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("line\n" * 9_999, None),
        ("line\n" * 10_000, "a quote is not closed within 10,000 lines"),
        (("a" * 1023 + "\n") * 8191, None),
        (("a" * 1023 + "\n") * 8192, "a quote is not closed within 8 MiB"),
    ],
)
def test_a_quoted_field_is_limited_in_lines_and_bytes(field: str, reason: str | None) -> None:
    data = f'text\n"{field}"\n"after"\n'.encode()
    first, *others = islice(read(data, "csv"), 3)
    if reason is None:
        assert isinstance(first, Row)
        assert first.text == field
        assert [row.text for row in others if isinstance(row, Row)] == ["after"]
    else:
        assert isinstance(first, BadRow)
        assert first.reason == f"malformed: {reason}"
        assert first.line == 2
        assert others[0].line == 3


def test_a_line_at_the_limit_is_read_and_a_longer_one_is_not() -> None:
    longest = line_splitter.LINE_LIMIT - len(b'{"text": ""}\n')
    data = b"".join(b'{"text": "%s"}\n' % (b"a" * size) for size in (longest, longest + 1))
    fits, long = read(data)
    assert isinstance(fits, Row)
    assert isinstance(long, BadRow)
    assert long.excerpt.startswith('{"text": "aaa')
