"""Explanations in a page of somebody else, as a notebook has them, in Chromium."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from saliency_cli.api.explanation import shown_row
from tests.support.chromium import Watched
from tests.support.runs import HOSTILE, HOSTILE_LABEL, record, varied, write_run

pytestmark = pytest.mark.browser

STYLE = """all => all.map((each) => {
  const style = getComputedStyle(each);
  return [each.textContent, each.dataset.score, style.backgroundColor, style.color, style.filter,
    style.borderBottom, style.textDecorationLine, style.paddingTop, style.fontStyle].join("|");
})"""
OUTSIDE = '<p id="outside" class="text">outside <span class="t s6">dark</span></p>'
RECORDS = [*varied(), record(9, f"a {HOSTILE}", predicted=HOSTILE_LABEL, id=HOSTILE)]


def notebook(path: Path, theme: str | None = None) -> Path:
    """Write a page with explanations, as a notebook with a theme of its own has them."""
    body = "" if theme is None else f' data-jp-theme-light="{theme}"'
    parts = (shown_row(each)._repr_html_() for each in RECORDS)
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Notebook</title>'
    page = f"{head}<body{body}><main><h1>A</h1>{OUTSIDE}{''.join(parts)}</main>"
    path.write_text(page, encoding="utf-8")
    return path


def background(page: Page, selector: str) -> str:
    found: str = page.locator(selector).first.evaluate(
        "(each) => getComputedStyle(each).backgroundColor"
    )
    return found


def test_hostile_texts_labels_and_tokens_are_inert(watched: Watched, tmp_path: Path) -> None:
    path = notebook(tmp_path / "page.html")
    page = watched.open(path)
    assert watched.requests == [path.as_uri()]
    assert watched.messages == []
    assert page.locator("img, script, main b, main u, main i").count() == 0
    last = page.locator(".saliency-explanation").last
    assert HOSTILE in (last.locator(".text").text_content() or "")
    assert last.locator(".predicted bdi").inner_text() == HOSTILE_LABEL


def test_the_shading_is_that_of_the_report_and_nothing_else_changes(
    watched: Watched, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", RECORDS, reduction="dot")
    report = watched.open(run / "index.html")
    expected = report.locator(".row .text > :not(code)").evaluate_all(STYLE)
    page = watched.open(notebook(tmp_path / "page.html"))
    shown = page.locator(".saliency-explanation .text > :not(code)").evaluate_all(STYLE)
    assert len(shown) > 40
    assert sorted(shown) == sorted(expected)  # the report has wrong predictions first
    assert background(page, "#outside .s6") == "rgba(0, 0, 0, 0)"
    assert background(page, "#outside") == "rgba(0, 0, 0, 0)"


def test_axe_finds_no_violation(watched: Watched, tmp_path: Path) -> None:
    page = watched.open(notebook(tmp_path / "page.html"))
    results = Axe().run(page, ".saliency-explanation")
    assert results.violations_count == 0, results.generate_report()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_theme_of_the_notebook_comes_before_that_of_the_desktop(
    watched: Watched, tmp_path: Path
) -> None:
    light, dark = "rgb(255, 255, 255)", "rgb(20, 23, 27)"
    page = watched.open(notebook(tmp_path / "page.html"))
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert background(page, ".saliency-explanation") == (dark if is_dark else light)
    for theme, expected in (("true", light), ("false", dark)):
        page = watched.open(notebook(tmp_path / "page.html", theme))
        assert background(page, ".saliency-explanation") == expected


def test_a_word_under_the_mouse_shows_its_share(watched: Watched, tmp_path: Path) -> None:
    page = watched.open(notebook(tmp_path / "page.html"))
    word = page.locator(".saliency-explanation .text > .t:not(.special)").first
    word.hover()
    shown = word.evaluate("(each) => getComputedStyle(each, '::after').content")
    assert (word.get_attribute("data-score") or "").split("\n")[0] in shown
