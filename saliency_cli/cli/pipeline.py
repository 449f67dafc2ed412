"""One whole run: check, load, plan, explain, finalize, render. And one text by itself."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from saliency_cli.analysis.findings import Findings, collect_words, word_findings
from saliency_cli.analysis.suspect_checking import check_suspects
from saliency_cli.analysis.suspect_checks import suspect_lines
from saliency_cli.analysis.unknown_gold import UnknownGold
from saliency_cli.analysis.word_statistics import WordFindings
from saliency_cli.attribution.counterfactuals.answers import counterfactuals
from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.reduction import is_signed
from saliency_cli.attribution.text_checks import CHECKED_ROWS, text_warnings
from saliency_cli.cli.console import Console, warnings
from saliency_cli.cli.gates import NO_GATES, RunGates
from saliency_cli.errors import UsageError
from saliency_cli.explanations import Explanation
from saliency_cli.gates import GateResult, in_order, stored_results
from saliency_cli.model.attentions import text_attentions
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import available_cores
from saliency_cli.model.limitations import limitations
from saliency_cli.model.passes import token_batch
from saliency_cli.progress import Advance
from saliency_cli.records import BadRow, Record, Row
from saliency_cli.report import check_templates, render
from saliency_cli.report.attention_page import Subject, check_attention_file, write_attention_page
from saliency_cli.runs.finalize import finish
from saliency_cli.runs.ownership import INDEX
from saliency_cli.runs.receipts import is_committed, read_receipt
from saliency_cli.runs.request import Question, Request
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.setup import build_engine, start_run
from saliency_cli.runs.shard_runner import RunContext
from saliency_cli.runs.summary import Summary, SummaryCounts
from saliency_cli.runs.suspects_file import write_suspects
from saliency_cli.safe_text import encodable, excerpt, visible
from saliency_cli.settings import ExecutionChoice
from saliency_cli.workers import EXECUTORS
from saliency_cli.workers.interface import ShardWork
from saliency_cli.workers.launchers import open_launcher

UNKNOWN_NAMED = 3
"""Gold labels that the model does not have and that a warning names."""


def run(
    request: Request, console: Console, *, gates: RunGates = NO_GATES
) -> tuple[Summary, tuple[GateResult, ...]]:
    """Explain every text of the input into the run folder, and render the pages.

    With `--shard` only that part of the shards is explained and summed up; no page is rendered.

    Args:
        request: The options.
        console: Shows progress, warnings and the closing table.
        gates: What the run is judged by.

    Returns:
        The summary, and how each gate ended.

    Raises:
        SaliencyError: The run cannot be done as asked; see the tree in `errors`.
    """
    output, selection = request.output, request.sharding.selection
    check_templates(output.pages.template_dir)
    folder = RunFolder(output.folder)
    folder.check(overwrite=output.overwrite, resume=output.resume or selection is not None)
    with ExitStack() as stack:
        with console.waiting("getting ready"):
            executor = EXECUTORS[request.execution.name](request.execution)
            run_shards = stack.enter_context(executor)
        started = start_run(
            request, console, check=lambda engine: gates.check_labels(engine.classifier.labels)
        )
        context, lock = stack.enter_context(started)
        console.note(context.source.found)
        shards = range(len(context.plan.positions))
        own = shards if selection is None else selection.of(shards)
        for warning in (
            *limitations(context.engine.classifier),
            *_misfit_workers(request.execution, context, shards=len(own)),
        ):
            console.warn(warning)
        launcher = stack.enter_context(open_launcher(request, context, shards=len(own)))
        for warning in _text_warnings(context.engine.classifier, _first_rows(context)):
            console.warn(warning)
        with console.progress("explaining", rows=sum(map(context.plan.size, own))) as advance:
            missing = _uncommitted(context, own, advance=advance)
            run_shards(ShardWork(context, lock, request, missing, advance, launcher))
        if selection is not None:
            with console.waiting("checking the suspects"), lock.planning():
                _check_suspects_of_parts(request, context)
            return _sum_up(context, own, console=console), ()
        with console.waiting("checking the input"):
            context.source.check_content(context.manifest["hashes"]["input"])
        with console.waiting("checking the suspects"):
            words = _check_suspects(request, context)
        with console.waiting("adding up the figures"):
            judge = gates.judge_of(folder, words=words)
            summary, unconverged = finish(folder, context.manifest, judge=judge)
            results = stored_results(folder.read_manifest())
    with console.waiting("writing the pages"):
        folder.clear_pages()
        findings = render(folder, output.pages, words=words)
    for warning in (
        *_unknown_gold(summary, findings),
        *warnings(summary, unconverged=unconverged, repeats=context.engine.classifier.repeats),
    ):
        console.warn(warning)
    suspects = suspect_lines(word_findings(findings).checks)
    console.closing(
        summary, report=str(folder.path / INDEX), suspects=suspects, gates=in_order(results)
    )
    return summary, results


def _check_suspects(request: Request, context: RunContext) -> WordFindings:
    """Return the words of a run whose records are complete; write what its suspects do."""
    folder, checks = context.folder, None
    words = collect_words(folder.records())
    if request.suspects.check_suspects:
        found = check_suspects(words, folder.records(), context.engine)
        checks = [check.as_json() for check in found]
    write_suspects(folder, checks)
    return words


def _check_suspects_of_parts(request: Request, context: RunContext) -> None:
    """Check the suspects if all shards are explained, and no other process has done it.

    A process with `--shard` does it, since `saliency report`, which ends the run, has no model.
    """
    folder, shards = context.folder, range(len(context.plan.positions))
    wanted = request.suspects.check_suspects and not folder.suspects.exists()
    if wanted and all(folder.receipt(number).exists() for number in shards):
        _check_suspects(request, context)


def _unknown_gold(summary: Summary, findings: Findings) -> Iterator[str]:
    """Yield a warning if the model does not have some gold labels, with the commonest of them."""
    if summary.gold_unknown:
        counts = cast("UnknownGold", findings["unknown_gold"]).labels
        named = [f"{excerpt(label)} ({count})" for label, count in counts[:UNKNOWN_NAMED]]
        shown = ", ".join(named + ["…"] * (len(counts) > UNKNOWN_NAMED))
        yield (
            f"{summary.gold_unknown} of {summary.gold_rows} rows with a gold label have one that "
            f"the model does not have, and the accuracy leaves them out: {shown}"
        )


def _text_warnings(classifier: Classifier, rows: Sequence[Row]) -> Iterator[str]:
    return text_warnings(classifier.tokenizer, rows, max_length=classifier.max_length)


def _first_rows(context: RunContext) -> list[Row]:
    """Return the rows at the start of the input that can be explained, 200 at most."""
    count = min(CHECKED_ROWS, context.plan.size(0))
    rows = context.source.rows(context.plan.positions[0], count)
    return [row for row in rows if isinstance(row, Row)]


def _misfit_workers(choice: ExecutionChoice, context: RunContext, *, shards: int) -> Iterator[str]:
    """Yield a warning if a number of workers was given that is not a fast one."""
    if choice.workers == "auto" or choice.name != "local":
        return
    cores, available = choice.cpus_per_worker or 1, available_cores()
    if choice.workers > shards:
        yield (
            f"--workers {choice.workers} is more than the number of shards, {shards}; "
            "give fewer --shard-rows"
        )
    elif choice.workers * cores > available and context.manifest["device"] == "cpu":
        yield (
            f"{choice.workers} workers of {cores} CPUs are slower than fewer workers on "
            f"{available} cores; give --workers {max(1, available // cores)}"
        )


def _uncommitted(context: RunContext, numbers: range, *, advance: Advance) -> Iterator[int]:
    """Yield the shards that are not committed yet; count the rows of the others as done."""
    for number in numbers:
        if is_committed(context.folder, context.manifest, number):
            advance(context.plan.size(number))
        else:
            yield number


def _sum_up(context: RunContext, numbers: range, *, console: Console) -> Summary:
    """Return the summary of this process's part of the shards, and show it."""
    counts = SummaryCounts(context.engine.classifier.labels)
    receipts = [read_receipt(context.folder, context.manifest, number) for number in numbers]
    for receipt in filter(None, receipts):
        counts.add_sums(receipt.sums)
    summary = counts.summary()
    repeats = context.engine.classifier.repeats
    for warning in warnings(summary, unconverged=int(counts.unconverged), repeats=repeats):
        console.warn(warning)
    console.closing_share(summary, shards=len(numbers), of=len(context.plan.positions))
    return summary


