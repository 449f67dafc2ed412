"""What every metric declares, and what an evaluation asks of it."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, TypeAlias

from saliency_cli.evaluation.subject import Subject

Values: TypeAlias = dict[str, Any]
"""What a metric keeps of a method: values by text, as JSON. `reason` stands alone, where the metric
says nothing of the method."""


class Metric(ABC):
    """A metric: one number a method, with the values by text that it comes from.

    Attributes:
        name: The value of `--metrics`, and the key in `evaluation.json`.
        title: What the number is, for the page.
        source: Where it was published.
        pitfall: What the number does not show, in a sentence for the page.
        better: Whether a higher or a lower number is better; None where neither is.
        compares_methods: Whether a method's values depend on the other methods.
        has_curves: Whether `curves` returns some.
        is_default: Whether it is measured unless `--metrics` says otherwise.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    pitfall: ClassVar[str]
    better: ClassVar[Literal["higher", "lower"] | None] = "higher"
    compares_methods: ClassVar[bool] = False
    has_curves: ClassVar[bool] = False
    is_default: ClassVar[bool] = True

    def settings(self, subject: Subject) -> Values:  # noqa: ARG002
        """Return what else decides the values, beside the texts, the model and the options."""
        return {}

    def reference(self, subject: Subject) -> Values:  # noqa: ARG002
        """Return what is measured once, for all methods."""
        return {}

    @abstractmethod
    def measure(self, subject: Subject, name: str, reference: Values) -> Values:
        """Return the values of a method.

        Args:
            subject: Texts, scores and model.
            name: The method.
            reference: What `reference` returned.
        """

    @abstractmethod
    def summarise(self, values: Values, reference: Values) -> dict[str, Any]:
        """Return `mean` and `se`, and whatever else the metric says, from values with no `reason`.

        Args:
            values: What `measure` returned.
            reference: What `reference` returned.
        """

    def curves(self, values: Values) -> dict[str, Any]:  # noqa: ARG002
        """Return the means behind the number, where they are a curve."""
        return {}
