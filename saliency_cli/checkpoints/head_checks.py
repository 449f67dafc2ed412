"""Recognise weights without a classification head: an encoder alone, or with another head."""

from collections.abc import Collection, Iterable
from typing import Any

from saliency_cli.errors import CheckpointError
from saliency_cli.model.transformers_import import PreTrainedModel
from saliency_cli.safe_text import excerpt, listed, visible

CLASSIFIER_SUFFIX = "ForSequenceClassification"
KINDS = {
    "ForMaskedLM": "a masked language model",
    "ForPreTraining": "a pre-trained language model",
    "ForCausalLM": "a language model",
    "LMHeadModel": "a language model",
    "ForConditionalGeneration": "a model that generates text",
    "ForTokenClassification": "a classifier of tokens",
    "ForQuestionAnswering": "a model that answers questions",
    "ForMultipleChoice": "a model for multiple choice",
    "ForNextSentencePrediction": "a model of next sentences",
    "Model": "an encoder without a head",
}
"""The ends of transformers' class names, and what such a model is."""


def check_has_head(
    model: type[PreTrainedModel],
    config: Any,  # noqa: ANN401
    *,
    expected: Iterable[str],
    missing: Collection[str],
    unexpected: Iterable[str],
    name: str,
) -> None:
    """Raise an error if the weights fit the encoder of a classifier, but not its head.

    Args:
        model: The classifier's class.
        config: The transformers config, which may name the class that was saved.
        expected: The keys of the classifier.
        missing: Those that the file lacks.
        unexpected: Keys of the file that the classifier lacks.
        name: The checkpoint's path, for messages.

    Raises:
        CheckpointError: All weights of the head are missing, or some weights are and the config
            names a model with another head.
    """
    prefix = f"{model.base_model_prefix}."
    head = {key for key in expected if not key.startswith(prefix)}
    encoder = {key for key in expected if key.startswith(prefix)}
    kind = _saved_kind(config)
    # Else the weights are those of another model, or have prefixes that were not all removed.
    has_encoder = len(encoder.intersection(missing)) < len(encoder) / 2
    lacks_head = bool(head) and head.issubset(missing)
    if not (has_encoder and missing and (lacks_head or kind is not None)):
        return
    found = kind or "an encoder"
    others = [*unexpected]
    beside = f" with {listed(sorted(others), most=3)}" if others else ""
    raise CheckpointError(
        f"{visible(name)} has no head for the classification of texts: it holds {found}{beside}; "
        f"{model.__name__} also needs {listed(sorted(missing))}",
        "missing weights are never initialised at random; give the model that was fine-tuned as "
        f"{model.__name__}, or one of your own with --arch",
    )


def _saved_kind(config: Any) -> str | None:  # noqa: ANN401
    """Return what was saved, by the class that the config names; None for a classifier of texts."""
    names = [str(name) for name in getattr(config, "architectures", None) or ()]
    if any(name.endswith(CLASSIFIER_SUFFIX) for name in names):
        return None
    for name in names:
        for suffix, kind in KINDS.items():
            if name.endswith(suffix):
                return f"{kind} ({excerpt(name)})"
    return None
