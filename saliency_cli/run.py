"""One whole run: check, load, explain, commit, render."""

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch

from saliency_cli import __version__
from saliency_cli.batching import Budget
from saliency_cli.checkpoints import load
from saliency_cli.checkpoints.lengths import choose_stride
from saliency_cli.classifier import Classifier
from saliency_cli.console import Console, warnings
from saliency_cli.devices import choose_batch_tokens, choose_streams
from saliency_cli.errors import UsageError
from saliency_cli.escapes import encodable, excerpt, visible
from saliency_cli.explain import Engine, explain
from saliency_cli.heads import check_targets
from saliency_cli.probes import check_reduction
from saliency_cli.reading import Source, open_texts
from saliency_cli.records import SCHEMA, BadRow, Explanation, Record, Row
from saliency_cli.report import check_templates, render
from saliency_cli.settings import Question, Request
from saliency_cli.store import INDEX, RunFolder
from saliency_cli.streams import replicable
from saliency_cli.summary import Summary, Tally

LIBRARIES = ("tokenizers", "torch", "transformers")


def run(request: Request, console: Console) -> Summary:
    """Explain every text of the input into the output folder, and render the pages.

    Raises:
        SaliencyError: what was asked for cannot be done; see the tree in `errors`.
    """
    check_templates(request.output.pages.template_dir)
    folder = RunFolder(request.output.folder)
    folder.check(overwrite=request.output.overwrite)
    with open_texts(request.texts) as source:
        with console.waiting("loading the model"):
            engine = build_engine(request)
        folder.clear()
        tally, unsettled = _explain(source, engine, folder=folder, console=console)
        summary = tally.summary()
        folder.write_manifest(_manifest(request, engine, source=source, summary=summary))
    with console.waiting("writing the pages"):
        render(folder, request.output.pages)
    for warning in warnings(summary, unsettled=unsettled):
        console.warn(warning)
    console.closing(summary, report=str(folder.path / INDEX))
    return summary


def build_engine(request: Request | Question) -> Engine:
    """Load the model that is asked for, and see that the maths fits it."""
    classifier = load(request.model, request.compute)
    check_targets(request.maths, labels=classifier.labels, head=classifier.head)
    check_reduction(
        classifier, reduction=request.maths.reduction, objective=request.maths.objective
    )
    tokens = choose_batch_tokens(request.compute, classifier.device, classifier.module)
    budget = Budget(tokens, equal_lengths=not classifier.padding_blind)
    return Engine(
        classifier,
        request.maths,
        budget,
        streams=choose_streams(classifier.device) if replicable(classifier) else 1,
        stride=choose_stride(request.compute, classifier),
    )


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
    tally = Tally(engine.classifier.labels)
    tally.add(outcome.record())
    for warning in warnings(tally.summary(), unsettled=not outcome.settled):
        console.warn(warning)
    return outcome.record()


def _explain(
    source: Source, engine: Engine, *, folder: RunFolder, console: Console
) -> tuple[Tally, int]:
    """Write a record for every row; return their sums, and how many did not settle."""
    tally = Tally(engine.classifier.labels)
    unsettled = 0
    with (
        folder.record_writer() as writer,
        console.progress("explaining", size=source.size) as advance,
    ):
        for outcome in explain(source.rows, engine, done=lambda row: advance(row.size)):
            record = outcome.record()
            writer.write(record)
            tally.add(record)
            unsettled += isinstance(outcome, Explanation) and not outcome.settled
    return tally, unsettled


def _manifest(
    request: Request, engine: Engine, *, source: Source, summary: Summary
) -> dict[str, Any]:
    """Say what the run was, in names that mean the same on another machine: no path, no clock."""
    classifier = engine.classifier
    return {
        "schema": SCHEMA,
        "versions": _versions(),
        "model": _model(request, classifier),
        "input": {"name": visible(source.name)},
        "options": _options(request),
        "seed": request.maths.sampling.seed,
        "device": classifier.device.type,
        "dtype": str(classifier.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "attention": classifier.attention,
        "products": classifier.products,
        "rounding": float(f"{classifier.rounding:.3g}"),
        "streams": engine.streams,
        "batch_tokens": engine.budget.tokens,
        "hashes": {**classifier.hashes, "input": source.sha256()},
        "counts": asdict(summary),
    }


def _versions() -> dict[str, str]:
    versions = {name: version(name) for name in LIBRARIES}
    return {**versions, "python": platform.python_version(), "saliency": __version__}


def _model(request: Request, classifier: Classifier) -> dict[str, Any]:
    return {
        "name": visible(request.model.checkpoint.absolute().name),
        "architecture": type(classifier.module).__name__,
        "embedding_layer": classifier.embedding_name,
        "head": classifier.head,
        "labels": list(classifier.labels),
        "max_length": classifier.max_length,
        "padding_blind": classifier.padding_blind,
        "parameters": sum(weight.numel() for weight in classifier.module.parameters()),
    }


def _options(request: Request) -> dict[str, Any]:
    maths, sampling, columns = request.maths, request.maths.sampling, request.texts.columns
    return {
        "antithetic": sampling.antithetic,
        "contrast": maths.target.contrast,
        "html_rows": request.output.pages.html_rows,
        "id_column": columns.id,
        "label_column": columns.label,
        "limit": request.texts.limit,
        "method": maths.method,
        "noise": sampling.noise,
        "objective": maths.objective,
        "pair_column": columns.pair,
        "preset": request.preset,
        "reduction": maths.reduction,
        "samples": "auto" if sampling.samples is None else sampling.samples,
        "single_file": request.output.pages.single_file,
        "stride": request.compute.stride,
        "target": maths.target.name,
        "text_column": columns.text,
        "tolerance": sampling.tolerance,
        "threshold": maths.target.threshold,
        "title": None
        if request.output.pages.title is None
        else visible(request.output.pages.title),
    }
