"""The page of an evaluation: from `evaluation.json` and the methods' records to one HTML file."""

from saliency_cli.report.evaluation.page import write_evaluation_page

__all__ = ["write_evaluation_page"]
