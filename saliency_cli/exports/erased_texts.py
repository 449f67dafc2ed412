"""What `saliency evaluate` measured of a method's run: the model's answers to erased texts.

The run's folder is `DIR/methods/NAME` of an evaluation; the answers are in `DIR/metrics/`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from saliency_cli.runs.finished_run import FinishedRun

Answers: TypeAlias = Mapping[int, list[list[float]]]
"""Of each row, by ordinal, the probability of each label at each share."""

RATIONALE = 20
"""The share, in percent, that stands for the rationale where the scorer wants a single one."""
_METRICS = ("comprehensiveness", "sufficiency")


@dataclass(frozen=True, slots=True)
class ErasedTexts:
    """The answers to texts without their strongest tokens, and to these tokens alone.

    Attributes:
        labels: The model's labels, in the order of the probabilities.
        shares: Shares of a text's tokens that were erased, in percent.
        answers: The answers by metric.
    """

    labels: Sequence[str]
    shares: Sequence[int]
    answers: Mapping[str, Answers]

    @classmethod
    def of(cls, run: FinishedRun) -> "ErasedTexts | None":
        """Return the answers of a run that was evaluated as it is now; None of another."""
        found = [_stored(run, metric) for metric in _METRICS]
        if None in found:
            return None
        (shares, _), *_rest = stored = [each for each in found if each is not None]
        answers = dict(zip(_METRICS, (answers for _, answers in stored), strict=True))
        return cls(run.manifest["model"]["labels"], shares, answers)

    def has(self, ordinal: int) -> bool:
        """Whether a row was measured."""
        return all(ordinal in each for each in self.answers.values())

    def fields(self, ordinal: int) -> dict[str, Any] | None:
        """Return the scorer's fields of a row; None if it was not measured."""
        if not self.has(ordinal):
            return None
        fields = {
            f"{metric}_classification_scores": [
                dict(zip(self.labels, shares, strict=True)) for shares in each[ordinal]
            ]
            for metric, each in self.answers.items()
        }
        thresholds = [
            {"threshold": share / 100, **{name: scores[n] for name, scores in fields.items()}}
            for n, share in enumerate(self.shares)
        ]
        place = self.shares.index(RATIONALE)
        alone = {name: scores[place] for name, scores in fields.items()}
        return {**alone, "thresholded_scores": thresholds}


def _stored(run: FinishedRun, metric: str) -> tuple[list[int], Answers] | None:
    """Return shares and answers of one metric; None if there are none of these records."""
    folder = run.folder.path
    stored = _read_json(folder.parent.parent / "metrics" / f"{metric}.{folder.name}.json")
    try:
        hashes, values = stored["settings"]["records"].values(), stored["values"]
        if run.manifest["shards"]["sha256"] not in hashes:
            return None
        if stored["settings"]["labels"] != run.manifest["model"]["labels"]:
            return None
        answers = dict(zip(values["ordinals"], values["probabilities"], strict=True))
        return (values["shares"], answers) if RATIONALE in values["shares"] else None
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def _read_json(path: Path) -> Any:  # noqa: ANN401 - any JSON
    """Return what a file holds; None if there is none, or none that can be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
