"""Copies the pages of a run into a site."""

import shutil
from collections.abc import Collection
from pathlib import Path

from saliency_cli.atomic_files import TEMPORARY_SUFFIX, open_atomic_bytes, output_errors
from saliency_cli.errors import UsageError
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.folder_lock import lock_pages
from saliency_cli.runs.ownership import INDEX, MANIFEST, PAGES, has_run_name, sha256_of
from saliency_cli.safe_text import visible


def copy_pages(run: FinishedRun, target: Path) -> None:
    """Copy the pages of a run; one that is already there is not written again.

    Args:
        run: The run.
        target: The folder that they are copied to; other files in it are removed.

    Raises:
        UsageError: The run has no pages, or one that it did not write as it is.
        OutputError: A page cannot be written.
    """
    folder = run.folder
    with lock_pages(folder.path / MANIFEST):
        folder.check_pages()
        names = [name for name in folder.existing_files() if _is_page(name)]
        if INDEX not in names:
            raise UsageError(
                f"{visible(str(folder.path))} has no page",
                "write its pages with saliency report",
            )
        for name in names:
            _copy(folder.path / name, target / name)
    _remove_others(target, {target / name for name in names})


def _is_page(name: str) -> bool:
    is_final = has_run_name(name) and not name.endswith(TEMPORARY_SUFFIX)
    return is_final and (name == INDEX or name.startswith(f"{PAGES}/"))


def _copy(source: Path, target: Path) -> None:
    if target.exists() and sha256_of(target) == sha256_of(source):
        return
    with source.open("rb") as read, open_atomic_bytes(target) as written, output_errors(target):
        shutil.copyfileobj(read, written)


def _remove_others(target: Path, kept: Collection[Path]) -> None:
    with output_errors(target):
        for file in sorted(target.rglob("*"), reverse=True):
            if file.is_file() and file not in kept:
                file.unlink()
            elif file.is_dir() and not any(file.iterdir()):
                file.rmdir()
