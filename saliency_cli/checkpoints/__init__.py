"""Paths -> `Classifier`: one file for each way in which people save models."""

from saliency_cli.checkpoints.detect import recognise
from saliency_cli.checkpoints.loader import Loaded, load, load_checkpoint

__all__ = ["Loaded", "load", "load_checkpoint", "recognise"]
