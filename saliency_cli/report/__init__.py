"""Records -> HTML pages: a pure function of what lies in the run's folder."""

from saliency_cli.report.environment import check_templates
from saliency_cli.report.pages import render

__all__ = ["check_templates", "render"]
