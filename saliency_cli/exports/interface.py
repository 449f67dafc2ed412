"""The interface of an export: what each format's file declares about itself."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from saliency_cli.runs.finished_run import FinishedRun


def _none(_run: FinishedRun) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Export:
    """One format in which the records of a finished run can be written.

    Attributes:
        name: The value of `--format`.
        help: What the format is and what it is for, in a few words. `saliency export --help` and
            the table in docs/exports.md show it.
        encode: Yields the content of the file in pieces, so that memory does not grow with the
            number of rows.
        binary: Whether the format can be written to a file only, not to stdout.
        includes_quarantined: Whether the format has a place for quarantined rows.
        encode_rows: The content with a part for each row, where `encode` leaves rows out; None for
            a format without that choice (`--junit-rows`).
        problems: Yields what a reader of the format will not accept; each is a warning.
    """

    name: str
    help: str
    encode: Callable[[FinishedRun], Iterator[bytes]]
    binary: bool = False
    includes_quarantined: bool = True
    encode_rows: Callable[[FinishedRun], Iterator[bytes]] | None = None
    problems: Callable[[FinishedRun], Iterable[str]] = _none
