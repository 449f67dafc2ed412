"""`--fail-on` of the commands: from the options to gates, and from results to an exit code."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saliency_cli.analysis.word_statistics import WordFindings
from saliency_cli.cli.console import show_failure
from saliency_cli.cli.suggestions import nearest_or_all
from saliency_cli.errors import UsageError
from saliency_cli.gates import Gate, GateNames, GateResult, Measured, Part, judge, parse_gates
from saliency_cli.gates.run_numbers import RUN_NAMES, RunNumbers
from saliency_cli.runs.finalize import GateJudge
from saliency_cli.runs.finished_run import FinishedRun, open_run
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.summary import Summary
from saliency_cli.safe_text import excerpt, visible
from saliency_cli.settings import GateChoice

GATE_FAILED = 1
"""The exit code of a run that fails a gate; it takes precedence over that of quarantined rows."""


@dataclass(frozen=True, slots=True)
class RunGates:
    """The gates of one command on a run.

    Attributes:
        gates: The gates.
        baseline: The run that relative bounds depend on, or None.
        partly: Whether the accuracy may leave out rows with an unknown gold label.
    """

    gates: tuple[Gate, ...] = ()
    baseline: FinishedRun | None = None
    partly: bool = False

    def check_labels(self, labels: Sequence[str]) -> None:
        """Check that gates on a label name one of the model's, before texts are explained.

        Args:
            labels: The model's labels.

        Raises:
            UsageError: A label is none of them.
        """
        for gate in self.gates:
            part = gate.part
            if gate.name in RUN_NAMES.of_labels and part is not None and part.value not in labels:
                raise UsageError(
                    f"--fail-on {excerpt(str(gate))}: the model has no label {excerpt(part.value)}",
                    nearest_or_all(part.value, labels, any_case=True),
                )

    def judge_of(self, folder: RunFolder, *, words: WordFindings | None = None) -> GateJudge:
        """Return the function that judges a run by its summary.

        Args:
            folder: The run's folder, with its records and the check of its suspects.
            words: The words of the records, where they are known.
        """
        before = None
        if self.baseline is not None:
            before = RunNumbers.of(self.baseline, partly=self.partly)

        def judge_summary(summary: Summary) -> list[dict[str, Any]]:
            numbers = RunNumbers(summary, folder, self.partly, words)
            results = judge(self.gates, numbers, baseline=before)
            return [each.as_json() for each in results]

        return judge_summary


NO_GATES = RunGates()


def choose_gates(choice: GateChoice, *, folder: Path) -> RunGates:
    """Return the gates that were given, with the baseline opened, before anything slow is done.

    Args:
        choice: The options.
        folder: The folder of the run that is judged.

    Raises:
        UsageError: An expression is refused, or the baseline is missing, not finished, or given
            for no gate.
    """
    gates = parse_gates(choice.fail_on or (), names=RUN_NAMES)
    relative = [gate for gate in gates if gate.relation]
    baseline = choice.baseline_run
    if baseline is None:
        if relative:
            raise UsageError(
                f"--fail-on {visible(str(relative[0]))} needs a run to compare with",
                "name the folder of a finished run with --baseline-run",
            )
        return RunGates(gates, partly=choice.allow_unknown_gold)
    if not relative:
        raise UsageError(
            "--baseline-run is for gates on a baseline, and no --fail-on has one",
            "add one, such as --fail-on 'accuracy<baseline-0.01', or leave it out",
        )
    if baseline.resolve() == folder.resolve():
        raise UsageError(
            f"--baseline-run {visible(str(baseline))} is the folder of the run itself",
            "keep the earlier run in another folder",
        )
    return RunGates(gates, open_run(baseline), choice.allow_unknown_gold)


def judge_again(run: FinishedRun, gates: RunGates) -> None:
    """Replace the results in the manifest of a finished run; the process must have locked it.

    Args:
        run: The run.
        gates: What it is judged by.

    Raises:
        OutputError: The manifest cannot be written.
    """
    results = gates.judge_of(run.folder)(run.summary)
    run.folder.write_manifest({**run.manifest, "gates": results})


def exit_code(results: Iterable[GateResult], otherwise: int) -> int:
    """Print a line for each gate that fails, and return the exit code.

    Args:
        results: How the gates ended.
        otherwise: The exit code if none fails.
    """
    failures = [each for each in results if each.fails]
    for each in failures:
        show_failure(each.sentence)
    return GATE_FAILED if failures else otherwise


@dataclass(frozen=True, slots=True)
class EvaluationNumbers:
    """The numbers of an evaluation, as METRIC.METHOD."""

    result: Mapping[str, Any]

    def measure(self, name: str, part: Part | None) -> Measured:  # noqa: ARG002 - it has no parts
        """Return the mean of a metric; see `gates.Figures`."""
        metric, _, method = name.partition(".")
        return Measured(self.result["methods"][method][metric]["mean"])


def evaluation_names(names: Iterable[str]) -> GateNames:
    """Return what a gate on an evaluation can be about."""
    return GateNames(
        (*names,), owner="the evaluation", example="planted.smoothgrad<0.9", has_baseline=False
    )
