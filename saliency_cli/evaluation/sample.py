"""The sample: texts spread evenly over the input, in a file that every method explains."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path

from saliency_cli.analysis.even_sample import EvenSample
from saliency_cli.atomic_files import open_atomic, output_errors
from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import STDIN
from saliency_cli.inputs.options import Columns, TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.records import Row
from saliency_cli.safe_text import visible

SAMPLE = "sample.jsonl"
SAMPLE_START = '{"id": '


def write_sample(texts: TextsChoice, path: Path, *, limit: int) -> TextsChoice:
    """Write rows floor(i·n / limit) of the n readable rows, and return how that file is read.

    Args:
        texts: The input. It is read twice.
        path: The file; one that an earlier process wrote must be equal.
        limit: The largest number of texts.

    Raises:
        UsageError: The input cannot be read, has no row that can be read, or has changed.
        OutputError: The file cannot be written.
    """
    if texts.path == STDIN:
        raise UsageError("evaluate reads TEXTS twice, and - only once", "give a file")
    count = sum(1 for _ in _readable(texts))
    if count == 0:
        raise UsageError("TEXTS has no row that can be explained", "saliency explain says why")
    size = min(limit, count)
    chosen = {number * count // size for number in range(size)}
    numbered = enumerate(_readable(texts))
    content = "".join(_line(row) for number, row in numbered if number in chosen)
    if path.exists() and path.read_text(encoding="utf-8") != content:
        raise UsageError(
            f"{visible(str(path))} is another sample than that of TEXTS and --limit",
            "give the same TEXTS and --limit as before, or start anew with --overwrite",
        )
    with open_atomic(path) as stream, output_errors(path):
        stream.write(content)
    pair = None if texts.columns.pair is None else "pair"
    return TextsChoice(str(path), format="jsonl", columns=Columns(pair=pair))


def other_rows(texts: TextsChoice, known: Collection[str], *, most: int) -> list[Row]:
    """Return rows spread over the input whose texts are not known: at most 2 · `most` of them.

    Args:
        texts: The input, which is read once.
        known: Texts that are left out.
        most: Half the number of rows that are returned at most.
    """
    others = EvenSample[Row](most)
    for row in _readable(texts):
        if row.text not in known:
            others.add(row)
    return others.held


def _readable(texts: TextsChoice) -> Iterator[Row]:
    with open_texts(texts) as source:
        yield from (row for row in source.all_rows() if isinstance(row, Row))


def _line(row: Row) -> str:
    pair = {} if row.pair is None else {"pair": row.pair}
    line = {"id": row.id, "label": row.gold, "ordinal": row.ordinal, "text": row.text, **pair}
    return json.dumps(line, ensure_ascii=False) + "\n"
