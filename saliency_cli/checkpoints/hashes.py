"""The SHA-256 of every file that was read, under names that hold no absolute path."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from saliency_cli.errors import CheckpointError
from saliency_cli.inputs.file_identity import FileIdentity
from saliency_cli.safe_text import visible


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that decides what is computed.

    Attributes:
        path: The file.
        name: Its path below the folder that it belongs to.
        role: What it is read as, in one word; it tells files of one name apart.
    """

    path: Path
    name: str
    role: str

    @classmethod
    def alone(cls, path: Path, role: str) -> "ReadFile":
        """Return a file that is named by its name without its folder."""
        return cls(path, path.name, role)


def identities(files: Iterable[ReadFile]) -> dict[Path, FileIdentity]:
    """Return the identity of each file that exists, to compare with a later one."""
    existing = (file.path for file in files if file.path.exists())
    return {path: FileIdentity.of(path) for path in existing}


def hash_files(files: Iterable[ReadFile], *, before: dict[Path, FileIdentity]) -> dict[str, str]:
    """Return the SHA-256 of each file by its name.

    Args:
        files: The files, which may repeat. The second file of a name also gets its role as name.
        before: The identities from before the files were read; files that are missing in it were
            not known by then.

    Raises:
        CheckpointError: A file was written while it was read.
    """
    hashes: dict[str, str] = {}
    seen: set[Path] = set()
    for file in files:
        path = file.path.absolute()
        if path in seen:
            continue
        seen.add(path)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            found = FileIdentity.of(stream.fileno())
        if before.get(file.path, found) != found:
            raise CheckpointError(
                f"{visible(str(file.path))} has changed while it was read", "start the run again"
            )
        hashes[_free_name(file, hashes)] = digest
    return hashes


def _free_name(file: ReadFile, taken: dict[str, str]) -> str:
    name = visible(file.name)
    while name in taken:
        name = f"{file.role}:{name}"
    return name
