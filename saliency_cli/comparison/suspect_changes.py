"""Shortcut suspects that are new, gone, stronger or weaker in the second run."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from saliency_cli.analysis.findings import collect_words
from saliency_cli.analysis.suspect_checks import SuspectCheck, joined, short_check_phrase
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.suspects_file import read_suspects

Suspects: TypeAlias = Mapping[tuple[tuple[str, ...], str], SuspectCheck | None]
"""Words and label of a suspect -> what its check found; None if it was not checked."""
KINDS = ("new", "stronger", "weaker", "gone")
"""The kinds of change, in the order in which sentences and pages have them."""


def suspects_of(run: FinishedRun) -> Suspects:
    """Return the suspects of a run: those of its `suspects.json`, else of its records."""
    entries = read_suspects(run.folder)
    if entries is not None:
        checks = map(SuspectCheck.from_json, entries)
        return {(check.words, check.label): check for check in checks}
    found = collect_words(run.folder.records())
    words = [(each.words, each.label) for each in found.suspects]
    pairs = [(each.words, each.label) for each in found.pairs]
    return dict.fromkeys([*words, *pairs])


def suspect_changes(before: Suspects, after: Suspects) -> dict[str, list[dict[str, Any]]]:
    """Return the suspects of each kind of change, as `comparison.json` has them.

    Args:
        before: The suspects of the first run.
        after: The suspects of the second run.
    """
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for key in {**after, **before}:
        kind = _kind(before, after, key)
        if kind is not None:
            found[kind].append(_entry(key, before.get(key), after.get(key)))
    return found


def check_cell(entry: Mapping[str, Any] | None) -> str:
    """Return what the check of a suspect found, for a cell of a table; a dash if there was none.

    Args:
        entry: `before` or `after` of a suspect in `comparison.json`.
    """
    return "–" if entry is None else short_check_phrase(SuspectCheck.from_json(entry))


def _kind(before: Suspects, after: Suspects, key: tuple[tuple[str, ...], str]) -> str | None:
    if key not in before:
        return "new"
    if key not in after:
        return "gone"
    old, new = before[key], after[key]
    if old is None or new is None:
        return None
    if _exceeds(new, old):
        return "stronger"
    return "weaker" if _exceeds(old, new) else None


def _exceeds(one: SuspectCheck, other: SuspectCheck) -> bool:
    """Whether a suspect turns more labels in one run than in the other, beyond chance."""
    return one.removed.exceeds(other.removed) or one.inserted.exceeds(other.inserted)


def _entry(
    key: tuple[tuple[str, ...], str], before: SuspectCheck | None, after: SuspectCheck | None
) -> dict[str, Any]:
    words, label = key
    checks = {"before": before, "after": after}
    found = {name: None if check is None else check.as_json() for name, check in checks.items()}
    return {"word": joined(words), "words": [*words], "label": label, **found}
