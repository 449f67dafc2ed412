"""Every row of an input is read once and in order, whatever its bytes are."""

import csv
import gzip
import hashlib
import io
import itertools
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias
from unittest.mock import patch

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from saliency_cli.errors import UsageError
from saliency_cli.inputs.formats.line_reader import SAMPLE_ROWS
from saliency_cli.inputs.options import Columns, TextsChoice
from saliency_cli.inputs.text_source import Source, open_texts
from saliency_cli.records import BadRow, Row

Pack: TypeAlias = Callable[[bytes], bytes]
DELIMITERS: dict[str, str] = {"csv": ",", "tsv": "\t"}
FORMATS: tuple[str, ...] = ("csv", "tsv", "jsonl")
LINE_END = re.compile(rb"\r\n|\r|\n")

strings = st.text(st.characters(exclude_categories=["Cs"]))
texts = strings.filter(bool)
objects = st.lists(
    st.fixed_dictionaries({"text": texts}, optional={"id": strings, "label": strings}), min_size=1
)
hostile = st.lists(
    st.sampled_from(
        [
            *(b"\n", b"\r", b"\r\n", b" ", b"\t", b",", b'"', b'""', b"\x00", b"\\", b"{", b"}"),
            *(b'{"text": "b"}', b'{"text": "\\ud800"}', b"[", b"NaN", b"1", b"text", b"\x1c"),
            *(b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xa9", b"\xe2\x80\xa8", b"\xed\xa0\x80"),
        ]
    )
    | st.binary(max_size=4)
).map(b"".join)


class Endless(io.RawIOBase):
    """Standard input that never ends; reading more than 16 MiB of it fails the test."""

    def __init__(self, line: bytes, *, first: bytes = b"") -> None:
        self._line = line
        self._pending = first
        self.served = 0

    def readable(self) -> bool:
        """Return True, which `io.BufferedReader` requires."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, as io has it
        """Read at most one line into `buffer`."""
        data = (self._pending or self._line)[: len(buffer)]
        self._pending = (self._pending or self._line)[len(data) :]
        buffer[: len(data)] = data
        self.served += len(data)
        assert self.served < 1 << 24, "an endless stream is read to its end"
        return len(data)


@contextmanager
def stdin(stream: io.IOBase) -> Iterator[None]:
    """Replace standard input by `stream`."""
    with patch.object(sys, "stdin", SimpleNamespace(buffer=stream)):
        yield


@contextmanager
def opened(data: bytes, form: str, **choice: Any) -> Iterator[Source]:  # noqa: ANN401
    with (
        stdin(io.BytesIO(data)),
        open_texts(TextsChoice("-", form, **choice)) as source,
    ):
        yield source


def read(data: bytes, form: str = "jsonl", **choice: Any) -> list[Row | BadRow]:  # noqa: ANN401
    """Return all rows of `data`, after checking what is true of every input."""
    with opened(data, form, **choice) as source:
        rows = list(source.all_rows())
    assert [row.ordinal for row in rows] == list(range(len(rows)))
    lines = [row.line for row in rows]
    assert lines == sorted(set(lines))
    assert min(row.size for row in rows) >= 0
    if not data.startswith(b"\x1f\x8b"):
        assert sum(row.size for row in rows) <= len(data)
    for row in rows:
        written = row.text if isinstance(row, Row) else json.dumps(row.record(), ensure_ascii=False)
        written.encode("utf-8")
    return rows


def unsized(rows: list[Row | BadRow]) -> list[Row | BadRow]:
    """Return the rows without their sizes."""
    return [replace(row, size=0) for row in rows]


def only(rows: list[Row | BadRow]) -> Row | BadRow:
    (row,) = rows
    return row


def bad(data: bytes, form: str = "jsonl", **choice: Any) -> BadRow:  # noqa: ANN401
    """Return the only row of `data`, which must be a bad one."""
    row = only(read(data, form, **choice))
    assert isinstance(row, BadRow)
    return row


def good(data: bytes, form: str = "jsonl", **choice: Any) -> Row:  # noqa: ANN401
    row = only(read(data, form, **choice))
    assert isinstance(row, Row)
    return row


def refusal(data: bytes, form: str = "jsonl", **choice: Any) -> UsageError:  # noqa: ANN401
    with pytest.raises(UsageError) as caught:
        read(data, form, **choice)
    return caught.value


def expected(rows: list[dict[str, str]], lines: list[int]) -> list[Row]:
    return [
        Row(ordinal, line, row.get("id") or None, row["text"], row.get("label") or None)
        for ordinal, (line, row) in enumerate(zip(lines, rows, strict=True))
    ]


@given(
    rows=objects,
    end=st.sampled_from(["\n", "\r\n"]),
    last_end=st.booleans(),
    ascii_only=st.booleans(),
    gzipped=st.booleans(),
)
def test_jsonl_is_read_back_as_it_was_written(
    rows: list[dict[str, str]], end: str, *, last_end: bool, ascii_only: bool, gzipped: bool
) -> None:
    text = end.join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    data = (text + end * last_end).encode()
    back = read(gzip.compress(data) if gzipped else data)
    assert unsized(back) == expected(rows, list(range(1, len(rows) + 1)))


@given(
    rows=objects,
    header=st.permutations(["text", "id", "label", "extra"]),
    form=st.sampled_from(["csv", "tsv"]),
    gzipped=st.booleans(),
)
@example(
    rows=[{"text": 'a "b"\r\n\r\n,\t\n', "id": "\r", "label": "\n"}],
    header=["text", "id", "label"],
    form="csv",
    gzipped=True,
)
def test_delimited_files_are_read_back_as_they_were_written(
    rows: list[dict[str, str]], header: list[str], form: str, *, gzipped: bool
) -> None:
    records = [_delimited(header, form)]
    records += [_delimited([row.get(name, "") for name in header], form) for row in rows]
    heights = [len(LINE_END.findall(record)) for record in records]
    data = b"".join(records)
    back = read(gzip.compress(data) if gzipped else data, form)
    starts = [1 + before for before in itertools.accumulate(heights)][:-1]
    assert unsized(back) == expected(rows, starts)


def _delimited(fields: list[str], form: str) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=DELIMITERS[form]).writerow(fields)
    return stream.getvalue().encode()


@given(hostile)
@example(b'{"text": "b"}\r\r\n\x1c\n\xff')
def test_every_jsonl_line_that_is_not_blank_is_one_row(data: bytes) -> None:
    rows = read(b'{"text": "first"}\n' + data)
    lines = [line.strip(b" \t\r\n") for line in LINE_END.split(data)]
    assert [row.line for row in rows] == [1, *(n for n, line in enumerate(lines, 2) if line)]


@given(hostile, st.sampled_from(["csv", "tsv"]))
@example(b'"open\nb\n"c"d\n"', "csv")
def test_no_bytes_after_a_header_stop_a_delimited_file(data: bytes, form: str) -> None:
    filled = [number for number, line in enumerate(LINE_END.split(data), 2) if line]
    assume(filled)
    rows = read(b"text\n" + data, form)
    assert rows[0].line == filled[0]
    assert rows[-1].line <= filled[-1]


@given(hostile, st.sampled_from(FORMATS))
@example(b"\xef\xbb", "jsonl")
@example(b"\xff\xfet\x00", "csv")
@example(b"\x1f\x8b\x08", "tsv")
@example(b'"', "csv")
def test_any_bytes_are_read_or_are_a_usage_error(data: bytes, form: str) -> None:
    with suppress(UsageError):
        read(data, form)


@given(objects, st.sampled_from(FORMATS), st.data())
def test_damaged_gzip_is_read_or_is_a_usage_error(
    rows: list[dict[str, str]], form: str, draw: st.DataObject
) -> None:
    gzipped = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    index = draw.draw(st.integers(0, len(gzipped) - 1))
    byte = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(index, len(gzipped)))
    with suppress(UsageError):
        read((gzipped[:index] + bytes([byte]) + gzipped[index + 1 :])[:cut], form)


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["", " ", "\t", " \t "])),
            st.fixed_dictionaries({"text": texts}),
        ),
        min_size=1,
    )
)
def test_blank_lines_are_not_rows(blocks: list[tuple[list[str], dict[str, str]]]) -> None:
    lines: list[str] = []
    starts = []
    for blanks, row in blocks:
        lines += [*blanks, json.dumps(row)]
        starts.append(len(lines))
    rows = read("\n".join([*lines, "", " "]).encode())
    assert unsized(rows) == expected([row for _, row in blocks], starts)


def test_blank_lines_of_csv_are_not_rows() -> None:
    rows = read(b"\r\ntext,id\r\n\r\na,1\r\n\r\n\r\nb,2\r\n\r\n", "csv")
    assert unsized(rows) == [Row(0, 4, "1", "a"), Row(1, 7, "2", "b")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "\xff"}', "not UTF-8 at byte 11 of the row"),
        ('{"text": "é'.encode() + b'\xe9"}', "not UTF-8 at byte 13 of the row"),
        (b'{"text": "\xed\xa0\x80"}', "not UTF-8 at byte 11 of the row"),
        (rb'{"text": "\ud800"}', "holds a lone surrogate"),
        (rb'{"text": "a", "label": "\udfff"}', "holds a lone surrogate"),
        (rb'{"text": "a", "id": "\udfff"}', "holds a lone surrogate"),
        (b'{"text": NaN}', "NaN is no JSON number"),
        (b'{"text": "a", "p": Infinity}', "Infinity is no JSON number"),
        (b'{"text": "a", "p": -Infinity}', "-Infinity is no JSON number"),
        (b'{"text": "a", "text": "b"}', "the key 'text' stands twice"),
        (b'{"text": "a", "x": {"k": 1, "k": 1}}', "the key 'k' stands twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"text": ' + b'{"a":' * 100_000, "nested too deeply"),
        (b'{"text": "a", "n": ' + b"1" * 5_000 + b"}", "not readable"),
        (b'{"id": "x"}', "text is missing"),
        (b"{}", "text is missing"),
        (b'{"text": null}', "text is missing"),
        (b'{"text": 4}', "text is a number, not a string"),
        (b'{"text": 4.5}', "text is a number, not a string"),
        (b'{"text": ["a"]}', "text is a list, not a string"),
        (b'{"text": {"a": "b"}}', "text is an object, not a string"),
        (b'{"text": true}', "text is true or false, not a string"),
        (b'{"text": ""}', "text is empty"),
        (b'["text"]', "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"text", "not JSON: Expecting value at character 1"),
        (b'{"text": "a"} {"text": "b"}', "not JSON: Extra data at character 15"),
        (b"{'text': 'a'}", "not JSON"),
        (b'{"text": "a\tb"}', "not JSON: Invalid control character at at character 12"),
        (b'{"text": "a",}', "not JSON"),
        (b'{"text": "a"', "not JSON"),
        (b'\x00{"text": "a"}', "not JSON"),
        ('\ufeff{"text": "a"}'.encode(), "not JSON"),
    ],
    ids=lambda value: ascii(value[:40]),
)
def test_a_bad_jsonl_line_gives_its_reason_and_affects_no_other_row(
    line: bytes, reason: str
) -> None:
    before, row, after = read(b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n')
    assert isinstance(row, BadRow)
    assert reason in row.reason
    assert row.line == 2
    assert len(row.excerpt) <= 210
    assert row.excerpt.isprintable()
    assert unsized([before, after]) == [Row(0, 1, None, "before"), Row(2, 3, None, "after")]


def test_a_bad_row_keeps_its_id_if_it_can_be_read() -> None:
    assert bad(b'{"text": "", "id": 17}').id == "17"
    assert bad(b"text,id\n,x\n", "csv").id == "x"
    assert bad(rb'{"text": "a", "id": "\ud800"}').id is None


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (rb'{"text": "\ud83d\ude00"}', "😀"),
        (rb'{"text": "a\u0000b"}', "a\0b"),
        (rb'{"text": "a\u2028b"}', "a\u2028b"),
        ('{"text": "a\u2028b\u2029c\x85d"}'.encode(), "a\u2028b\u2029c\x85d"),
        ('\ufeff{"text": "a"}'.encode(), "a"),
        (b'  {"text": "  "}  ', "  "),
        (b'{"text": "a", "n": 1e999}', "a"),
    ],
    ids=ascii,
)
def test_an_unusual_text_is_one_unchanged_row(line: bytes, text: str) -> None:
    row = good(line)
    assert row.text == text
    assert row.line == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"a", "1 fields where the header has 2"),
        (b"a,1,x", "3 fields where the header has 2"),
        (b'"a,1', "malformed"),
        (b'"a"b,1', "malformed"),
        (b"\xff,1", "not UTF-8 at byte 1 of the row"),
        (b'"a\nb\xff",1', "not UTF-8 at byte 5 of the row"),
        (b",1", "text is empty"),
        (b'"",1', "text is empty"),
    ],
)
def test_a_bad_csv_row_gives_its_reason_and_affects_no_other_row(row: bytes, reason: str) -> None:
    before, found, after = read(b"text,id\nd\xc3\xa9j\xc3\xa0,0\n" + row + b"\nafter,2\n", "csv")
    assert isinstance(found, BadRow)
    assert reason in found.reason
    assert found.line == 3
    assert unsized([before]) == [Row(0, 2, "0", "déjà")]
    assert unsized([after]) == [Row(2, 4 + row.count(b"\n"), "2", "after")]


def test_an_open_quote_makes_only_its_own_line_bad() -> None:
    lines = ["text,id", "first,0", '"open,1', *(f"row {n},{n}" for n in range(2, 2 * SAMPLE_ROWS))]
    rows = read("\n".join(lines).encode(), "csv")
    assert isinstance(rows[1], BadRow)
    assert rows[1].line == 3
    assert rows[1].excerpt == '"open,1'
    rest = [Row(n, n + 2, str(n), f"row {n}") for n in range(2, 2 * SAMPLE_ROWS)]
    assert unsized([rows[0], *rows[2:]]) == [Row(0, 2, "0", "first"), *rest]


def test_an_open_quote_does_not_read_a_stream_to_its_end() -> None:
    with (
        stdin(io.BufferedReader(Endless(b"more\n", first=b'text\n"open\n'))),
        open_texts(TextsChoice("-", "csv")) as source,
    ):
        open_quote, *rows = itertools.islice(source.all_rows(), 2 * SAMPLE_ROWS)
    assert isinstance(open_quote, BadRow)
    assert "10,000 lines" in open_quote.reason
    assert unsized(rows) == [Row(n, n + 2, None, "more") for n in range(1, 2 * SAMPLE_ROWS)]


def test_a_byte_order_mark_is_not_part_of_the_first_column() -> None:
    assert good("\ufefftext\na\n".encode(), "csv").text == "a"


def test_nul_bytes_in_csv_stay_in_the_text() -> None:
    assert good(b"text\na\x00b\n", "csv").text == "a\0b"


@pytest.mark.parametrize("form", FORMATS)
def test_a_lone_carriage_return_ends_a_line(form: str) -> None:
    data = b'{"text": "a"}\r{"text": "b"}\r' if form == "jsonl" else b"text\ra\rb\r"
    assert [row.text for row in read(data, form) if isinstance(row, Row)] == ["a", "b"]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "data",
    [b"", b"\n\r\n\r\n", b"\xef\xbb\xbf", gzip.compress(b"")],
    ids=["nothing", "blank lines", "a byte order mark", "empty gzip"],
)
def test_an_input_without_a_row_is_refused(data: bytes, form: str) -> None:
    assert "holds no row" in refusal(data, form).message


@pytest.mark.parametrize("form", ["csv", "tsv"])
@pytest.mark.parametrize("header", [b"text", b"text\n", b"\n\ntext\r\n\r\n"])
def test_a_header_alone_holds_no_row(form: str, header: bytes) -> None:
    assert "holds no row" in refusal(header, form).message


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_utf16_is_refused_with_its_name(form: str, encoding: str, pack: Any) -> None:  # noqa: ANN401
    text = '{"text": "a"}\n' if form == "jsonl" else "text\na\n"
    mark = "" if encoding == "utf-16" else "\ufeff"
    refused = refusal(pack((mark + text).encode(encoding)), form)
    assert "UTF-16" in refused.message
    assert "UTF-8" in (refused.hint or "")


def test_a_duplicate_column_is_refused() -> None:
    assert "'text' appears twice" in refusal(b"text,id,text\na,1,b\n", "csv").message


@pytest.mark.parametrize("header", ["text,,", ",text,", "text, , "])
def test_columns_without_a_name_are_ignored(header: str) -> None:
    (row,) = read(f"{header}\n{header.replace('text', 'free')}\n".encode(), "csv")
    assert isinstance(row, Row)
    assert row.text == "free"


def test_one_column_without_a_name_can_be_chosen() -> None:
    (row,) = read(b",label\nfree,ham\n", "csv", columns=Columns(text=""))
    assert isinstance(row, Row)
    assert row.text == "free"
    assert "no column ''" in refusal(b",label,\na,b,c\n", "csv", columns=Columns(text="")).message


@pytest.mark.parametrize("header", [b",,", b'""', b" ,"])
def test_a_header_without_any_name_is_refused(header: bytes) -> None:
    assert "the header names no column" in refusal(header + b"\na,b,c\n", "csv").message


def test_a_malformed_header_is_refused() -> None:
    assert "header" in refusal(b'"text,id\na,1\n', "csv").message


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_rows_before_the_end_of_a_truncated_gzip_file_are_read(kept: float, form: str) -> None:
    digests = (hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(2000))
    lines = [digest if form == "csv" else json.dumps({"text": digest}) for digest in digests]
    text = "\n".join([*(["text"] if form == "csv" else []), *lines, ""])
    gzipped = gzip.compress(text.encode())
    gzipped = gzipped[: int(kept * len(gzipped))]
    whole = zlib.decompressobj(wbits=31).decompress(gzipped).count(b"\n") - (form == "csv")
    assert whole > 100

    *rows, last = read(gzipped, form)
    assert len(rows) == whole
    assert all(isinstance(row, Row) for row in rows)
    assert isinstance(last, BadRow)
    assert "breaks off" in last.reason
    assert last.line == rows[-1].line + 1


@pytest.mark.parametrize("row", [b"b", b'"open'])
def test_nothing_after_a_read_error_is_read(row: bytes) -> None:
    gzipped = gzip.compress(b"text\na\n" + row + b"\nc\n")
    rows = read(gzipped + b"no" + gzip.compress(b"d\n"), "csv")
    assert [row.text for row in rows if isinstance(row, Row)][-1] == "c"
    assert isinstance(rows[-1], BadRow)
    assert "breaks off" in rows[-1].reason


def test_gzip_is_recognised_by_its_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    plain = tmp_path / "texts.jsonl.gz"
    plain.write_bytes(b'{"text": "a"}\n')
    gzipped = tmp_path / "texts.csv"
    gzipped.write_bytes(gzip.compress(b"text\na\n"))
    for path in (plain, gzipped):
        with open_texts(TextsChoice(str(path))) as source:
            assert unsized(list(source.all_rows()))[0] == Row(0, 1 + (path is gzipped), None, "a")


def test_bytes_that_only_begin_like_gzip_are_refused_as_gzip() -> None:
    assert "gzip" in refusal(b"\x1f\x8b this is no gzip").message


@pytest.mark.parametrize("form", FORMATS)
def test_a_missing_text_column_lists_the_columns_that_exist(form: str) -> None:
    data = {"csv": b"body,\xc3\xa9\na,1\n", "tsv": b"body\t\xc3\xa9\na\t1\n"}
    jsonl = '{"body": "a"}\n{"é": 1, "body": "b"}\n'.encode()
    refused = refusal(data.get(form, jsonl), form)
    assert "'text'" in refused.message
    assert (refused.hint or "").endswith("body, é")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("columns", [Columns(label="gold"), Columns(id="key")])
def test_a_chosen_label_or_id_column_must_exist(form: str, columns: Columns) -> None:
    data = b'{"text": "a"}' if form == "jsonl" else b"text\na\n"
    assert (columns.label or columns.id or "") in refusal(data, form, columns=columns).message


def test_the_chosen_columns_are_read() -> None:
    columns = Columns(text="body", label="gold", id="key")
    data = b"text,label,id,body,gold,key\n1,2,3,a,b,c\n"
    assert unsized([good(data, "csv", columns=columns)]) == [Row(0, 2, "c", "a", "b")]


def test_a_column_may_be_absent_from_some_json_objects() -> None:
    data = b'{"text": "a"}\n' * 3 + b'{"text": "b", "gold": "x"}\n'
    rows = read(data, columns=Columns(label="gold"))
    assert [row.gold for row in rows if isinstance(row, Row)] == [None, None, None, "x"]


@pytest.mark.parametrize(
    ("value", "string"),
    [
        ("7", "7"),
        ("1.5", "1.5"),
        ("-0", "0"),
        ("true", "true"),
        ("null", None),
        ('""', None),
        ("12345678901234567890", "12345678901234567890"),
    ],
)
def test_labels_and_ids_become_strings(value: str, string: str | None) -> None:
    row = good(f'{{"text": "a", "id": {value}, "label": {value}}}'.encode())
    assert (row.id, row.gold) == (string, string)


def test_standard_input_is_jsonl_by_default() -> None:
    with stdin(io.BytesIO(b'{"text": "a"}\n')), open_texts(TextsChoice("-")) as source:
        assert [row.line for row in source.all_rows()] == [1]
        assert (source.name, source.size) == ("-", None)
    assert good(b"text\na\n", "csv").text == "a"


def test_a_closed_standard_input_is_refused() -> None:
    with (
        patch.object(sys, "stdin", None),
        pytest.raises(UsageError, match="closed"),
        open_texts(TextsChoice("-")),
    ):
        pass


def test_a_duplicate_among_many_keys_is_found_in_linear_time() -> None:
    keys = ",".join(f'"{index}": 1' for index in range(300_000))
    assert bad(b'{"text": "a", %s, "z": 1, "z": 1}' % keys.encode()).reason.endswith("twice")


@pytest.mark.parametrize("suffix", ["csv", "CSV", "tsv", "jsonl", "ndjson", "csv.gz", "ndjson.gz"])
def test_the_suffix_names_the_format(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.b.{suffix}"
    data = b'{"text": "a"}' if "json" in suffix else b"text\na\n"
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    with open_texts(TextsChoice(str(path))) as source:
        assert unsized(list(source.all_rows())) == [Row(0, 1 + ("json" not in suffix), None, "a")]


@pytest.mark.parametrize("name", ["texts", "texts.txt", "texts.gz", "texts.json", "jsonl"])
def test_an_unknown_suffix_is_refused_unless_the_format_is_given(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b'{"text": "a"}\n')
    with pytest.raises(UsageError, match="suffix"), open_texts(TextsChoice(str(path))):
        pass
    with open_texts(TextsChoice(str(path), "jsonl")) as source:
        assert len(list(source.all_rows())) == 1


def test_a_folder_is_refused_as_input(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="cannot be read"),
        open_texts(TextsChoice(str(tmp_path), "jsonl")),
    ):
        pass


@given(st.integers(1, 12))
def test_a_limit_stops_after_that_many_rows(limit: int) -> None:
    data = b"".join(b'{"text": "%d"}\n\nbad\n' % n for n in range(4))
    assert read(data, limit=limit) == read(data)[:limit]


@pytest.mark.parametrize("limit", [None, 1, 5000])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_hash_is_that_of_the_whole_file(
    limit: int | None,
    pack: Pack,
    tmp_path: Path,
) -> None:
    data = pack(b"".join(b'{"text": "row %d"}\n' % n for n in range(5000)))
    path = tmp_path / "texts.jsonl"
    path.write_bytes(data)
    with open_texts(TextsChoice(str(path), limit=limit)) as source:
        assert source.size == len(data)
        assert len(list(source.all_rows())) == (limit or 5000)
        assert source.sha256() == hashlib.sha256(data).hexdigest()


def test_a_stream_is_hashed_only_if_it_is_read_to_its_end() -> None:
    data = b'{"text": "a"}\n{"text": "b"}\n'
    with opened(data, "jsonl") as source:
        list(source.all_rows())
        assert source.sha256() == hashlib.sha256(data).hexdigest()
    with opened(data, "jsonl", limit=1) as source:
        list(source.all_rows())
        assert source.sha256() is None


@pytest.mark.parametrize("form", FORMATS)
def test_rows_of_a_stream_are_yielded_before_it_ends(form: str) -> None:
    line = b'{"text": "text"}\n' if form == "jsonl" else b"text\n"
    taken = 20 * SAMPLE_ROWS
    stream = Endless(line)
    with (
        stdin(io.BufferedReader(stream)),
        open_texts(TextsChoice("-", form)) as source,
    ):
        rows = list(itertools.islice(source.all_rows(), taken))
        assert len(rows) == taken
        assert stream.served < len(line) * taken + (1 << 17)


@pytest.mark.parametrize("form", FORMATS)
def test_a_limit_does_not_wait_for_the_end_of_a_stream(form: str) -> None:
    line = b'{"text": "text"}\n' if form == "jsonl" else b"text\n"
    with (
        stdin(io.BufferedReader(Endless(line))),
        open_texts(TextsChoice("-", form, limit=2 * SAMPLE_ROWS)) as source,
    ):
        assert len(list(source.all_rows())) == 2 * SAMPLE_ROWS
        assert source.sha256() is None
