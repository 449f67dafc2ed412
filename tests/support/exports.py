"""Helpers for the tests of exports: run an export, and make texts that try to break it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.exports import EXPORTS
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.run_folder import RunFolder
from tests.support.runs import manifest, record

any_text = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("=+-@\t\r\n,;:'\"%|<&]")
)
one_word = any_text.filter(lambda text: text.split() == [text.strip()])
"""Texts that are one word, with white space around it or not."""


def exported(
    records: list[Record], name: str, *, gates: Sequence[object] = (), rows: bool = False
) -> bytes:
    """Return the content of an export.

    Args:
        records: The records of the run.
        name: The name of the format.
        gates: The results of gates, as the manifest holds them.
        rows: Whether the export has a part for each row.
    """
    with finished(records, gates=gates) as run:
        encode = EXPORTS[name].encode_rows if rows else EXPORTS[name].encode
        assert encode is not None
        return b"".join(encode(run))


def problems_of(records: list[Record]) -> list[str]:
    """Return what the scorer of ERASER would not accept of a run."""
    with finished(records) as run:
        return [*EXPORTS["eraser"].problems(run)]


@contextmanager
def finished(records: list[Record], *, gates: Sequence[object] = ()) -> Iterator[FinishedRun]:
    """Yield a finished run with these records, and these results of gates."""
    with tempfile.TemporaryDirectory() as folder:
        run = FinishedRun(RunFolder(Path(folder)), manifest(records) | {"gates": [*gates]})
        run.folder.clear()
        with run.folder.record_writer() as writer:
            for each in records:
                writer.write(each)
        yield run


def export(folder: Path, *options: object, code: int = 0) -> Result:
    """Run `saliency export` in this process.

    Args:
        folder: The run's folder.
        *options: The options of the command.
        code: The exit code that is expected.
    """
    result = CliRunner().invoke(app, ["export", str(folder), *map(str, options)])
    assert result.exit_code == code, result.output
    return result


def fields_with(text: str) -> dict[str, Any]:
    """Return the fields of a record that a user's text can reach, all with this text."""
    probabilities = {"ham": 0.1, text: 0.9}
    return {"id": text, "predicted": text, "gold": text, "probabilities": probabilities}


def wrong_record(ordinal: int, probability: float) -> Record:
    """Return the record of a row with a wrong prediction.

    Args:
        ordinal: The row's ordinal.
        probability: The probability of the prediction.
    """
    return record(ordinal, "free call now", gold="ham", probability=probability)
