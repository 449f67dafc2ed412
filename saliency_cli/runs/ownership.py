"""Which files of a folder a run wrote: proved by content and manifest, never by name alone.

A run removes or replaces only files that are proved here. Records and pages also need a manifest
beside them. A file of records with a line that is no record is not proved.
"""

import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Self, TypeAlias

from saliency_cli.atomic_files import TEMPORARY_SUFFIX
from saliency_cli.errors import UsageError
from saliency_cli.runs.plain_files import special_kind
from saliency_cli.safe_text import listed

INDEX = "index.html"
PAGES = "pages"
RECORDS = "records"
MANIFEST = "manifest.json"
SUSPECTS = "suspects.json"
WORK = "work"
LOCK, SPOOL = f"{WORK}/lock", f"{WORK}/input"
ARRIVING = SPOOL + TEMPORARY_SUFFIX
"""The copy of a stream while its rows are counted."""
PAGE_MARK = '<meta name="generator" content="saliency '
"""What each page has near its start; templates of the user's may leave it out."""

_SUSPECTS_STARTS = "[]\n", '[\n  {\n    "alone": '
_SEAL = re.compile(rb"\n\S+ written by saliency; SHA-256 of the above: ([0-9a-f]{64}) \S+\n\Z")
_SEAL_BYTES, _CHUNK_BYTES = 200, 2**20
_HEAD_BYTES, _LONGEST_LINE, _LARGEST_MANIFEST = 2**14, 2**28, 2**30
Proof: TypeAlias = Callable[[Path], bool]


def _begins(*starts: str) -> Proof:
    """Return a proof that a file begins like a file of a run; a part of the start is enough."""
    encoded = [start.encode() for start in starts]

    def proof(path: Path) -> bool:
        head = _head(path)
        return any(head and (head.startswith(each) or each.startswith(head)) for each in encoded)

    return proof


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def _has_mark(path: Path) -> bool:
    return PAGE_MARK.encode() in _head(path)


def sealing_line(sha256: str, *, script: bool) -> str:
    """Return the last line of a page, or of a script beside it, which shows whether it was changed.

    Args:
        sha256: The hexadecimal SHA-256 of all that is before.
        script: Whether to write a comment of JavaScript, not of HTML.
    """
    start, end = ("/*", "*/") if script else ("<!--", "-->")
    return f"\n{start} written by saliency; SHA-256 of the above: {sha256} {end}\n"


def is_sealed(path: Path) -> bool:
    """Whether a page is as it was written: its last line has the SHA-256 of the rest."""
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _SEAL_BYTES))
        found = _SEAL.search(stream.read())
        if found is None:
            return False
        left, digest = size - len(found[0]), sha256()
        stream.seek(0)
        while data := stream.read(min(left, _CHUNK_BYTES)):
            digest.update(data)
            left -= len(data)
    return digest.hexdigest().encode() == found[1]


def _is_empty(path: Path) -> bool:
    return path.stat().st_size == 0


def _is_spool(path: Path) -> bool:
    """Whether a copy of an input is beside a lock: it may hold any bytes, which prove nothing."""
    lock = path.parent.parent / LOCK
    return lock.exists() and special_kind(lock) is None and _is_empty(lock)


