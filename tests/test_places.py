"""Planning finds where rows begin; reading from there gives what reading from the start gives."""

import gzip
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from saliency_cli.reading import Source, open_texts
from saliency_cli.records import BadRow, Place, Row
from saliency_cli.settings import FormatName, TextsChoice

from .test_reading import FORMATS, hostile, stdin

HEADS: dict[FormatName, bytes] = {"csv": b"text\n", "tsv": b"text\n", "jsonl": b'{"text": "a"}\n'}
forms = st.sampled_from(FORMATS)


@contextmanager
def opened_file(data: bytes, form: FormatName, limit: int | None = None) -> Iterator[Source]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "texts"
        path.write_bytes(data)
        with open_texts(TextsChoice(str(path), form, limit=limit)) as source:
            yield source


def read_shards(source: Source, every: int, spool: Path | None = None) -> list[Row | BadRow]:
    places = list(source.places(every, spool=spool))
    assert [place.ordinal for place in places] == list(range(0, source.count or 0, every))
    return [row for place in places for row in source.rows(place, every)][: source.count]


@given(hostile, forms, st.integers(1, 3), st.booleans())
@example(data=b'a","\n' * 9, form="csv", every=2, packed=True)
@example(data=b'"a\r\n"\rb\n\r\n"open\n', form="csv", every=1, packed=False)
def test_reading_from_every_place_is_reading_through(
    data: bytes, form: FormatName, every: int, packed: bool
) -> None:
    data = HEADS[form] + data + b"\nlast\n"
    with opened_file(gzip.compress(data) if packed else data, form) as source:
        whole = list(source.all_rows())
        assert read_shards(source, every) == whole
        assert source.count == len(whole)
        places = list(source.places(1))
        backwards = [next(source.rows(place, 1)) for place in reversed(places)]
        assert backwards[::-1] == whole


@given(hostile, forms, st.booleans(), st.none() | st.integers(1, 4))
def test_a_spooled_stream_is_read_like_a_file(
    data: bytes, form: FormatName, packed: bool, limit: int | None
) -> None:
    data = HEADS[form] + data + b"\nlast\n"
    data = gzip.compress(data) if packed else data
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
            assert list(again.rows(Place(0, *_start(whole, form, data)), len(whole))) == whole


def _start(rows: list[Row | BadRow], form: FormatName, data: bytes) -> tuple[int, int]:
    """Return where the first row begins."""
    with opened_file(data, form, len(rows)) as source:
        place = next(source.places(1))
    return place.offset, place.line
