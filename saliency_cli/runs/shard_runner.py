"""A shard: some thousand rows that are read, explained and committed as one, whoever runs it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from saliency_cli import signals
from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.text_state import quarantined
from saliency_cli.errors import UsageError
from saliency_cli.inputs.text_source import Source
from saliency_cli.records import BadRow, Explanation, Row
from saliency_cli.runs.crash_journal import (
    crash_limit_error,
    crash_limit_reached,
    journal,
    next_step,
    read_history,
)
from saliency_cli.runs.receipts import Receipt, write_receipt
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.shard_plan import Plan
from saliency_cli.runs.summary import SummaryCounts
from saliency_cli.safe_text import visible

Done: TypeAlias = Callable[[Row | BadRow], None]


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every shard of a run has in common."""

    folder: RunFolder
    manifest: dict[str, Any]
    plan: Plan
    source: Source
    engine: Engine


def explain_shard(job: RunContext, number: int, *, done: Done = lambda _row: None) -> Receipt:
    """Commit a shard, which must be locked; the one way in which any engine does it.

    What its journal tells of earlier attempts comes first: rows that may have killed a process are
    tried by themselves, and what is found guilty is quarantined.

    Raises:
        UsageError: the input is no longer what was planned.
        OutputError: the records cannot be written.
        CheckpointError: it kills every process, and no row can be blamed.
    """
    path = job.folder.journal(number)
    with journal(path) as log:
        job = replace(job, engine=replace(job.engine, watch=log.watch))
        while True:
            history = read_history(path)
            if crash_limit_reached(history):
                raise crash_limit_error(number)
            step = next_step(history)
            if step.crashing_row is not None:
                log.write(crashing_row=step.crashing_row)
                continue
            with log.attempt(step.rows):
                if step.rows is None:
                    return _commit(job, number, crashing_row=history.quarantined, done=done)
                _probe(job, number, rows=step.rows)


def _probe(job: RunContext, number: int, *, rows: tuple[int, ...]) -> None:
    """Explain some rows by themselves, to see whether the process lives on."""
    wanted = set(rows)
    alone = (row for row in _planned_rows(job, number) if row.ordinal in wanted)
    for _outcome in explain(alone, job.engine):
        signals.check()


def _commit(job: RunContext, number: int, *, crashing_row: list[int], done: Done) -> Receipt:
    """Write the records of a shard, then its receipt; only with both it counts as done."""
    tally = SummaryCounts(job.engine.classifier.labels)
    rows = _quarantine_crashing_rows(_planned_rows(job, number), set(crashing_row))
    with job.folder.record_writer(number) as writer:
        for outcome in explain(rows, job.engine, done=done):
            signals.check()
            record = outcome.record()
            writer.write(record)
            tally.add(record)
            tally.unconverged += isinstance(outcome, Explanation) and not outcome.converged
    receipt = Receipt(writer.sha256.hexdigest(), tally.sums())
    write_receipt(job.folder, number, receipt)
    job.folder.journal(number).unlink()
    return receipt


def _planned_rows(job: RunContext, number: int) -> Iterator[Row | BadRow]:
    """Read the rows of a shard.

    Raises:
        UsageError: there are not as many as were planned.
    """
    count = 0
    for row in job.source.rows(job.plan.positions[number], job.plan.size(number)):
        yield row
        count += 1
    if count != job.plan.size(number):
        raise UsageError(
            f"{visible(job.source.name)} has changed since its rows were counted",
            "explain it again, with --overwrite",
        )


def _quarantine_crashing_rows(
    rows: Iterator[Row | BadRow], crashing_row: set[int]
) -> Iterator[Row | BadRow]:
    """Quarantine the rows that kill their process, and any that say the same."""
    texts = set()
    for row in rows:
        if not isinstance(row, Row):
            yield row
            continue
        if row.ordinal in crashing_row:
            texts.add((row.text, row.pair))
        known = (row.text, row.pair) in texts
        yield quarantined(row, "the process died on it, twice by itself") if known else row
