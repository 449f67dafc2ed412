"""Whether the scores change when the model's weights are exchanged for random ones."""

from collections.abc import Iterator
from statistics import fmean
from typing import Any, ClassVar

from saliency_cli.evaluation.bootstrap import mean_figure
from saliency_cli.evaluation.layers import Group, randomised, weight_groups
from saliency_cli.evaluation.metrics.interface import Metric, Values
from saliency_cli.evaluation.metrics.stability import questions_of
from saliency_cli.evaluation.ranks import spearman
from saliency_cli.evaluation.rescoring import scores_of
from saliency_cli.evaluation.subject import Subject, evenly

TEXTS = 20
"""Texts that are explained again at each stage, an even sample."""


class Randomisation(Metric):
    """Spearman's correlation of the scores with those of a model whose weights are random.

    From the top down: the head, then also the upper half of the layers, then all layers. The number
    is the mean over the stages; scores that explain the model have a low one.
    """

    name: ClassVar[str] = "randomisation"
    title: ClassVar[str] = "rank correlation with the scores of a model with random weights"
    source: ClassVar[str] = "Adebayo et al. 2018; Hedström et al. 2024"
    pitfall: ClassVar[str] = (
        "A high number shows that scores do not depend on what the model has learned; a low one "
        "shows no more than that they change, as those of any noisy method do."
    )
    better: ClassVar[Any] = "lower"

    def measure(self, subject: Subject, name: str, reference: Values) -> Values:  # noqa: ARG002
        """Return the correlation of each text of a sample at each stage.

        Args:
            subject: Texts, scores and model.
            name: The method.
            reference: Of no meaning here.
        """
        classifier = subject.engine.classifier
        chosen = evenly(len(subject.rows), most=TEXTS).tolist()
        questions = questions_of(subject, chosen)
        maths = subject.variants[name].maths
        stages: dict[str, list[float]] = {}
        for stage, names in _stages(weight_groups(classifier)):
            other = randomised(classifier, names, seed=subject.choice.seed)
            scored = scores_of(questions, maths, subject, classifier=other)
            stages[stage] = [
                0.0
                if each is None
                else round(spearman(subject.text_scores(name, text), each.text_scores), 7)
                for text, each in zip(chosen, scored, strict=True)
            ]
        return {"stages": stages} if stages else {"reason": "the model has no layer to exchange"}

    def summarise(self, values: Values, reference: Values) -> dict[str, Any]:  # noqa: ARG002
        """Return the mean over the stages, and each stage.

        Args:
            values: What `measure` returned.
            reference: Of no meaning here.
        """
        stages = values["stages"]
        means = [fmean(each) for each in zip(*stages.values(), strict=True)]
        return {
            **mean_figure(means),
            "stages": {name: mean_figure(each) for name, each in stages.items()},
        }


def _stages(groups: list[Group]) -> Iterator[tuple[str, list[str]]]:
    """Yield the stages from the top down, each with the parameters that get other values."""
    layers = len(groups) - 1
    counts = {"head": 0, "upper half": -(-layers // 2), "all layers": layers}
    seen: set[int] = set()
    for stage, count in counts.items():
        if groups and count not in seen:
            seen.add(count)
            yield stage, [name for group in groups[: count + 1] for name in group]
