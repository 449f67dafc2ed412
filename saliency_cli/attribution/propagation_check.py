"""Whether conservative propagation has a rule for everything that a model computes."""

from dataclasses import replace

from saliency_cli.attribution.probe_texts import TEXTS
from saliency_cli.errors import SaliencyError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.conservative import operations_without_rule
from saliency_cli.model.passes import differentiable_logits
from saliency_cli.model.tokenization import encode
from saliency_cli.safe_text import error_text
from saliency_cli.settings import PropagationName


def with_propagation(classifier: Classifier, wanted: PropagationName | None) -> Classifier:
    """Return the classifier with the propagation of its backward passes.

    Conservative propagation is left out if the model has an operation that has no rule: the
    classifier then names it in `without_rule`.

    Args:
        classifier: The model.
        wanted: What was chosen; None for a method without backward passes.
    """
    if wanted != "conservative":
        return replace(classifier, propagation="standard")
    conservative = replace(classifier, propagation="conservative")
    unknown = _operations_without_rule(conservative)
    return replace(classifier, without_rule=unknown) if unknown else conservative


def _operations_without_rule(classifier: Classifier) -> tuple[str, ...]:
    """Return what a pass over a plain text computes without a rule, or why the rules fail."""
    encodings = encode(classifier.tokenizer, TEXTS[:1], max_length=classifier.max_length)
    try:
        logits = differentiable_logits(classifier, encodings)
        logits.sum().backward()  # type: ignore[no-untyped-call]
    except SaliencyError:
        raise
    except Exception as error:  # noqa: BLE001 - the rules meet the user's own module
        return (error_text(error),)
    return tuple(operations_without_rule(classifier.module, logits))
