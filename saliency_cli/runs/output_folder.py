"""Checks a folder that a command other than `explain` writes to, before anything is changed."""

from collections.abc import Callable, Iterable
from pathlib import Path

from saliency_cli.errors import UsageError
from saliency_cli.safe_text import listed, visible

_OTHER_FOLDER = "use another folder with --out"


def check_output_folder(
    path: Path,
    entries: Iterable[Path],
    is_ours: Callable[[Path], bool],
    *,
    holds: str,
    hint: str | None,
) -> None:
    """Check that a folder holds nothing but what the command wrote, and that it may be replaced.

    Args:
        path: The folder; it need not exist.
        entries: The files in it.
        is_ours: Whether the command wrote a file, as it is now.
        holds: What an earlier call left there, for messages: "a comparison".
        hint: What to type to replace it; None if it may be replaced.

    Raises:
        UsageError: It is no folder, holds something else, or what may not be replaced.
    """
    name = visible(str(path))
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UsageError(f"{name} is not a folder", _OTHER_FOLDER)
    found = sorted(entries)
    foreign = [str(entry) for entry in found if not is_ours(entry)]
    if foreign:
        raise UsageError(
            f"saliency did not write {listed(foreign)} as it is",
            f"move these files to another place, or {_OTHER_FOLDER}",
        )
    if found and hint is not None:
        raise UsageError(f"{name} already holds {holds}", hint)


def entries_of(path: Path) -> list[Path]:
    """Return what is in a folder; nothing if there is none."""
    return [*path.iterdir()] if path.is_dir() and not path.is_symlink() else []
