"""A replacement for the engine, so that the other parts of a run can be timed."""

from collections.abc import Iterable, Iterator
from typing import Any

from saliency_cli.explanations import Attribution, Explanation, Prediction
from saliency_cli.records import Encoding


def explain_with_equal_scores(
    rows: Iterable[Any],
    engine: Any,  # noqa: ANN401 - the engine imports torch
    *,
    done: Any = None,  # noqa: ANN401
) -> Iterator[Explanation]:
    """Yield explanations without a model: each word is a token, and all have the same score.

    Args:
        rows: The rows.
        engine: The real engine; its labels and its `watch` are used.
        done: Called with each row, as by the real engine.
    """
    labels = engine.classifier.labels
    prediction = Prediction(labels, tuple(1 / len(labels) for _ in labels), 0)
    for row in rows:
        engine.watch([row.ordinal])
        words = tuple(row.text.split())
        count = len(words)
        encoding = Encoding(
            ids=tuple(range(count)),
            type_ids=(0,) * count,
            tokens=words,
            offsets=((0, 1),) * count,
            special=(False,) * count,
            segments=(0,) * count,
        )
        scores = tuple(1 / count for _ in words)
        attribution = Attribution(scores, scores, samples=4, flip_rate=0.0, evaluations=12)
        if done is not None:
            done(row)
        yield Explanation(row, encoding, prediction, {labels[0]: attribution})
