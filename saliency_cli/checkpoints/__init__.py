"""Turn the paths of a checkpoint into a `Classifier`.

`detect` finds out in which format the checkpoint was saved, one module reads each format, and
`loader` puts weights, config and tokenizer together.
"""

from saliency_cli.checkpoints.detect import detect_checkpoint
from saliency_cli.checkpoints.loader import LoadedCheckpoint, load, load_checkpoint

__all__ = ["LoadedCheckpoint", "detect_checkpoint", "load", "load_checkpoint"]
