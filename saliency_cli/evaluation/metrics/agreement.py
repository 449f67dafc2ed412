"""How far methods agree with each other."""

from statistics import fmean
from typing import Any, ClassVar

from saliency_cli.attribution.reduction import is_signed
from saliency_cli.evaluation.bootstrap import mean_figure
from saliency_cli.evaluation.metrics.interface import Metric, Values
from saliency_cli.evaluation.ranks import overlap, spearman
from saliency_cli.evaluation.subject import Subject


class Agreement(Metric):
    """Spearman's correlation of two methods' scores, and the overlap of their first five tokens.

    Scores are compared by size where one of the two has no sign. The number of a method is the mean
    correlation with the others.
    """

    name: ClassVar[str] = "agreement"
    title: ClassVar[str] = "rank correlation with the other methods"
    source: ClassVar[str] = "Krishna et al. 2022"
    pitfall: ClassVar[str] = "Methods that agree may be wrong together."
    better: ClassVar[None] = None
    compares_methods: ClassVar[bool] = True

    def measure(self, subject: Subject, name: str, reference: Values) -> Values:  # noqa: ARG002
        """Return the correlation and the overlap of each text, by the other method.

        Args:
            subject: Texts, scores and model.
            name: The method.
            reference: Of no meaning here.
        """
        others = [other for other in subject.variants if other != name]
        if not others:
            return {"reason": "there is no other method"}
        return {other: _pair(subject, name, other) for other in others}

    def summarise(self, values: Values, reference: Values) -> dict[str, Any]:  # noqa: ARG002
        """Return the mean correlation with the others, and both numbers `with` each of them.

        Args:
            values: What `measure` returned.
            reference: Of no meaning here.
        """
        by_text = zip(*(each["spearman"] for each in values.values()), strict=True)
        pairs = {
            other: {name: mean_figure(each[name]) for name in each}
            for other, each in values.items()
        }
        return {**mean_figure([fmean(each) for each in by_text]), "with": pairs}


def _pair(subject: Subject, first: str, second: str) -> dict[str, list[float]]:
    signed = all(is_signed(subject.variants[name].maths) for name in (first, second))
    found: dict[str, list[float]] = {"spearman": [], "top5": []}
    for text in range(len(subject.rows)):
        scores = [subject.text_scores(name, text) for name in (first, second)]
        own, other = scores if signed else ([*map(abs, each)] for each in scores)
        found["spearman"].append(round(spearman(own, other), 7))
        found["top5"].append(round(overlap(own, other), 7))
    return found
