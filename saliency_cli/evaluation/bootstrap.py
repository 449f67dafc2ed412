"""Means over texts with standard errors: the bootstrap over texts, with a fixed key.

Shapes: N texts, R resamples.
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

RESAMPLES = 1000
_KEY = 20_260_101
Figure: TypeAlias = dict[str, float | None]
"""`mean` and `se`; both are None where nothing could be measured."""
UNKNOWN: Figure = {"mean": None, "se": None}


def resample_counts(texts: int) -> Tensor:
    """Return how often each text is in each resample, [R, N], float64."""
    generator = torch.Generator().manual_seed(_KEY)
    drawn = torch.randint(texts, (RESAMPLES, texts), generator=generator)
    counts = torch.zeros(RESAMPLES, texts, dtype=torch.float64)
    return counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))


def mean_figure(values: Sequence[float]) -> Figure:
    """Return the mean of one value a text, and its standard error."""
    if not values:
        return dict(UNKNOWN)
    numbers = torch.tensor(values, dtype=torch.float64)
    resampled = resample_counts(len(values)) @ numbers / len(values)
    return figure(float(numbers.mean()), resampled)


def figure(value: float, resampled: Tensor) -> Figure:
    """Return a value with the standard deviation of its resamples, to seven digits.

    Args:
        value: The value over all texts.
        resampled: The value over each resample, [R].
    """
    return {"mean": seven_digits(value), "se": seven_digits(float(resampled.std(correction=0)))}


def seven_digits(value: float) -> float:
    """Return a number with the seven digits that float32 has."""
    return float(f"{value:.7g}")
