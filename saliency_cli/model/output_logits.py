"""The logits in what a module returns, and whether their shape is that of a classifier."""

from collections.abc import Mapping

from torch import Tensor

from saliency_cli.errors import CheckpointError


def check_width(logits: Tensor, *, labels: int) -> None:
    """Check that logits [B, C] have one column a label.

    Args:
        logits: The logits of a batch.
        labels: The number of labels.

    Raises:
        ValueError: They have another shape.
    """
    if logits.shape[1:] != (labels,):
        shape = tuple(logits.shape[1:])
        raise ValueError(f"the model gives logits of shape {shape} for a text, not ({labels},)")


def read_logits(output: object) -> Tensor:
    """Return the logits in a module's output: a tensor, a tuple that begins with it, or by name.

    Raises:
        CheckpointError: The output has no logits.
    """
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif isinstance(output, tuple | list) and output:
        output = output[0]
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise CheckpointError(
            "the model returns no logits",
            "let forward return a tensor, a tuple that begins with it, or a dict with 'logits'",
        )
    return output
