"""The texts that a copy of the model is trained on, and those that it is tested on.

Shapes: M texts to train on, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saliency_cli.evaluation.sample import other_rows
from saliency_cli.evaluation.shortcuts import shortened
from saliency_cli.evaluation.subject import Subject, probabilities
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import forward_logits, token_batch
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Row

MOST = 1_000
"""From this many texts on, up to twice as many, more of them teach nothing new."""
LEAST = 200
"""With fewer texts beside the sample, every second text of the sample is trained on, too."""
BATCH = 16
_MEMORY = "material"


@dataclass(frozen=True, slots=True)
class Material:
    """Texts to train on.

    Attributes:
        rows: The texts, M of them.
        own: What the model gives each label of them, [M, C]; of the words that a planted text
            keeps.
        tested: The numbers of the sample's texts that are not among them.
    """

    rows: Sequence[Row]
    own: Tensor
    tested: Sequence[int]


def material_of(subject: Subject) -> Material:
    """Return the texts of a subject; they are read once a process."""
    if _MEMORY not in subject.memory:
        subject.memory[_MEMORY] = _material(subject)
    found: Material = subject.memory[_MEMORY]
    return found


def _material(subject: Subject) -> Material:
    classifier = subject.engine.classifier
    known = {row.text for row in subject.rows}
    rows = other_rows(subject.source, known, most=MOST) if subject.source else []
    tested = [*range(len(subject.rows))]
    if len(rows) < LEAST:
        rows, tested = [*rows, *subject.rows[::2]], tested[1::2]
    texts = [shortened(row.text, classifier.max_length) for row in rows]
    own = probabilities(logits_of(classifier, texts), head=classifier.head)
    return Material(rows, own, tested)


def logits_of(classifier: Classifier, texts: Sequence[str]) -> Tensor:
    """Return the logits of texts, [M, C], on the CPU.

    Args:
        classifier: The model.
        texts: The texts.
    """
    encodings = encode(classifier.tokenizer, texts, max_length=classifier.max_length)
    logits = [
        forward_logits(classifier, token_batch(encodings[n : n + BATCH], classifier))
        for n in range(0, len(encodings), BATCH)
    ]
    return torch.cat(logits).cpu()
