"""The gates on the page: accessible in light and dark, inert, and readable in a narrow window."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.support.chromium import Watched
from tests.support.gates import every_outcome
from tests.support.runs import HOSTILE, varied, write_run

pytestmark = pytest.mark.browser


def test_gates_are_accessible_inert_and_below_the_first_finding(
    watched: Watched, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", varied()[:4], gates=every_outcome())
    page = watched.open(run / "index.html")
    results = Axe().run(page, context=".gates")
    assert results.violations_count == 0, results.generate_report()
    headings = page.locator("main h2").all_text_contents()
    assert headings[:2] == ["What was found", "Gates"]
    marks = page.locator(".gates .mark").all_text_contents()
    assert marks == ["✗ failed", "✗ not measured", "✗ not measured", "! warned", "✓ passed"]
    assert HOSTILE in page.locator(".gates li").nth(2).inner_text()
    assert page.locator("img").count() == 0
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert watched.messages == []
