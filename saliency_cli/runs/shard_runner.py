"""Explain one shard and commit it. Every executor and every worker does it through this module."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from saliency_cli import signals
from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.text_state import quarantined
from saliency_cli.explanations import Explanation
from saliency_cli.inputs.byte_source import changed_error
from saliency_cli.inputs.text_source import Source
from saliency_cli.records import BadRow, Row
from saliency_cli.runs.crash_journal import (
    crash_limit_error,
    crash_limit_reached,
    next_step,
    open_journal,
    read_history,
)
from saliency_cli.runs.receipts import Receipt, write_receipt
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.shard_plan import Plan
from saliency_cli.runs.summary import SummaryCounts

RowCallback: TypeAlias = Callable[[Row | BadRow], None]


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all shards of a run share.

    Attributes:
        folder: The run folder.
        manifest: The plan of the run, as it is written in the folder.
        plan: The division into shards that the manifest holds.
        source: The opened input.
        engine: The loaded model and the maths.
    """

    folder: RunFolder
    manifest: dict[str, Any]
    plan: Plan
    source: Source
    engine: Engine


def explain_shard(
    context: RunContext, number: int, *, done: RowCallback = lambda _row: None
) -> Receipt:
    """Explain the rows of a shard and commit them.

    If the shard's crash journal has suspects, they are first tried by themselves, and crashing rows
    are quarantined.

    Args:
        context: The run.
        number: Number of the shard, which this process must have locked.
        done: Called with each row as soon as it is explained, in any order.

    Returns:
        The receipt that was written.

    Raises:
        UsageError: If the input has changed since it was planned.
        OutputError: If the records cannot be written.
        CheckpointError: If the shard has crashed too often, and no row is to blame, or if code was
            imported that is not in the manifest's hashes.
    """
    path = context.folder.journal(number)
    with open_journal(path) as journal:
        engine = replace(context.engine, watch=journal.record_in_flight)
        context = replace(context, engine=engine)
        while True:
            history = read_history(path)
            if crash_limit_reached(history):
                raise crash_limit_error(number)
            step = next_step(history)
            if step.crashing_row is not None:
                journal.write(crashing_row=step.crashing_row)
                continue
            with journal.attempt(step.rows):
                if step.rows is None:
                    crashing_rows = set(history.quarantined)
                    return _commit(context, number, crashing_rows=crashing_rows, done=done)
                _probe(context, number, rows=set(step.rows))


def _probe(context: RunContext, number: int, *, rows: set[int]) -> None:
    """Explain some rows of a shard by themselves, to find out whether they crash the process."""
    wanted = (row for row in _planned_rows(context, number) if row.ordinal in rows)
    for _outcome in explain(wanted, context.engine):
        signals.check()


def _commit(
    context: RunContext, number: int, *, crashing_rows: set[int], done: RowCallback
) -> Receipt:
    """Write the records of a shard, then its receipt: it is committed only with both."""
    counts = SummaryCounts(context.engine.classifier.labels)
    rows = _quarantine_crashing_rows(_planned_rows(context, number), crashing_rows)
    with context.folder.record_writer(number) as writer:
        for outcome in explain(rows, context.engine, done=done):
            signals.check()
            record = outcome.record()
            writer.write(record)
            counts.add(record)
            counts.unconverged += isinstance(outcome, Explanation) and not outcome.converged
        # Before the records get their name:
        context.source.check_unchanged()
        context.engine.classifier.check_code()
    receipt = Receipt(writer.sha256.hexdigest(), counts.sums())
    write_receipt(context.folder, number, receipt)
    context.folder.journal(number).unlink()
    return receipt


def _planned_rows(context: RunContext, number: int) -> Iterator[Row | BadRow]:
    """Yield the rows of a shard.

    Raises:
        UsageError: If the input has changed since it was planned.
    """
    context.source.check_unchanged()
    planned = context.plan.size(number)
    count = 0
    for row in context.source.rows(context.plan.positions[number], planned):
        yield row
        count += 1
    if count != planned:
        raise changed_error(context.source.name)


def _quarantine_crashing_rows(
    rows: Iterator[Row | BadRow], crashing_rows: set[int]
) -> Iterator[Row | BadRow]:
    """Yield the rows, with crashing rows, and later rows of the same text, quarantined."""
    crashing_texts = set()
    for row in rows:
        if not isinstance(row, Row):
            yield row
            continue
        text = row.text, row.pair
        if row.ordinal in crashing_rows:
            crashing_texts.add(text)
        if text in crashing_texts:
            yield quarantined(row, "the process died on it, twice by itself")
        else:
            yield row
