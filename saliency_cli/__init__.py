"""Saliency: why a text classifier decides as it does, over whole files, as HTML pages."""

__version__ = "0.1.0"
