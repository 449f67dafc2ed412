"""From the runs of the methods to what metrics measure, and from there to the stored values."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.replicas import open_replicas
from saliency_cli.errors import UsageError
from saliency_cli.evaluation.folder import EvaluationFolder
from saliency_cli.evaluation.metrics.interface import Metric, Values
from saliency_cli.evaluation.options import EvaluationChoice
from saliency_cli.evaluation.passes import Passes
from saliency_cli.evaluation.subject import Subject, target_values
from saliency_cli.evaluation.variants import Variant
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.model.tokenization import encode_rows
from saliency_cli.records import Record, Row
from saliency_cli.runs.finished_run import FinishedRun, open_run

Measured = dict[str, dict[str, Values]]
"""Metric -> method -> values; the values of all methods are under the name `REFERENCE`."""
REFERENCE = ""


@dataclass(frozen=True, slots=True)
class MethodRun:
    """The finished run of a method.

    Attributes:
        run: The run.
        records: Its records that can be measured, by ordinal.
    """

    run: FinishedRun
    records: Mapping[int, Record]

    @classmethod
    def open(cls, path: Path) -> "MethodRun":
        """Return the run in a folder; a row counts if it was explained and has a token."""
        run = open_run(path)
        records = {
            record["ordinal"]: record
            for record in run.records()
            if record["status"] == "ok" and not all(record["special"])
        }
        return cls(run, records)


def common_ordinals(runs: Mapping[str, MethodRun]) -> list[int]:
    """Return the ordinals of the rows that every method explained.

    Raises:
        UsageError: There are fewer than two of them.
    """
    sets = [each.records.keys() for each in runs.values()]
    found = sorted(set.intersection(*map(set, sets)))
    if len(found) < 2:
        raise UsageError(
            f"{len(found)} texts were explained by every method, and 2 are needed",
            "the report of each method in methods/ says why rows were quarantined",
        )
    return found


@contextmanager
def open_subject(
    runs: Mapping[str, MethodRun],
    variants: Sequence[Variant],
    *,
    engine: Engine,
    texts: TextsChoice,
    source: TextsChoice,
    choice: EvaluationChoice,
) -> Iterator[Subject]:
    """Yield what metrics measure.

    Args:
        runs: The runs of the methods, by name.
        variants: The methods.
        engine: The model.
        texts: The sample.
        source: The input that it was drawn from.
        choice: The options of the evaluation.

    Raises:
        UsageError: The model predicts no label, or too few texts were explained.
    """
    classifier, ordinals = engine.classifier, common_ordinals(runs)
    if classifier.head == "regression" or len(classifier.labels) < 2:
        raise UsageError(
            "evaluate measures how far a label's probability falls, and this model predicts none",
            "use a model with at least two labels",
        )
    with open_texts(texts) as opened:
        rows = [row for row in opened.all_rows() if isinstance(row, Row)]
    chosen = [rows[ordinal] for ordinal in ordinals]
    encoded = encode_rows(classifier.tokenizer, chosen, max_length=classifier.max_length)
    encodings = [each.whole for each in encoded]
    first = next(iter(runs.values())).records
    records = [first[ordinal] for ordinal in ordinals]
    with open_replicas(classifier, engine.replicas) as pool:
        passes = Passes.over(encodings, classifier, pool, engine.budget)
        labels = torch.tensor([classifier.labels.index(each["target"]) for each in records])
        yield Subject(
            rows=chosen,
            encodings=encodings,
            labels=labels,
            clean=target_values(passes.clean_logits(), labels, head=classifier.head),
            scores={
                name: [each.records[ordinal]["scores"] for ordinal in ordinals]
                for name, each in runs.items()
            },
            variants={each.name: each for each in variants},
            engine=engine,
            passes=passes,
            choice=choice,
            source=source,
        )


def measure(
    subject: Subject,
    metrics: Sequence[Metric],
    runs: Mapping[str, MethodRun],
    folder: EvaluationFolder,
    *,
    done: Callable[[], None],
) -> Measured:
    """Return the values of every metric and method; those that are stored are read.

    Args:
        subject: Texts, scores and model.
        metrics: What is measured.
        runs: The runs of the methods, by name.
        folder: Where values are stored.
        done: Called after each metric and method.
    """
    shared = _settings(subject, runs)
    hashes = {name: each.run.manifest["shards"]["sha256"] for name, each in runs.items()}
    measured: Measured = {}
    for metric in metrics:
        settings = {"metric": metric.name, **shared, **metric.settings(subject)}
        reference = folder.stored(metric.name, settings, lambda: metric.reference(subject))  # noqa: B023 - called at once
        measured[metric.name] = {REFERENCE: reference}
        for name, variant in subject.variants.items():
            own = {**settings, "records": hashes if metric.compares_methods else hashes[name]}
            own["maths"] = repr(variant.maths)
            measured[metric.name][name] = folder.stored(
                f"{metric.name}.{variant.folder}",
                own,
                lambda: metric.measure(subject, name, reference),  # noqa: B023
            )
            done()
    return measured


def _settings(subject: Subject, runs: Mapping[str, MethodRun]) -> dict[str, Any]:
    """Return what decides the values beside the metric and the method."""
    classifier, manifest = subject.engine.classifier, next(iter(runs.values())).run.manifest
    choice = asdict(subject.choice)
    texts = json.dumps([[row.text, row.pair] for row in subject.rows])
    return {
        "options": {name: choice[name] for name in ("seed", "planted_steps", "planted_layers")},
        "texts": hashlib.sha256(texts.encode()).hexdigest(),
        "model": manifest["hashes"]["model"],
        "tokenizer": manifest["hashes"]["tokenizer"],
        "versions": manifest["versions"],
        "instruction_set": manifest["instruction_set"],
        "labels": list(classifier.labels),
        "max_length": classifier.max_length,
        "dtype": str(classifier.dtype),
        "device": classifier.device.type,
        "batch_tokens": subject.engine.budget.tokens,
    }
