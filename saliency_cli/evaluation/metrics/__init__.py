"""Metrics, one file each, by the name that `--metrics` takes.

To add one, write its file (copy `stability.py`) and add its class to `METRICS`.
"""

from saliency_cli.errors import UsageError
from saliency_cli.evaluation.metrics.agreement import Agreement
from saliency_cli.evaluation.metrics.comprehensiveness import Comprehensiveness
from saliency_cli.evaluation.metrics.infidelity import Infidelity
from saliency_cli.evaluation.metrics.interface import Metric
from saliency_cli.evaluation.metrics.mosaic import Mosaic
from saliency_cli.evaluation.metrics.planted import Planted
from saliency_cli.evaluation.metrics.randomisation import Randomisation
from saliency_cli.evaluation.metrics.stability import Stability
from saliency_cli.evaluation.metrics.sufficiency import Sufficiency
from saliency_cli.evaluation.options import EvaluationChoice
from saliency_cli.safe_text import excerpt

METRICS: dict[str, Metric] = {
    each.name: each
    for each in (
        Comprehensiveness(),
        Sufficiency(),
        Infidelity(),
        Mosaic(),
        Planted(),
        Randomisation(),
        Stability(),
        Agreement(),
    )
}


def choose_metrics(choice: EvaluationChoice) -> list[Metric]:
    """Return the metrics that are measured, in the order of `METRICS`.

    Raises:
        UsageError: There is no such metric.
    """
    if choice.metrics is None:
        names = {name for name, metric in METRICS.items() if metric.is_default}
    else:
        names = {each.strip() for each in choice.metrics.split(",") if each.strip()}
    for name in sorted(names - METRICS.keys()):
        raise UsageError(
            f"--metrics {excerpt(name)}: there is no such metric",
            f"give some of {', '.join(METRICS)}",
        )
    if choice.planted_steps is not None:
        names.add("planted")
    return [metric for name, metric in METRICS.items() if name in names]
