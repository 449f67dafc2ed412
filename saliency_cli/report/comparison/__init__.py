"""The page of a comparison: from `comparison.json` and the changed rows to one HTML file."""

from saliency_cli.report.comparison.page import write_comparison_page

__all__ = ["write_comparison_page"]