def _is_token(path: Path) -> bool:
    return re.fullmatch(rb"[0-9a-f]{64}", _head(path)) is not None


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of file of a run.

    Attributes:
        name: Pattern of the relative path.
        proof: Whether the content is that of such a file.
        needs_manifest: Whether the folder must hold a manifest, unless the file is temporary.
        may_be_empty: Whether an empty file is one of this kind.
        is_sealed: Whether the last line of a complete file proves it; then `proof` is for others.
    """

    name: re.Pattern[str]
    proof: Proof
    needs_manifest: bool = False
    may_be_empty: bool = False
    is_sealed: bool = False


_KINDS = (
    _Kind(re.compile(r"manifest\.json"), _begins('{\n  "attention": ')),
    _Kind(
        re.compile(r"records/part-\d{5,}\.jsonl"),
        _begins('{"checks":', '{"completeness":', '{"errors":', '{"excerpt":'),
        needs_manifest=True,
    ),
    _Kind(
        re.compile(r"(index|pages/page-\d{4,})\.html"),
        _has_mark,
        needs_manifest=True,
        is_sealed=True,
    ),
    _Kind(
        re.compile(r"pages/index-\d{4,}\.js"),
        _begins("saliencyPart("),
        needs_manifest=True,
        is_sealed=True,
    ),
    _Kind(re.compile(r"suspects\.json"), _begins(*_SUSPECTS_STARTS), needs_manifest=True),
    _Kind(re.compile(LOCK), _is_empty, may_be_empty=True),
    _Kind(re.compile(SPOOL), _is_spool, may_be_empty=True),
    _Kind(re.compile(r"work/token"), _is_token),
    _Kind(re.compile(r"work/\d{5,}\.json"), _begins('{"sha256": "')),
    _Kind(
        re.compile(r"work/\d{5,}\.journal"),
        _begins('{"attempt":', '{"crashing_row":', '{"crash_recorded":', '{"passed":'),
        may_be_empty=True,
    ),
)


def has_run_name(file: str) -> bool:
    """Whether a run writes files of this relative path; this alone proves nothing of the file."""
    return _kind_of(file) is not None


def _kind_of(file: str) -> _Kind | None:
    name = file.removesuffix(TEMPORARY_SUFFIX)
    return next((each for each in _KINDS if each.name.fullmatch(name)), None)


@dataclass(frozen=True, slots=True)
class Ownership:
    """Tells which files of a folder a run wrote.

    Attributes:
        folder: The folder.
        manifest: Its manifest, or None if it has none that a version of this package wrote.
    """

    folder: Path
    manifest: dict[str, Any] | None

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Return the ownership of a folder's files, as its manifest is now."""
        return cls(folder, _read_manifest(folder / MANIFEST))

    def check(self, files: Iterable[str], *, whole: bool = False) -> None:
        """Check that a run wrote each of some files, or that it no longer exists.

        Args:
            files: Relative paths.
            whole: Whether to read records and the copy of the input to their end.

        Raises:
            UsageError: If a run did not write them all; the message names the others.
        """
        foreign = [shown for file in files if (shown := self._foreign(file, whole=whole))]
        if foreign:
            raise UsageError(
                f"saliency did not write {listed(foreign)}",
                "move these files to another place, or use another folder",
            )

    def _foreign(self, file: str, *, whole: bool) -> str | None:
        """Return a file's path, and what it is if that is unusual; None if a run wrote the file."""
        path = self.folder / file
        try:
            kind = special_kind(path)
            if kind is None:
                if self._is_proved(file, whole=whole):
                    return None
                kind = _change_of(file, path)
        except FileNotFoundError:  # another process of the run renamed or removed it
            return None
        return str(path) if kind is None else f"{path} ({kind})"

    def _is_proved(self, file: str, *, whole: bool) -> bool:
        name, path = file.removesuffix(TEMPORARY_SUFFIX), self.folder / file
        kind = _kind_of(file)
        if kind is None:
            return False
        is_temporary = file != name
        if name == MANIFEST and not is_temporary:
            return self.manifest is not None
        if kind.needs_manifest and self.manifest is None and not is_temporary:
            return False
        if _is_empty(path):
            return kind.may_be_empty or is_temporary
        if kind.is_sealed and not is_temporary:
            return is_sealed(path)
        return kind.proof(path) and (not whole or is_temporary or self._is_proved_whole(name))

    def _is_proved_whole(self, file: str) -> bool:
        """Whether a file of records, or the copy of the input, is proved from start to end."""
        path, manifest = self.folder / file, self.manifest or {}
        if file == SPOOL:
            hashes = manifest.get("hashes")
            known = hashes.get("input") if type(hashes) is dict else None
            return known is None or sha256_of(path) == known
        if not file.startswith(f"{RECORDS}/"):
            return True
        return sha256_of(path) in _hashes_of_part(self.folder, manifest, file) or _holds_records(
            path
        )


def _change_of(file: str, path: Path) -> str | None:
    """Return "changed since it was written" for a page that a run wrote and a user edited."""
    kind = _kind_of(file)
    changed = kind is not None and kind.is_sealed and kind.proof(path)
    return "changed since it was written" if changed else None


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _hashes_of_part(folder: Path, manifest: dict[str, Any], file: str) -> list[Any]:
    """Return the SHA-256 that the manifest or a receipt has for a file of records."""
    number = int(file.removesuffix(".jsonl").rpartition("-")[2])
    shards = manifest.get("shards")
    known = shards.get("sha256") if type(shards) is dict else None
    hashes = known[number : number + 1] if type(known) is list else []
    receipt = _read_json(folder / WORK / f"{number:05d}.json")
    return [*hashes, receipt.get("sha256")] if type(receipt) is dict else hashes


def _holds_records(path: Path) -> bool:
    """Whether each line of a file is a record, as in a damaged part; the last may be cut short."""
    with path.open("rb") as stream:
        while line := stream.readline(_LONGEST_LINE):
            if line.endswith(b"\n") and not _is_record(line):
                return False
            if not line.endswith(b"\n"):
                return len(line) < _LONGEST_LINE and line.startswith(b'{"')
    return True


def _is_record(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if type(record) is not dict:
        return False
    return type(record.get("schema")) is int and record.get("status") in ("ok", "quarantined")


def _read_manifest(path: Path) -> dict[str, Any] | None:
    """Read a manifest of any schema, or return None if the file is none."""
    manifest = _read_json(path)
    if type(manifest) is not dict or type(manifest.get("schema")) is not int:
        return None
    versions = manifest.get("versions")
    is_ours = type(versions) is dict and type(versions.get("saliency")) is str
    return manifest if is_ours else None


def _read_json(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON file; None if it is not a plain file of JSON."""
    try:
        if special_kind(path) is None and path.stat().st_size <= _LARGEST_MANIFEST:
            return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        pass
    return None
