"""HotFlip: the fewest tokens of a text whose replacement changes the model's decision.

Shapes: B texts, L tokens, H embedding dimensions, V tokens of the vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from saliency_cli.attribution.counterfactuals.predictor import (
    BEAM_WIDTH,
    Decision,
    Predictor,
    Texts,
)
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.embedding_layer import find_embedding_layer
from saliency_cli.model.heads import Target
from saliency_cli.model.passes import (
    clean_passes,
    embedding_output_shape,
    token_batch,
)
from saliency_cli.records import Encoding

MOST_REPLACED = 10
"""Tokens that are replaced at most."""
PREDICTED = 16
"""Replacements of one token more that are predicted for each text, the best by the estimate."""
TOKENIZED = 128
"""Replacements that are tokenized to find as many: half of a vocabulary may be pieces of words."""
TOKENS_A_POSITION = 8
"""Replacements of one position among them, since the estimate is rough and others may do more."""
VOCABULARY_CHUNK = 8192
"""Tokens of the vocabulary whose estimates are held at once: 16 MB for a text of 512 tokens."""


class Replacement(NamedTuple):
    """A token of the text that is replaced.

    Attributes:
        position: Its number among the tokens of the text.
        new: The text that stands in its place.
    """

    position: int
    new: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """A variant of the text with some tokens replaced.

    Attributes:
        texts: The text, or the text and its pair.
        encoding: Its tokens: those of the unchanged text, but for the replaced ones.
        replacements: The replaced tokens.
    """

    texts: Texts
    encoding: Encoding
    replacements: tuple[Replacement, ...] = ()


def with_token_embedding(classifier: Classifier, encoding: Encoding) -> Classifier:
    """Return the classifier with the table of token embeddings as its layer, and plain gradients.

    Args:
        classifier: The model; its layer may be another one.
        encoding: The tokens of a text.

    Raises:
        UsageError: No such table gives the layer's output.
    """
    name, layer = classifier.embedding_name, classifier.embedding
    if not isinstance(layer, nn.Embedding):
        try:
            name, layer = find_embedding_layer(classifier.module, None)
        except CheckpointError as error:
            raise _no_table_error() from error
    found = replace(classifier, embedding=layer, embedding_name=name, propagation="standard")
    shape = embedding_output_shape(found, encoding)
    found = replace(found, tokens_first=len(shape) == 3 and shape[:2] == (len(encoding), 1))
    output = clean_passes(found, token_batch([encoding], found)).embeddings[0]
    ids = torch.tensor(encoding.ids, device=found.device)
    if not isinstance(layer, nn.Embedding) or not torch.allclose(output, layer(ids).float()):
        raise _no_table_error()
    return found


def _no_table_error() -> UsageError:
    return UsageError(
        "--flip replaces tokens, and the layer that is explained is no table of token embeddings",
        "leave out --embedding-layer and --hypothesis, or --flip",
    )


def fewest_replaced_tokens(
    start: Replaced, decision: Decision, predictor: Predictor
) -> Replaced | None:
    """Return the variant with the fewest replaced tokens on which the decision changes.

    As in HotFlip (Ebrahimi et al., 2018), a replacement is rated by what it does to F in first
    order: the gradient at the token's embedding, times the difference of the two embeddings. F is
    the logit of the label, less the largest other logit of a single-label head. The best are then
    predicted, and the 3 variants that support the decision least go on, one token more a step.

    HotFlip replaces ids. Here a new token is written into the text, and is taken only if the
    tokenizer reads it there as that token, and the rest as before. So the prediction holds for the
    text itself, and neither a special token nor a piece of a word at a word's start is inserted.

    Args:
        start: The unchanged text.
        decision: The model's decision on it.
        predictor: Predicts the variants; its classifier is one of `with_token_embedding`.

    Returns:
        The variant, or None if none of up to 10 tokens was found.

    Raises:
        RowFailure: The tokenizer or the model fails on a variant.
    """
    beams = [start]
    for _ in range(MOST_REPLACED):
        found = {each.texts: each for each in _variants(beams, decision, predictor)}
        if not found:
            return None
        logits = predictor.logits([*found])
        columns = (decision.is_kept(logits), decision.support(logits), found.values())
        ranked = sorted(zip(*columns, strict=True), key=lambda each: each[:2])
        if not ranked[0][0]:
            return ranked[0][2]
        beams = [variant for _, _, variant in ranked[:BEAM_WIDTH]]
    return None


def _variants(
    beams: Sequence[Replaced], decision: Decision, predictor: Predictor
) -> Iterator[Replaced]:
    """Yield the best variants with one token more replaced, for each of some variants."""
    logits = predictor.logits([beam.texts for beam in beams])
    targets = [_target(decision, row) for row in logits]
    gradients = predictor.gradients([beam.encoding for beam in beams], targets)
    for beam, gradient in zip(beams, gradients, strict=True):
        downhill = -gradient if decision.assigned else gradient
        ranked = [*_ranked_replacements(beam, downhill, predictor.classifier)][:TOKENIZED]
        yield from _that_tokenize(beam, ranked, predictor)


def _target(decision: Decision, logits: Tensor) -> Target:
    """Return F for a variant with logits [C]: against the strongest other label, if only one is."""
    plus = decision.target.plus
    if decision.head == "multi-label" or len(logits) == 1:
        return Target("", plus)
    others = [index for index in logits.argsort(descending=True).tolist() if index != plus]
    return Target("", plus, others[0])


def _ranked_replacements(
    beam: Replaced, direction: Tensor, classifier: Classifier
) -> Iterator[tuple[int, int]]:
    """Yield (position, new id) for a variant, those first that move F most in first order.

    Args:
        beam: The variant.
        direction: The gradient at its tokens' embeddings, in which direction F shall move, [L, H].
        classifier: The model.
    """
    done = {each.position for each in beam.replacements}
    open_positions = [
        position
        for position, special in enumerate(beam.encoding.special)
        if not special and position not in done
    ]
    if not open_positions:
        return
    ids = torch.tensor([beam.encoding.ids[position] for position in open_positions])
    estimates, new_ids = best_estimates(direction[open_positions], ids, classifier)
    order = estimates.flatten().argsort(descending=True, stable=True)
    kept = order[estimates.flatten()[order] > 0][:TOKENIZED].tolist()
    flat_ids, most = new_ids.flatten().tolist(), new_ids.shape[1]
    yield from ((open_positions[place // most], flat_ids[place]) for place in kept)


def best_estimates(direction: Tensor, ids: Tensor, classifier: Classifier) -> tuple[Tensor, Tensor]:
    """Return the first-order estimates of the best replacements of each token, and their ids.

    Both are [L, K] and on the CPU. The estimate for the token v in place of u is g · (e_v − e_u).
    Special tokens, and ids that the tokenizer does not have, are left out.

    Args:
        direction: g, the gradient at the embeddings, [L, H].
        ids: The tokens that are replaced, [L].
        classifier: The model, whose layer is the table of token embeddings.
    """
    table, device = classifier.embedding, classifier.device
    barred = set(classifier.tokenizer.all_special_ids)
    usable = [v for v in range(len(classifier.tokenizer)) if v not in barred]
    values, tokens = [], []
    for chunk in torch.split(torch.tensor(usable, device=device), VOCABULARY_CHUNK):
        products = direction @ table(chunk).float().T
        best = products.topk(min(TOKENS_A_POSITION, len(chunk)))
        values.append(best.values.cpu())
        tokens.append(chunk.cpu()[best.indices.cpu()])
    best = torch.cat(values, dim=1).topk(min(TOKENS_A_POSITION, len(usable)))
    old = (direction * table(ids.to(device)).float()).sum(dim=1, keepdim=True).cpu()
    return best.values - old, torch.cat(tokens, dim=1).gather(1, best.indices)


def _that_tokenize(
    beam: Replaced, ranked: Sequence[tuple[int, int]], predictor: Predictor
) -> list[Replaced]:
    """Return the first variants whose text the tokenizer reads as intended."""
    tokenizer = predictor.classifier.tokenizer
    written = [
        (_written(beam, position, _spelled(tokenizer, new)), new) for position, new in ranked
    ]
    if not written:
        return []
    encodings = predictor.encode([texts for (texts, _), _ in written])
    found = []
    for ((texts, replacement), new), encoding in zip(written, encodings, strict=True):
        ids, position = beam.encoding.ids, replacement.position
        as_intended = encoding.ids == (*ids[:position], new, *ids[position + 1 :])
        if as_intended and replacement.new.isprintable():
            found.append(Replaced(texts, encoding, (*beam.replacements, replacement)))
    return found[:PREDICTED]


def _spelled(tokenizer: Any, new: int) -> str:  # noqa: ANN401 - it has no types
    """Return a token as it stands in a text, without white space around it."""
    prefix: str = (
        getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None) or ""
    )
    spelled: str = tokenizer.decode([new], clean_up_tokenization_spaces=False)
    # SentencePiece writes ▁ for a space, which a tokenizer without a decoder leaves in place.
    return spelled.replace("▁", " ").strip().removeprefix(prefix)


def _written(beam: Replaced, position: int, new: str) -> tuple[Texts, Replacement]:
    """Return the texts with a token written in place of another one, and the replacement."""
    start, end = beam.encoding.offsets[position]
    segment = beam.encoding.segments[position]
    texts = [*beam.texts]
    texts[segment] = texts[segment][:start] + new + texts[segment][end:]
    return tuple(texts), Replacement(position, new)
