"""Whether a method that draws at random gives the same scores again with another seed."""

from dataclasses import replace
from typing import Any, ClassVar

from saliency_cli.evaluation.bootstrap import mean_figure
from saliency_cli.evaluation.metrics.interface import Metric, Values
from saliency_cli.evaluation.ranks import spearman
from saliency_cli.evaluation.rescoring import Question, scores_of
from saliency_cli.evaluation.subject import Subject, evenly

TEXTS = 40
"""Texts that are explained again, an even sample."""


class Stability(Metric):
    """Spearman's correlation of a text's scores with those of the next seed."""

    name: ClassVar[str] = "stability"
    title: ClassVar[str] = "rank correlation between two seeds"
    source: ClassVar[str] = "Bansal et al. 2020"
    pitfall: ClassVar[str] = "A method that is stable may be wrong every time in the same way."

    def measure(self, subject: Subject, name: str, reference: Values) -> Values:  # noqa: ARG002
        """Return the correlation of each text of a sample.

        Args:
            subject: Texts, scores and model.
            name: The method.
            reference: Of no meaning here.
        """
        maths = subject.variants[name].maths
        seed = getattr(maths.method, "seed", None)
        if seed is None:
            return {"reason": "it draws nothing at random"}
        method = replace(maths.method, seed=seed + 1)  # type: ignore[type-var]
        chosen = evenly(len(subject.rows), most=TEXTS).tolist()
        again = scores_of(questions_of(subject, chosen), replace(maths, method=method), subject)
        return {
            "correlations": [
                round(spearman(subject.text_scores(name, text), scored.text_scores), 7)
                for text, scored in zip(chosen, again, strict=True)
                if scored is not None
            ]
        }

    def summarise(self, values: Values, reference: Values) -> dict[str, Any]:  # noqa: ARG002
        """Return the mean correlation.

        Args:
            values: What `measure` returned.
            reference: Of no meaning here.
        """
        return dict(mean_figure(values["correlations"]))


def questions_of(subject: Subject, texts: list[int]) -> list[Question]:
    """Return texts with the labels that the runs explained.

    Args:
        subject: The texts.
        texts: Their numbers.
    """
    return [Question(subject.rows[text], int(subject.labels[text])) for text in texts]
