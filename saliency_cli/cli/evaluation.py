"""One whole evaluation: draw the sample, run every method over it, measure, write the result."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from saliency_cli.attribution.engine import Engine
from saliency_cli.cli.console import Console
from saliency_cli.cli.pipeline import run
from saliency_cli.evaluation.folder import EvaluationFolder
from saliency_cli.evaluation.measuring import MethodRun, measure, open_subject
from saliency_cli.evaluation.metrics import choose_metrics
from saliency_cli.evaluation.metrics.interface import Metric
from saliency_cli.evaluation.options import EvaluationChoice
from saliency_cli.evaluation.results import Result, build_result
from saliency_cli.evaluation.sample import write_sample
from saliency_cli.evaluation.table import table_lines
from saliency_cli.evaluation.variants import Variant
from saliency_cli.gates import GateResult
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.progress import Advance
from saliency_cli.report.evaluation import write_evaluation_page
from saliency_cli.runs.request import Request
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.setup import build_engine
from saliency_cli.runs.summary import Summary
from saliency_cli.safe_text import visible
from saliency_cli.settings import (
    Compute,
    ExecutionChoice,
    ModelChoice,
    OutputChoice,
    SuspectChoice,
)


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """An evaluation, as the command line asks for it."""

    model: ModelChoice
    texts: TextsChoice
    compute: Compute
    output: OutputChoice
    execution: ExecutionChoice
    choice: EvaluationChoice
    variants: Sequence[Variant]

    def of_method(self, variant: Variant, texts: TextsChoice) -> Request:
        """Return the request of a method's run over the sample.

        Args:
            variant: The method.
            texts: The sample.
        """
        folder = EvaluationFolder(self.output.folder).run(variant)
        return Request(
            model=self.model,
            texts=texts,
            compute=self.compute,
            maths=variant.maths,
            output=replace(self.output, folder=folder),
            execution=self.execution,
            suspects=SuspectChoice(check_suspects=False),
        )


class _MethodConsole(Console):
    """The console of a method's run: names the method, times it, and prints no closing table.

    Attributes:
        seconds: The time in which the texts were explained.
    """

    def __init__(self, name: str, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._name = name
        self.seconds = 0.0

    @contextmanager
    def progress(self, what: str, *, rows: int) -> Iterator[Advance]:
        """Show a progress bar with the method's name, and time the block."""
        start = time.monotonic()
        with super().progress(f"{self._name}: {what}", rows=rows) as advance:
            yield advance
        self.seconds += time.monotonic() - start

    def warn(self, message: str) -> None:
        """Print a warning that names the method."""
        super().warn(f"{self._name}: {message}")

    def closing(
        self,
        summary: Summary,
        *,
        report: str,
        suspects: Sequence[str] = (),
        gates: Sequence[GateResult] = (),
    ) -> None:
        """Print nothing: the table of the evaluation follows."""


def run_evaluation(request: EvaluationRequest, *, quiet: bool) -> tuple[Result, int]:
    """Run and measure every method, and write the result.

    Args:
        request: The options.
        quiet: Whether nothing but errors is printed.

    Returns:
        What `evaluation.json` holds, and the largest exit code of the runs.

    Raises:
        SaliencyError: The evaluation cannot be done as asked; see the tree in `errors`.
    """
    choice, output, console = request.choice, request.output, Console(quiet=quiet)
    metrics = choose_metrics(choice)
    folder = EvaluationFolder(output.folder)
    folder.check(overwrite=output.overwrite, resume=output.resume)
    with console.waiting("drawing the sample"):
        if output.overwrite:
            folder.sample.unlink(missing_ok=True)
        texts = write_sample(request.texts, folder.sample, limit=choice.limit)
    with open_texts(request.texts) as source:
        console.note(source.found)
    summaries = [
        _run_method(request, variant, texts, folder=folder, quiet=quiet)
        for variant in request.variants
    ]
    runs = {each.name: MethodRun.open(folder.run(each)) for each in request.variants}
    result = _measure(request, metrics, texts, runs, folder=folder, console=console)
    with console.waiting("writing the result"):
        folder.write_result(result)
        records = {name: each.records for name, each in runs.items()}
        write_evaluation_page(folder.page, result, records)
    console.lines([*table_lines(result, metrics), "", *result["verdict"]])
    return result, max(summary.exit_code for summary in summaries)


def _run_method(
    request: EvaluationRequest,
    variant: Variant,
    texts: TextsChoice,
    *,
    folder: EvaluationFolder,
    quiet: bool,
) -> Summary:
    """Explain the sample by a method; store how long it took if it was done in one go."""
    run_folder = RunFolder(folder.run(variant))
    is_new = request.output.overwrite or not run_folder.existing_files()
    console = _MethodConsole(variant.name, quiet=quiet)
    summary, _gates = run(request.of_method(variant, texts), console)
    if is_new:
        seconds = float(f"{console.seconds / max(1, summary.rows):.3g}")
        folder.write_seconds({**folder.seconds(), variant.name: seconds})
    return summary


def _measure(
    request: EvaluationRequest,
    metrics: Sequence[Metric],
    texts: TextsChoice,
    runs: Mapping[str, MethodRun],
    *,
    folder: EvaluationFolder,
    console: Console,
) -> Result:
    with console.waiting("loading the model"):
        engine = _measuring_engine(request, texts)
    opened = open_subject(
        runs,
        request.variants,
        engine=engine,
        texts=texts,
        source=request.texts,
        choice=request.choice,
    )
    work = len(metrics) * len(runs)
    with opened as subject, console.progress("measuring", rows=work) as advance:
        measured = measure(subject, metrics, runs, folder, done=lambda: advance(1))
        return build_result(
            measured,
            metrics,
            runs,
            texts=len(subject.rows),
            seconds=folder.seconds(),
            settings=_settings(request, runs),
        )


def _measuring_engine(request: EvaluationRequest, texts: TextsChoice) -> Engine:
    """Return the engine of the metrics; they compare small differences, so float32 is the default.

    Args:
        request: The options.
        texts: The sample.
    """
    compute = request.compute
    if compute.dtype == "auto":
        compute = replace(compute, dtype="float32")
    request_of_one = request.of_method(request.variants[0], texts)
    return build_engine(replace(request_of_one, compute=compute))


def _settings(request: EvaluationRequest, runs: Mapping[str, MethodRun]) -> dict[str, object]:
    """Return the options of an evaluation, as `evaluation.json` shows them."""
    manifests = {name: each.run.manifest for name, each in runs.items()}
    first = next(iter(manifests.values()))
    choice = request.choice
    return {
        "model": first["model"]["name"],
        "input": visible(request.texts.path.rpartition("/")[2]),
        "hashes": first["hashes"],
        "versions": first["versions"],
        "device": first["device"],
        "limit": choice.limit,
        "seed": choice.seed,
        "sampled": first["counts"]["rows"],
        "planted_steps": choice.planted_steps,
        "planted_layers": choice.planted_layers,
        "methods": {name: each["method"] for name, each in manifests.items()},
        "options": {name: each["options"] for name, each in manifests.items()},
        "folders": {each.name: each.folder for each in request.variants},
    }
