"""Writes pages whose last line shows whether they were changed, and replaces no other file."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from saliency_cli.atomic_files import TEMPORARY_SUFFIX, open_atomic, output_errors
from saliency_cli.errors import UsageError
from saliency_cli.runs.ownership import is_sealed, sealing_line
from saliency_cli.runs.plain_files import special_kind
from saliency_cli.safe_text import visible

_HEAD_BYTES = 2**10


def write_sealed(path: Path, chunks: Iterable[str]) -> None:
    """Write a page, or a script beside it, and a last line with the SHA-256 of the rest.

    Args:
        path: the file.
        chunks: what it holds, in pieces: a page may be larger than memory should hold.

    Raises:
        OutputError: the file cannot be written.
    """
    with open_atomic(path) as stream:
        for chunk in _sealed(chunks, script=path.suffix == ".js"):
            with output_errors(path):
                stream.write(chunk)


def _sealed(chunks: Iterable[str], *, script: bool) -> Iterator[str]:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk.encode())
        yield chunk
    yield sealing_line(digest.hexdigest(), script=script)


def check_page_file(path: Path, *, option: str, mark: str) -> None:
    """Check that a page may be written to a file: there is none, or an earlier page of this kind.

    Args:
        path: the file.
        option: the option that names it.
        mark: what only pages of this kind have near their start.

    Raises:
        UsageError: it is a folder, a link or a device, a file that saliency did not write, one that
            was changed since, or the temporary file beside it exists.
    """
    for each in (path.with_name(path.name + TEMPORARY_SUFFIX) if path.name else path, path):
        if os.path.lexists(each) and not (each == path and is_page(path, mark=mark)):
            raise UsageError(
                f"{visible(str(each))} exists, and is no page that saliency wrote as it is",
                f"use another file with {option}",
            )


def is_page(path: Path, *, mark: str) -> bool:
    """Return whether a file is a page of some kind, as it was written.

    Args:
        path: the file.
        mark: what only pages of this kind have near their start.
    """
    if special_kind(path) is not None or not is_sealed(path):
        return False
    with path.open("rb") as stream:
        return mark.encode() in stream.read(_HEAD_BYTES)
