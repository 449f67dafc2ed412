"""An engine over a loaded classifier, and the scores that it gives."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.draw_batch import DrawBatch
from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import Target, Targets
from saliency_cli.model.passes import CleanPasses, clean_passes, token_batch
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Row

PLAIN = Maths(reduction="l2", propagation="standard")
"""Maths of plain gradients, which other people's code computes, too."""


def engine(classifier: Classifier, *, tokens: int = 1024, **maths: Any) -> Engine:  # noqa: ANN401
    """Return an engine of plain gradients and `l2` unless `maths` has others.

    What is not a field of Maths is one of SmoothGrad.
    """
    parameters = {k: v for k, v in maths.items() if k in SmoothGrad.__slots__}
    rest = {k: v for k, v in maths.items() if k not in parameters}
    chosen = replace(PLAIN, **{"method": SmoothGrad(**parameters), **rest})
    classifier = replace(classifier, propagation=chosen.propagation or "standard")
    return Engine(classifier, chosen, Budget(tokens, equal_lengths=not classifier.padding_blind))


def scored(engine: Engine, texts: Sequence[str]) -> list[Tensor]:
    """Explain texts and return their scores."""
    rows = (Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(texts))
    found = []
    for outcome in explain(rows, engine):
        assert isinstance(outcome, Explanation), outcome
        found.append(torch.tensor(outcome.attribution.scores, dtype=torch.float64))
    return found


def clean_texts(classifier: Classifier, texts: Sequence[str]) -> CleanPasses:
    """Return the clean passes of some texts in one batch."""
    encodings = encode(classifier.tokenizer, texts, max_length=classifier.max_length)
    return clean_passes(classifier, token_batch(encodings, classifier))


def draws_of(clean: CleanPasses, draws: Sequence[int], *, target: int = 0) -> DrawBatch:
    """Return some draws of the first text of clean passes."""
    targets = Targets.of([Target("", target)] * len(draws))
    return DrawBatch.of(clean, torch.zeros(len(draws)).long(), targets, torch.tensor(draws))


def displacements(clean: CleanPasses, draws: Sequence[int], **parameters: Any) -> Tensor:  # noqa: ANN401
    """Return SmoothGrad's displacements z [D, L, H] of some draws of one text."""
    found = SmoothGrad(**parameters).displacements(draws_of(clean, draws))
    assert found is not None
    return found
