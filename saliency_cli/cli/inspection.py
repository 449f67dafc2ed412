"""What a checkpoint is, found by loading it as `explain` does: nothing is opened in another way."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from saliency_cli.checkpoints import LoadedCheckpoint, detect_checkpoint, load_checkpoint
from saliency_cli.errors import SaliencyError
from saliency_cli.model.classifier import Classifier
from saliency_cli.safe_text import encodable, listed, visible
from saliency_cli.settings import Compute, ModelChoice

WIDTH = 18


@dataclass(frozen=True, slots=True)
class Inspection:
    """A checkpoint in a few facts; where it is refused, most are null."""

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
    ready: bool = False
    reason: str | None = None
    hint: str | None = None

    def as_json(self) -> str:
        """Return one JSON object, its keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)

    def lines(self) -> Iterator[str]:
        """Yield what is known, a line each."""
        for name, value in asdict(self).items():
            if value is not None:
                yield f"{name.replace('_', ' '):<{WIDTH}} {_shown(value)}"


def inspect_checkpoint(
    choice: ModelChoice, compute: Compute
) -> tuple[Inspection, SaliencyError | None]:
    """Load a checkpoint and describe it; return why it cannot be explained, too, if it cannot."""
    try:
        loaded = load_checkpoint(choice, compute)
    except SaliencyError as error:
        known = Inspection(_name(choice), _format(choice), reason=error.message, hint=error.hint)
        return known, error
    return _described(_name(choice), loaded), None


def _format(choice: ModelChoice) -> str | None:
    try:
        return detect_checkpoint(choice).format
    except SaliencyError:
        return None


def _described(name: str, loaded: LoadedCheckpoint) -> Inspection:
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
        embedding_shape=_shape(classifier),
        tokenizer=type(classifier.tokenizer).__name__,
        tokenizer_kind=_kind(classifier.tokenizer.backend_tokenizer),
        max_length=classifier.max_length,
        ready=True,
    )


def _shape(classifier: Classifier) -> tuple[int, ...] | None:
    """Return rows × dimensions, where the layer is a table."""
    weight = getattr(classifier.embedding, "weight", None)
    return tuple(weight.shape) if isinstance(weight, Tensor) else None


def _kind(tokenizer: Any) -> str:  # noqa: ANN401 - tokenizers.Tokenizer has no types
    """Return the tokenizer's algorithm; the ByteLevel decoder is how byte-level BPE shows."""
    model = type(tokenizer.model).__name__
    return f"byte-level {model}" if type(tokenizer.decoder).__name__ == "ByteLevel" else model


def _name(choice: ModelChoice) -> str:
    path: Path = choice.checkpoint
    name = path.absolute().name
    return name if encodable(name) else visible(name)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        numbers = all(isinstance(each, int) for each in value)
        return " × ".join(map(str, value)) if numbers else listed(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else visible(str(value))
