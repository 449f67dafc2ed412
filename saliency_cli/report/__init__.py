"""Writes a run's HTML pages; they depend only on the files in the run's folder."""

from saliency_cli.report.pages import render
from saliency_cli.report.template_check import check_templates

__all__ = ["check_templates", "render"]
