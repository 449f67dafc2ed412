"""The folder of a site: its files, and which of them may be replaced.

DIR/index.html           the runs over time
DIR/runs/NAME/           the pages of a run, as the run has them
DIR/comparisons/NAME/    a run compared with the one before: page and figures
DIR/site.json            what each of them was made from
"""

import os
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from saliency_cli.atomic_files import TEMPORARY_SUFFIX, open_atomic, output_errors
from saliency_cli.comparison.folder import ComparisonFolder
from saliency_cli.report.page_files import is_page
from saliency_cli.runs.output_folder import check_output_folder, entries_of
from saliency_cli.runs.ownership import is_sealed
from saliency_cli.runs.plain_files import special_kind
from saliency_cli.site.state import START, SiteState

PAGE, STATE, RUNS, COMPARISONS = "index.html", "site.json", "runs", "comparisons"
MARK = '<meta name="description" content="Runs over time">'
"""What the page has near its start, and no other page."""
_PART = r"[\w.~-]+"
_FOLDERS = re.compile(rf"{COMPARISONS}(/{_PART})?|{RUNS}(/{_PART}(/pages)?)?", re.ASCII)
_PAGES_OF_RUNS = re.compile(
    rf"{RUNS}/{_PART}/(index\.html|pages/page-\d{{4,}}\.html|pages/index-\d{{4,}}\.js)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """The folder that a site is written to."""

    path: Path

    @property
    def page(self) -> Path:
        """Path of the page with the runs over time."""
        return self.path / PAGE

    def run(self, part: str) -> Path:
        """Return the path of the pages of a run, by its name in the site."""
        return self.path / RUNS / part

    def comparison(self, part: str) -> ComparisonFolder:
        """Return the comparison of a run with the one before, by its name in the site."""
        return ComparisonFolder(self.path / COMPARISONS / part)

    def check(self, *, overwrite: bool) -> None:
        """Check that a site may be written here; nothing is changed.

        Args:
            overwrite: Whether an earlier site may be updated.

        Raises:
            UsageError: The folder holds something else, or a site that may not be updated.
        """
        for entry in entries_of(self.path / COMPARISONS):
            ComparisonFolder(entry).check(overwrite=True)
        hint = "add --overwrite to update it, or use another folder with --out"
        check_output_folder(
            self.path,
            _entries(self.path),
            self._is_ours,
            holds="a site",
            hint=None if overwrite else hint,
        )

    def _is_ours(self, entry: Path) -> bool:
        """Whether a site wrote an entry: by its path and its content; comparisons check theirs."""
        name = entry.relative_to(self.path).as_posix()
        if entry.is_dir() and not entry.is_symlink():
            return _FOLDERS.fullmatch(name) is not None
        if entry.parent.parent == self.path / COMPARISONS:
            return True
        if special_kind(entry) is not None:
            return False
        final = name.removesuffix(TEMPORARY_SUFFIX)
        if final not in {PAGE, STATE} and not _PAGES_OF_RUNS.fullmatch(final):
            return False
        return final != name or _is_proved(entry, name)

    def read_state(self) -> SiteState:
        """Return what the parts of the site were made from; an empty state if it is unknown."""
        try:
            return SiteState.from_text((self.path / STATE).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return SiteState()

    def write_state(self, state: SiteState) -> None:
        """Write `site.json`.

        Raises:
            OutputError: It cannot be written.
        """
        path = self.path / STATE
        with open_atomic(path) as stream, output_errors(path):
            stream.write(state.as_text())

    def remove_parts(self, *, except_for: Collection[Path]) -> None:
        """Remove the folders of runs and comparisons that are no longer in the site.

        Args:
            except_for: The folders that stay.

        Raises:
            OutputError: One cannot be removed.
        """
        for group in (self.path / RUNS, self.path / COMPARISONS):
            with output_errors(group):
                for entry in sorted(group.iterdir()) if group.exists() else ():
                    if entry not in except_for:
                        shutil.rmtree(entry)


def _is_proved(entry: Path, name: str) -> bool:
    if name == PAGE:
        return is_page(entry, mark=MARK)
    if name == STATE:
        with entry.open("rb") as stream:
            return stream.read(len(START)) == START.encode()
    return is_sealed(entry)


def _entries(folder: Path) -> Iterator[Path]:
    """Yield all that is in a folder and its subfolders; links are not followed."""
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in (*folders, *files))
