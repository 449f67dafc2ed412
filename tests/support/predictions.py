"""Records of a model whose probabilities and mistakes are drawn at random."""

from collections.abc import Iterator

import numpy as np

from saliency_cli.records import Record
from tests.support.runs import record

LABELS = ("ham", "spam")
PLAIN = record(0, "free call now")


def predicted_row(ordinal: int, spam: float, gold: str | None, **fields: object) -> Record:
    """Return the record of a text that is spam with this probability."""
    probabilities = {"ham": round(1 - spam, 7), "spam": round(spam, 7)}
    label = "spam" if spam > 0.5 else "ham"
    changes = {"ordinal": ordinal, "gold": gold, "predicted": label, **fields}
    return PLAIN | {"probabilities": probabilities, "probability": probabilities[label]} | changes


def calibrated(rows: int, seed: int, *, spread: float = 4) -> Iterator[Record]:
    """Yield rows of a model whose probabilities are right, in three languages of equal quality."""
    generator = np.random.default_rng(seed)
    chances = 1 / (1 + np.exp(-generator.normal(scale=spread, size=rows)))
    gold = np.where(generator.random(rows) < chances, "spam", "ham").tolist()
    languages = generator.choice(("de", "en", "fr"), rows).tolist()
    for ordinal, spam in enumerate(chances.tolist()):
        yield predicted_row(ordinal, spam, gold[ordinal], slices={"lang": languages[ordinal]})
