"""Builds a site from a folder of runs, one run after another."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from saliency_cli.analysis.suspect_checks import joined
from saliency_cli.comparison.suspect_changes import suspects_of
from saliency_cli.errors import SaliencyError, UsageError, system_error
from saliency_cli.runs.finished_run import FinishedRun, open_run
from saliency_cli.runs.ownership import MANIFEST, sha256_of
from saliency_cli.safe_text import visible
from saliency_cli.site.comparisons import make_comparison, stored_comparison, without_folders
from saliency_cli.site.entries import Change, LeftOut, RunEntry, Site, Suspect, run_entry
from saliency_cli.site.folder import SiteFolder
from saliency_cli.site.names import natural_key, part_name
from saliency_cli.site.run_pages import copy_pages
from saliency_cli.site.state import ComparisonState, RunState, SiteState

_LONGEST_NAME = 255
"""Bytes of a file name on the usual file systems."""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run of the site.

    Attributes:
        run: the run.
        part: name of its folder in the site.
        state: its SHA-256 and its suspects.
    """

    run: FinishedRun
    part: str
    state: RunState

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """Its shortcut suspects."""
        return tuple(Suspect(*each) for each in self.state.suspects)


def build_site(runs: Path, folder: SiteFolder) -> Site:
    """Write the parts of a site, and return what its page shows.

    A run that is damaged or not finished is left out. What the site has already of a run that has
    not changed is not computed again.

    Args:
        runs: The folder of the runs.
        folder: The folder of the site, which has been checked.

    Raises:
        UsageError: There is no such folder, or no finished run in it.
        OutputError: A file cannot be written.
    """
    known, state = folder.read_state(), SiteState()
    entries: list[RunEntry] = []
    left_out: list[LeftOut] = []
    before: ListedRun | None = None
    for path in run_folders(runs, site=folder.path):
        try:
            listed = _list_run(path, folder, known)
        except (UsageError, OSError) as error:
            left_out.append(_left_out(path, error))
            continue
        state.runs[listed.part] = listed.state
        change = None
        if before is not None:
            change, state.comparisons[listed.part] = _compare(before, listed, folder, known)
        entries.append(_entry(listed, before, change))
        before = listed
    if not entries:
        raise _no_run(runs, left_out)
    kept = {folder.run(part) for part in state.runs}
    made = (part for part, each in state.comparisons.items() if each.refused is None)
    folder.remove_parts(except_for=kept | {folder.comparison(part).path for part in made})
    folder.write_state(state)
    return Site(tuple(entries), tuple(left_out))


def run_folders(runs: Path, *, site: Path) -> list[Path]:
    """Return the folders that may hold runs, in the natural order of their names.

    Hidden folders and the site itself are none of them.

    Args:
        runs: The folder that they are in.
        site: The folder of the site.

    Raises:
        UsageError: There is no such folder.
    """
    if not runs.is_dir():
        raise UsageError(f"{visible(str(runs))}: there is no such folder")
    folders = (each for each in runs.iterdir() if each.is_dir() and not each.name.startswith("."))
    others = (each for each in folders if each.resolve() != site.resolve())
    return sorted(others, key=lambda each: natural_key(each.name))


def run_sha256(run: FinishedRun) -> str:
    """Return a hash of a run: of its manifest, its suspects and its records."""
    files = [run.folder.path / MANIFEST, run.folder.suspects]
    if "shards" not in run.manifest:  # else the manifest has the hashes of the records
        files += run.folder.parts()
    lines = (f"{each.name} {sha256_of(each)}\n" for each in files if each.exists())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _list_run(path: Path, folder: SiteFolder, known: SiteState) -> ListedRun:
    """Open a run, and copy its pages into the site.

    Raises:
        UsageError, OSError: The run is damaged or not finished.
    """
    part = part_name(path.name)
    if path.is_symlink():
        raise UsageError(f"{visible(str(path))} is a symbolic link")
    if len(part) > _LONGEST_NAME:
        raise UsageError(f"the name {visible(path.name)} is too long", "give it a shorter one")
    run = open_run(path)
    sha256 = run_sha256(run)
    state = known.runs.get(part)
    if state is None or state.sha256 != sha256:
        run.check_records()
        state = RunState(sha256, tuple(_suspects(run)))
    copy_pages(run, folder.run(part))
    return ListedRun(run, part, state)


def _suspects(run: FinishedRun) -> Iterator[Suspect]:
    return (Suspect(joined(words), label) for words, label in suspects_of(run))


def _compare(
    before: ListedRun, after: ListedRun, folder: SiteFolder, known: SiteState
) -> tuple[Change, ComparisonState]:
    target = folder.comparison(after.part)
    hashes = {"before": before.state.sha256, "after": after.state.sha256}
    state = stored_comparison(target, known.comparisons.get(after.part), **hashes)
    if state is None:
        refused, files = make_comparison(before.run, after.run, target)
        state = ComparisonState(**hashes, refused=refused, files=files)
    verdict = () if state.refused is not None else tuple(target.read_result()["verdict"])
    return Change(before.run.folder.path.name, verdict, state.refused), state


def _entry(listed: ListedRun, before: ListedRun | None, change: Change | None) -> RunEntry:
    return run_entry(
        listed.run,
        listed.part,
        suspects=listed.suspects,
        before=None if before is None else before.suspects,
        change=change,
    )


def _left_out(path: Path, error: UsageError | OSError) -> LeftOut:
    told: SaliencyError = system_error(error) if isinstance(error, OSError) else error
    return LeftOut(without_folders(told.message, path), told.hint)


def _no_run(runs: Path, left_out: list[LeftOut]) -> UsageError:
    reason = f" ({left_out[0].reason})" if left_out else ""
    return UsageError(
        f"{visible(str(runs))} has no folder with a finished run{reason}",
        "give the folder that holds the folders of runs, as saliency explain wrote them with --out",
    )
