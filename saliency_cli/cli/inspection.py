"""`saliency inspect`: what a checkpoint contains, and whether it can be explained.

The checkpoint is loaded by the code that `explain` uses, so the two accept the same ones.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from saliency_cli.attribution.probe_texts import EXTRA_TEXTS, TEXTS
from saliency_cli.attribution.text_checks import MOST_UNKNOWN, unknown_share
from saliency_cli.checkpoints import LoadedCheckpoint, detect_checkpoint, load_checkpoint
from saliency_cli.errors import SaliencyError
from saliency_cli.model.classifier import Classifier
from saliency_cli.percentages import percent_number
from saliency_cli.records import Row
from saliency_cli.safe_text import encodable, listed, message_line, visible
from saliency_cli.settings import Compute, ModelChoice

LABEL_WIDTH = 18
"""Characters of the left column of `Inspection.lines`."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a checkpoint; most fields are None if it cannot be loaded.

    Attributes:
        model: The name of the file or folder, without the path to it.
        format: How the weights are saved, e.g. "PyTorch file".
        parameters: The number of weights.
        dtypes: The number formats of the saved weights.
        head: "single-label", "multi-label" or "regression".
        embedding_layer: The name of the module whose output gets the noise.
        embedding_shape: Rows and dimensions of the embedding table, if the layer is a table.
        tokenizer: The class of the tokenizer.
        tokenizer_kind: Its algorithm, e.g. "WordPiece".
        max_length: Tokens that the model can read at once.
        warnings: What `explain` would warn of.
        ready: Whether `explain` can use the checkpoint.
        reason: Why it cannot.
        hint: What the user can do about it.
    """

    model: str
    format: str | None = None
    architecture: str | None = None
    parameters: int | None = None
    dtypes: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    head: str | None = None
    embedding_layer: str | None = None
    embedding_shape: tuple[int, ...] | None = None
    tokenizer: str | None = None
    tokenizer_kind: str | None = None
    max_length: int | None = None
    warnings: tuple[str, ...] | None = None
    ready: bool = False
    reason: str | None = None
    hint: str | None = None

    def as_json(self) -> str:
        """Return one JSON object with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    def lines(self) -> Iterator[str]:
        """Yield a line for each field that is not None."""
        for name, value in asdict(self).items():
            if value is not None:
                yield f"{name.replace('_', ' '):<{LABEL_WIDTH}} {_text(value)}"


def inspect_checkpoint(
    choice: ModelChoice, compute: Compute
) -> tuple[Inspection, SaliencyError | None]:
    """Load a checkpoint and describe it.

    Args:
        choice: The checkpoint, and how to load it.
        compute: The device and the number format.

    Returns:
        The description, and the error if the checkpoint cannot be explained, else None.
    """
    try:
        loaded = load_checkpoint(choice, compute)
    except SaliencyError as error:
        reason, hint = message_line(error.message), error.hint and message_line(error.hint)
        return Inspection(_name(choice), _format(choice), reason=reason, hint=hint), error
    return _describe(_name(choice), loaded), None


def _format(choice: ModelChoice) -> str | None:
    """Return how the checkpoint is saved, or None if that cannot be recognised."""
    try:
        return detect_checkpoint(choice).format
    except SaliencyError:
        return None


def _describe(name: str, loaded: LoadedCheckpoint) -> Inspection:
    classifier = loaded.classifier
    return Inspection(
        model=name,
        format=loaded.format,
        architecture=type(classifier.module).__name__,
        parameters=sum(weight.numel() for weight in classifier.module.parameters()),
        dtypes=loaded.dtypes,
        labels=classifier.labels,
        head=classifier.head,
        embedding_layer=classifier.embedding_name,
        embedding_shape=_table_shape(classifier),
        tokenizer=type(classifier.tokenizer).__name__,
        tokenizer_kind=_algorithm(classifier.tokenizer.backend_tokenizer),
        max_length=classifier.max_length,
        warnings=(*classifier.remarks, *_unknown_tokens(classifier)) or None,
        ready=True,
    )


def _unknown_tokens(classifier: Classifier) -> Iterator[str]:
    """Yield a warning if the tokenizer does not know the words of plain English sentences."""
    rows = [Row(number, 1, None, text) for number, text in enumerate((*TEXTS, *EXTRA_TEXTS))]
    share = unknown_share(classifier.tokenizer, rows, max_length=classifier.max_length)
    if share > MOST_UNKNOWN:
        yield (
            f"the tokenizer does not know {percent_number(share)} % of the tokens of plain English "
            "sentences; if the model reads English, it was trained with another tokenizer"
        )


def _table_shape(classifier: Classifier) -> tuple[int, ...] | None:
    """Return rows and dimensions of the embedding table, or None if the layer is no table."""
    weight = getattr(classifier.embedding, "weight", None)
    return tuple(weight.shape) if isinstance(weight, Tensor) else None


def _algorithm(tokenizer: Any) -> str:  # noqa: ANN401 - tokenizers.Tokenizer has no types
    """Return the tokenizer's algorithm; byte-level BPE is recognised by its decoder."""
    model = type(tokenizer.model).__name__
    return f"byte-level {model}" if type(tokenizer.decoder).__name__ == "ByteLevel" else model


def _name(choice: ModelChoice) -> str:
    """Return the name of the checkpoint's file or folder, escaped if it is not valid UTF-8."""
    path: Path = choice.checkpoint
    name = path.absolute().name
    return name if encodable(name) else visible(name)


def _text(value: object) -> str:
    """Return a value as text: numbers of a shape joined by ×, names by commas."""
    if isinstance(value, tuple):
        numbers = all(isinstance(each, int) for each in value)
        return " × ".join(map(str, value)) if numbers else listed(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else visible(str(value))
