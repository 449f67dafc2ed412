"""From the values by text to `evaluation.json`."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from saliency_cli.evaluation.bootstrap import UNKNOWN, seven_digits
from saliency_cli.evaluation.measuring import REFERENCE, Measured, MethodRun
from saliency_cli.evaluation.metrics.erasure import SHARES
from saliency_cli.evaluation.metrics.interface import Metric
from saliency_cli.evaluation.verdict import verdict

SCHEMA = 1
Result = dict[str, Any]


def build_result(
    measured: Measured,
    metrics: Sequence[Metric],
    runs: Mapping[str, MethodRun],
    *,
    texts: int,
    seconds: Mapping[str, float],
    settings: Mapping[str, Any],
) -> Result:
    """Return what `evaluation.json` holds.

    Args:
        measured: The values by text.
        metrics: What was measured.
        runs: The runs of the methods, by name.
        texts: The number of texts that were measured.
        seconds: Seconds a text, of methods that were timed.
        settings: The options, for the reader.
    """
    summaries = {metric.name: _summaries(metric, measured[metric.name]) for metric in metrics}
    agreement = summaries.pop("agreement", {})
    methods = {
        name: {
            **{metric: each[name] for metric, each in summaries.items()},
            "evaluations": seven_digits(fmean(_evaluations(runs[name]))),
            "seconds": seconds.get(name),
        }
        for name in runs
    }
    described = {
        metric.name: {
            "title": metric.title,
            "source": metric.source,
            "pitfall": metric.pitfall,
            "better": metric.better,
        }
        for metric in metrics
    }
    return {
        "schema": SCHEMA,
        "texts": texts,
        "methods": methods,
        "agreement": {name: each.get("with", {}) for name, each in agreement.items()},
        "curves": {
            metric.name: _curves(metric, measured[metric.name])
            for metric in metrics
            if metric.has_curves
        },
        "shares": list(SHARES),
        "metrics": described,
        "settings": dict(settings),
        "verdict": verdict(methods),
    }


def _summaries(metric: Metric, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    reference = values[REFERENCE]
    return {
        name: {**UNKNOWN, **own} if "reason" in own else metric.summarise(own, reference)
        for name, own in values.items()
        if name != REFERENCE
    }


def _curves(metric: Metric, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the curves of a metric, of every method and of what it is compared with."""
    references = {name: values[REFERENCE].get(name) for name in ("random", "best")}
    own = {
        name: each for name, each in values.items() if name != REFERENCE and "reason" not in each
    }
    return {
        "methods": {name: metric.curves(each) for name, each in own.items()},
        "references": {name: metric.curves(each) for name, each in references.items() if each},
    }


def _evaluations(run: MethodRun) -> list[int]:
    return [record["evaluations"] for record in run.records.values()]