def answer(question: Question, console: Console, *, attention_page: Path | None = None) -> Record:
    """Return the record of one text.

    Args:
        question: The text and the options.
        console: Shows progress and warnings.
        attention_page: A file to write the text's attention weights to, as a page.

    Raises:
        SaliencyError: It cannot be done as asked; see the tree in `errors`.
    """
    for name, text in (("TEXT", question.text), ("PAIR", question.pair or "")):
        if not encodable(text):
            raise UsageError(f"{name} is no text: {excerpt(text)} cannot be written as UTF-8")
    if attention_page is not None:
        check_attention_file(attention_page)
    with console.waiting("loading the model"):
        engine = build_engine(question)
    row = Row(ordinal=0, line=1, id=None, text=question.text, pair=question.pair)
    for warning in (*limitations(engine.classifier), *_text_warnings(engine.classifier, [row])):
        console.warn(warning)
    with console.waiting("explaining"):
        (outcome,) = explain([row], engine)
    if isinstance(outcome, BadRow):
        raise UsageError(f"the text cannot be explained: {outcome.reason}")
    record = outcome.record()
    counts = SummaryCounts(engine.classifier.labels)
    counts.add(record)
    unconverged, repeats = int(not outcome.converged), engine.classifier.repeats
    for warning in warnings(counts.summary(), unconverged=unconverged, repeats=repeats):
        console.warn(warning)
    record |= _answers(question, row, engine, console)
    if attention_page is not None:
        with console.waiting("writing the attention page"):
            _write_attention(attention_page, question, outcome, engine)
    return record


def _answers(question: Question, row: Row, engine: Engine, console: Console) -> Record:
    """Return what `--reduce` and `--flip` add to the record; nothing without them."""
    if not (question.reduce or question.flip):
        return {}
    with console.waiting("searching"):
        return counterfactuals(row, engine, reduce=question.reduce, flip=question.flip)


def _write_attention(
    path: Path, question: Question, explanation: Explanation, engine: Engine
) -> None:
    if explanation.windows > 1:
        raise UsageError(
            f"--attention-page needs a text that is read at once, not in {explanation.windows} "
            "windows",
            "leave out --stride",
        )
    classifier, maths = engine.classifier, engine.maths
    (attention,) = text_attentions(classifier, token_batch([explanation.encoding], classifier))
    name = visible(question.model.checkpoint.absolute().name)
    subject = Subject(name, maths.method.title, signed=is_signed(maths))
    write_attention_page(path, explanation.record(), attention, subject)
