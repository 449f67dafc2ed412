"""Warnings about what a loaded model does not allow."""

from collections.abc import Iterator

from saliency_cli.model.classifier import Classifier
from saliency_cli.safe_text import listed


def limitations(classifier: Classifier) -> Iterator[str]:
    """Yield a warning for each thing that the model does not allow, and say why."""
    yield from classifier.remarks
    if classifier.without_rule:
        yield (
            f"conservative propagation has no rule for {listed(classifier.without_rule)}, which "
            "this model has; plain gradients are taken instead (--propagation standard)"
        )
    if not classifier.repeats:
        yield (
            "two passes of the model over one text differ, so no score or prediction repeats; "
            "switch dropout and random numbers off in its forward"
        )
    elif not classifier.deterministic:
        yield (
            "torch has no deterministic CUDA kernels for this model; "
            "another run may differ in the last digits"
        )
