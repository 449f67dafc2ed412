"""What the page of a site shows: an entry for each run, and the folders that were left out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from saliency_cli.figures.chance import wilson_interval
from saliency_cli.gates import GateResult, stored_results
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.summary import Summary


class Suspect(NamedTuple):
    """A shortcut suspect: its word, or its two words, and its label."""

    word: str
    label: str


@dataclass(frozen=True, slots=True)
class Change:
    """A run compared with the run before.

    Attributes:
        before: name of the folder of the run before.
        verdict: the sentences of the comparison; none if it was refused.
        refused: why they cannot be compared, or None.
    """

    before: str
    verdict: tuple[str, ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run as the page shows it.

    Attributes:
        name: name of its folder.
        part: name of its folder in the site.
        model: name of the model.
        input: name of the input.
        rows: number of rows.
        quarantined: number of quarantined rows.
        accuracy: share of correct predictions, or None.
        interval: its 95 % interval, or None.
        suspects: its shortcut suspects.
        new_suspects: those that the run before does not have.
        gates: how many gates failed, warned and passed.
        change: the comparison with the run before; None of the first run.
    """

    name: str
    part: str
    model: str
    input: str
    rows: int
    quarantined: int
    accuracy: float | None
    interval: tuple[float, float] | None
    suspects: tuple[Suspect, ...]
    new_suspects: tuple[Suspect, ...]
    gates: Mapping[str, int]
    change: Change | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a folder is not in the site, and what to do; the last may be None."""

    reason: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class Site:
    """The content of a site.

    Attributes:
        runs: the runs, in the natural order of their names.
        left_out: the other folders.
    """

    runs: tuple[RunEntry, ...]
    left_out: tuple[LeftOut, ...]


GATES = ("failed", "warned", "passed")
"""How a gate ended, for counts; one that was not measured has failed or warned by its level."""


def run_entry(
    run: FinishedRun,
    part: str,
    *,
    suspects: tuple[Suspect, ...],
    before: tuple[Suspect, ...] | None,
    change: Change | None,
) -> RunEntry:
    """Return what the page shows of a run.

    Args:
        run: The run.
        part: The name of its folder in the site.
        suspects: Its shortcut suspects.
        before: Those of the run before; None of the first run, whose suspects are not new.
        change: The comparison with the run before, if there is one.
    """
    manifest, summary = run.manifest, run.summary
    return RunEntry(
        name=run.folder.path.name,
        part=part,
        model=manifest["model"]["name"],
        input=manifest["input"]["name"],
        rows=summary.rows,
        quarantined=summary.quarantined,
        accuracy=summary.accuracy,
        interval=_interval(summary),
        suspects=suspects,
        new_suspects=() if before is None else tuple(e for e in suspects if e not in before),
        gates=_gate_counts(manifest),
        change=change,
    )


def _interval(summary: Summary) -> tuple[float, float] | None:
    if summary.wrong is None or not summary.gold_known:
        return None
    return wilson_interval(summary.gold_known - summary.wrong, summary.gold_known)


def _gate_counts(manifest: Mapping[str, Any]) -> dict[str, int]:
    counts = Counter(map(_ended, stored_results(manifest)))
    return {name: counts[name] for name in GATES}


def _ended(result: GateResult) -> str:
    if result.outcome == "passed":
        return "passed"
    return "failed" if result.fails else "warned"
