"""One whole run: check, load, plan, explain, finish, render. And one text by itself."""

from collections.abc import Iterator
from contextlib import ExitStack

from saliency_cli.attribution.engine import explain
from saliency_cli.cli.console import Advance, Console, warnings
from saliency_cli.errors import UsageError
from saliency_cli.model.devices import cores
from saliency_cli.records import BadRow, Record, Row
from saliency_cli.report import check_templates, render
from saliency_cli.runs.finalize import finish
from saliency_cli.runs.receipts import is_committed, read_receipt
from saliency_cli.runs.run_folder import INDEX, RunFolder
from saliency_cli.runs.setup import begun, build_engine
from saliency_cli.runs.shard_runner import RunContext
from saliency_cli.runs.summary import Summary, SummaryCounts
from saliency_cli.safe_text import encodable, excerpt
from saliency_cli.settings import ExecutionChoice, Question, Request
from saliency_cli.workers import EXECUTORS
from saliency_cli.workers.interface import ShardWork


def run(request: Request, console: Console) -> Summary:
    """Explain every text of the input into the output folder, and render the pages.

    With a share of the shards only those are explained, and summed up; no page is rendered.

    Raises:
        SaliencyError: what was asked for cannot be done; see the tree in `errors`.
    """
    output, share = request.output, request.division.share
    check_templates(output.pages.template_dir)
    folder = RunFolder(output.folder)
    folder.check(overwrite=output.overwrite, resume=output.resume or share is not None)
    with ExitStack() as stack:
        with console.waiting("getting ready"):
            explainer = stack.enter_context(EXECUTORS[request.engine.name](request.engine))
        job, lock = stack.enter_context(begun(request, console))
        for warning in (*_not_repeatable(job), *_idle_or_crowded(request.engine, job)):
            console.warn(warning)
        shards = range(len(job.plan.positions))
        mine = shards if share is None else share.of(shards)
        with console.progress("explaining", rows=sum(map(job.plan.size, mine))) as advance:
            left = _left(job, mine, advance=advance)
            explainer(ShardWork(job, lock, request, left, advance))
        if share is not None:
            return _shared(job, mine, console=console)
        summary, unconverged = finish(folder, job.manifest)
    with console.waiting("writing the pages"):
        folder.clear_pages()
        render(folder, output.pages)
    for warning in warnings(summary, unconverged=unconverged):
        console.warn(warning)
    console.closing(summary, report=str(folder.path / INDEX))
    return summary


def _not_repeatable(job: RunContext) -> Iterator[str]:
    """Say so if the same command may give other bytes."""
    if not job.engine.classifier.deterministic:
        yield (
            "torch has no CUDA kernel for this model that adds up in a fixed order; "
            "another run may differ in the last digits"
        )


def _idle_or_crowded(choice: ExecutionChoice, job: RunContext) -> Iterator[str]:
    """Say so if processes of this machine will wait for shards, or for each other's threads."""
    processes, shards = choice.processes, len(job.plan.positions)
    threads, room = job.manifest["threads"], cores()
    if processes > shards:
        yield f"--workers {processes}, but of shards there are {shards}; take fewer --shard-rows"
    elif processes > 1 and processes * threads > room and job.manifest["device"] == "cpu":
        yield (
            f"{processes} workers of {threads} threads get in each other's way on {room} cores; "
            f"--workers {max(1, room // threads)} would be faster"
        )


def _left(job: RunContext, numbers: range, *, advance: Advance) -> Iterator[int]:
    """Yield those of the shards that are not committed yet, and tell of the others."""
    for number in numbers:
        if is_committed(job.folder, job.manifest, number):
            advance(job.plan.size(number))
        else:
            yield number


def _shared(job: RunContext, numbers: range, *, console: Console) -> Summary:
    """Sum up this process's share of the shards."""
    tally = SummaryCounts(job.engine.classifier.labels)
    receipts = [read_receipt(job.folder, job.manifest, number) for number in numbers]
    for receipt in filter(None, receipts):
        tally.add_sums(receipt.sums)
    summary = tally.summary()
    for warning in warnings(summary, unconverged=tally.unconverged):
        console.warn(warning)
    console.closing_share(summary, shards=len(numbers), of=len(job.plan.positions))
    return summary


def answer(question: Question, console: Console) -> Record:
    """Explain one text, and return its record.

    Raises:
        SaliencyError: what was asked for cannot be done; see the tree in `errors`.
    """
    for name, text in (("TEXT", question.text), ("PAIR", question.pair or "")):
        if not encodable(text):
            raise UsageError(f"{name} is no text: {excerpt(text)} cannot be written as UTF-8")
    with console.waiting("loading the model"):
        engine = build_engine(question)
    row = Row(ordinal=0, line=1, id=None, text=question.text, pair=question.pair)
    with console.waiting("explaining"):
        (outcome,) = explain([row], engine)
    if isinstance(outcome, BadRow):
        raise UsageError(f"the text cannot be explained: {outcome.reason}")
    tally = SummaryCounts(engine.classifier.labels)
    tally.add(outcome.record())
    for warning in warnings(tally.summary(), unconverged=not outcome.converged):
        console.warn(warning)
    return outcome.record()
