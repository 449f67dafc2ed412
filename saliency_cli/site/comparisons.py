"""Compares each run of a site with the one before, unless the site has the comparison already."""

from pathlib import Path

from saliency_cli.atomic_files import output_errors
from saliency_cli.comparison.compare import compare_runs
from saliency_cli.comparison.folder import ComparisonFolder
from saliency_cli.errors import UsageError
from saliency_cli.report.comparison import write_comparison_page
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.ownership import sha256_of
from saliency_cli.safe_text import visible
from saliency_cli.site.state import ComparisonState


def stored_comparison(
    folder: ComparisonFolder, state: ComparisonState | None, *, before: str, after: str
) -> ComparisonState | None:
    """Return the state of a comparison if the site has it, complete and of these runs; else None.

    Args:
        folder: The folder of the comparison.
        state: What `site.json` says of it, or None.
        before: SHA-256 of the first run.
        after: SHA-256 of the second run.
    """
    if state is None or (state.before, state.after) != (before, after):
        return None
    return state if state.refused is not None or _hashes(folder) == state.files else None


def make_comparison(
    before: FinishedRun, after: FinishedRun, folder: ComparisonFolder
) -> tuple[str | None, dict[str, str]]:
    """Compare two runs, and return why that was refused, or None, and the hashes of its files.

    Args:
        before: The first run.
        after: The second run.
        folder: Where the comparison is written, without its file of rows: that holds all texts, and
            would be most of the site.

    Raises:
        OutputError: A file cannot be written.
    """
    try:
        compared = compare_runs(before, after, folder)
    except UsageError as error:
        return without_folders(error.message, before.folder.path, after.folder.path), {}
    result = {**compared.result, "gates": []}
    write_comparison_page(folder.page, result, compared, rows_file=False)
    folder.write_result(result)
    with output_errors(folder.rows_path):
        folder.rows_path.unlink()
    return None, _hashes(folder)


def _hashes(folder: ComparisonFolder) -> dict[str, str]:
    """Return name -> SHA-256 of the files in a folder; nothing if there is no such folder."""
    if not folder.path.is_dir():
        return {}
    return {file.name: sha256_of(file) for file in sorted(folder.path.iterdir())}


def without_folders(message: str, *runs: Path) -> str:
    """Return a message that names runs by the names of their folders, as pages may have it.

    Args:
        message: The message, which may have paths of the runs.
        runs: The folders of the runs.
    """
    for run in runs:
        message = message.replace(visible(str(run)), visible(run.name))
    return message
