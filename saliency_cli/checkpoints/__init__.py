"""Paths -> `Classifier`: one file for each way in which people save models."""

from saliency_cli.checkpoints.loading import load

__all__ = ["load"]
