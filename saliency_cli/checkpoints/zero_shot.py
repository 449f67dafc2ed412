"""Make a classifier of a model of natural language inference, by `--hypothesis` and `--labels`.

As transformers' zero-shot pipeline does: the logit of a label is the entailment logit of its
hypothesis; with `--multi-label`, the contradiction logit is subtracted from it.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from saliency_cli.attribution.probe_texts import TEXT, TEXTS
from saliency_cli.checkpoints.build import BuiltModel
from saliency_cli.checkpoints.labels import set_label_names
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.embedding_layer import find_embedding_layer
from saliency_cli.model.hypotheses import Entailment, HypothesisClassifier, Tail
from saliency_cli.model.output_logits import read_logits
from saliency_cli.model.passes import clean_passes, token_batch
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Encoding
from saliency_cli.safe_text import excerpt, listed
from saliency_cli.settings import ModelChoice

PLACE = "{}"
"""Where the label's name stands in the template."""
TOLERANCE = 1e-3
"""How far the logit of a hypothesis in a batch may be from that of the pair alone, as a share of
the largest (or of 1 if that is larger)."""


def check_template(choice: ModelChoice, names: Sequence[str] | None) -> None:
    """Raise an error unless the options of a zero-shot classifier fit each other.

    Args:
        choice: The user's options; without `hypothesis` there is nothing to check.
        names: The names of `--labels`.

    Raises:
        UsageError: The labels are missing, the template has no place for them, or another option
            cannot be combined with it.
    """
    if choice.hypothesis is None:
        return
    if choice.hypothesis.count(PLACE) != 1:
        raise UsageError(
            f"--hypothesis {excerpt(choice.hypothesis)!r}: {PLACE} must stand once in it, in the "
            "place of the label's name",
            "write it as in --hypothesis 'This text is about {}.'",
        )
    if names is None:
        raise UsageError(
            "--hypothesis needs the names of the labels", "name a file of them with --labels"
        )
    if len(names) < 2:
        raise UsageError("--hypothesis needs two labels or more", "add labels to --labels")
    if choice.embedding_layer is not None or choice.embeddings_block:
        raise UsageError(
            "--hypothesis explains the embeddings of the text alone, and no other layer",
            "leave out --embedding-layer and --preset allennlp",
        )


def with_hypotheses(
    built: BuiltModel,
    tokenizer: Any,  # noqa: ANN401
    choice: ModelChoice,
    names: Sequence[str],
    *,
    pad_id: int,
    inputs: Sequence[str],
) -> BuiltModel:
    """Return a model of natural language inference as a classifier of texts.

    Args:
        built: The model.
        tokenizer: Its tokenizer.
        choice: The options, with the template.
        names: The labels' names.
        pad_id: The id to pad with.
        inputs: The names of the tensors that the model's `forward` takes.

    Raises:
        CheckpointError: The model has no entailment label, or does not read a hypothesis behind the
            text.
    """
    entailment = _entailment(built.config, multi_label=choice.multi_label)
    template = choice.hypothesis or PLACE
    _, layer = find_embedding_layer(built.module, None)
    module = HypothesisClassifier(
        built.module,
        layer,
        [_tail(tokenizer, template.replace(PLACE, name)) for name in names],
        entailment=entailment,
        pad_id=pad_id,
        inputs=inputs,
    ).eval()
    config = deepcopy(built.config)
    config.problem_type = None
    set_label_names(config, tuple(names), outputs=len(names))
    return replace(built, module=module, config=config, added_tokens=module.longest)


def _entailment(config: Any, *, multi_label: bool) -> Entailment:  # noqa: ANN401
    """Return how the logits are read, by the same labels as the zero-shot pipeline's."""
    labels = {int(index): str(name) for index, name in (config.id2label or {}).items()}
    found = [index for index in sorted(labels) if labels[index].lower().startswith("entail")]
    if not found or len(labels) < 2:
        raise CheckpointError(
            "--hypothesis needs a model of natural language inference, and none of this model's "
            f"labels begins with 'entail': {listed([*labels.values()])}",
            "correct id2label in config.json, or leave out --hypothesis",
        )
    label = found[0]
    return Entailment(label, (0 if label else max(labels)) if multi_label else None)


def _tail(tokenizer: Any, hypothesis: str) -> Tail:  # noqa: ANN401
    """Return what the tokenizer's template puts behind a text that the hypothesis follows."""
    alone, pair = tokenizer([TEXT, (TEXT, hypothesis)]).encodings
    length = len(alone.ids)
    if pair.ids[:length] != alone.ids or pair.type_ids[:length] != alone.type_ids:
        raise CheckpointError(
            "--hypothesis: the tokenizer does not put a second text behind the tokens of the first",
            "use a model with an encoder, such as BERT, RoBERTa, DeBERTa or BART",
        )
    return Tail(tuple(pair.ids[length:]), tuple(pair.type_ids[length:]))


def check_hypotheses(classifier: Classifier) -> None:
    """Check that a zero-shot classifier gives each text and hypothesis the logit of the pair alone.

    The shortest and the longest hypothesis are compared: one has padding behind it.

    Args:
        classifier: A classifier that runs; any other than a zero-shot classifier passes.

    Raises:
        CheckpointError: A logit differs.
    """
    module = classifier.module
    if not isinstance(module, HypothesisClassifier):
        return
    encodings = encode(classifier.tokenizer, TEXTS, max_length=classifier.max_length)
    together = clean_passes(classifier, token_batch(encodings, classifier)).logits
    lengths = [len(tail.ids) for tail in module.tails]
    for index in {lengths.index(min(lengths)), lengths.index(max(lengths))}:
        alone = torch.cat([_alone(module, each, index, classifier.device) for each in encodings])
        difference = (together[:, index] - alone).abs().max()
        if difference > TOLERANCE * together.abs().max().clamp(min=1):
            raise CheckpointError(
                "--hypothesis: the model's logits of a text and a hypothesis depend on the padding "
                "behind them",
                "use a model with an encoder, such as BERT, RoBERTa, DeBERTa or BART",
            )


def _alone(
    module: HypothesisClassifier, encoding: Encoding, index: int, device: torch.device
) -> Tensor:
    """Return the logit [1] of one pair that is run by itself."""
    tail = module.tails[index]
    ids = torch.tensor([[*encoding.ids, *tail.ids]], device=device)
    tensors = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.tensor([[*encoding.type_ids, *tail.type_ids]], device=device),
    }
    with torch.no_grad():
        output = module.model(**{name: tensors[name] for name in module.inputs})
    return module.entailment.of(read_logits(output)).cpu()
