"""The pages in Chromium, from file://: no errors, no requests, keyboard access, accessibility."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.support.chromium import Watched, click_below_rows
from tests.support.runs import HOSTILE, HOSTILE_LABEL, planted, record, varied, write_run

pytestmark = pytest.mark.browser

IN_ORDER = "#sort=input"


@pytest.fixture(scope="module", params=["l2", "dot"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = varied()
    shares = [0.4, 0.2, 0.1, 0.05, 0.03, 0.015, 0.005]
    texts = record(7, "one two three four five six")
    signs = (1, -1) if request.param == "dot" else (1,)
    for ordinal, sign in enumerate(signs, start=7):
        records.append({**texts, "ordinal": ordinal, "scores": [sign * share for share in shares]})
    return write_run(tmp_path_factory.mktemp("run"), records, reduction=request.param)


def test_the_page_opens_without_messages_and_further_requests(
    watched: Watched, report: Path
) -> None:
    index = report / "index.html"
    watched.open(index).wait_for_load_state("networkidle")
    assert watched.messages == []
    assert [url for url in watched.requests if not url.startswith("data:")] == [index.as_uri()]


def test_hostile_text_and_label_are_shown_as_text(watched: Watched, report: Path) -> None:
    page = watched.open(report / "index.html")
    row = page.locator("#row-2")
    row.scroll_into_view_if_needed()
    expect(row.locator(".text")).to_contain_text(HOSTILE, use_inner_text=True)
    assert row.locator(".predicted bdi").inner_text() == HOSTILE_LABEL
    assert page.locator("img, .row b, .row u, .row i").count() == 0
    assert page.locator("script:not([type])").count() == 1
    assert watched.messages == []


def test_the_page_shows_the_text_unchanged(watched: Watched, report: Path) -> None:
    page = watched.open(report / "index.html")
    shown = page.locator("#row-1 .text").text_content()
    assert shown is not None
    assert shown.removeprefix("[CLS]") == "home is where the heart is"


def test_the_tooltip_shows_a_score_on_hover(watched: Watched, report: Path) -> None:
    page = watched.open(report / "index.html")
    tip = page.get_by_role("tooltip")
    page.locator("#row-0 .t", has_text="call").hover()
    assert tip.inner_text() == page.locator("#row-0 .t", has_text="call").get_attribute(
        "data-score"
    )
    page.mouse.move(1, 1)
    assert not tip.is_visible()


def test_the_tooltip_shows_a_score_on_keyboard_focus(watched: Watched, report: Path) -> None:
    page = watched.open(report / "index.html", IN_ORDER)
    tip = page.get_by_role("tooltip")
    page.locator("#row-0 h3 a").focus()
    page.keyboard.press("ArrowRight")
    tokens = page.locator("#row-0 .t")
    for index in range(tokens.count()):
        focused = page.locator(":focus")
        assert focused.text_content() == tokens.nth(index).text_content()
        assert tip.is_visible()
        assert tip.inner_text() == tokens.nth(index).get_attribute("data-score")
        assert focused.get_attribute("aria-describedby") == tip.get_attribute("id")
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    assert page.locator(":focus").text_content() == "Row 0"
    page.keyboard.press("ArrowRight")
    assert page.locator(":focus").text_content() == "[CLS]"
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.keyboard.press("Tab")
    assert page.locator(":focus").text_content() == "Row 1"
    assert not tip.is_visible()


def test_each_row_is_one_tab_stop(watched: Watched, report: Path) -> None:
    page = watched.open(report / "index.html", IN_ORDER)
    page.locator("#row-0 h3 a").focus()
    for ordinal in (1, 2, 3):
        page.keyboard.press("Tab")
        assert page.locator(":focus").text_content() == f"Row {ordinal}"
    page.keyboard.press("End")
    assert page.locator(":focus").text_content() == "Copy record"
    page.keyboard.press("Tab")
    assert page.locator(":focus").text_content() == "Row 4"
    page.keyboard.press("Shift+Tab")
    assert page.locator(":focus").text_content() == "Copy record"


STEP_COLOURS = """
() => [...document.querySelectorAll(".legend .t")].map((step) => {
  const style = getComputedStyle(step);
  return [step.className, style.color, style.backgroundColor];
})
"""


def luminance(colour: str) -> float:
    """Return the relative luminance of `rgb(…)` (WCAG 2.2)."""
    channels = [int(channel) / 255 for channel in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_shade_has_a_contrast_of_4_5_or_more(watched: Watched, report: Path) -> None:
    page = watched.open(report / "index.html")
    steps = page.evaluate(STEP_COLOURS)
    assert len(steps) in {7, 13}
    for name, text_colour, background in steps:
        if not name.endswith("s0"):
            low, high = sorted((luminance(text_colour), luminance(background)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_a_tooltip_stays_inside_the_window(watched: Watched, report: Path) -> None:
    page = watched.open(report / "index.html")
    page.set_viewport_size({"width": 320, "height": 500})
    for token in page.locator("#row-1 .t").all():
        token.hover()
        box = page.get_by_role("tooltip").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 320


def test_axe_finds_no_violation(watched: Watched, report: Path) -> None:
    page = watched.open(report / "index.html")
    page.locator("#row-0 .t").first.focus()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_pages_of_rows_are_linked_and_accessible(watched: Watched, tmp_path: Path) -> None:
    records = [record(ordinal, "one two three") for ordinal in range(501)]
    page = watched.open(write_run(tmp_path / "run", records) / "index.html")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    click_below_rows(page.get_by_role("link", name="Page 2:"))
    expect(page.locator(".row")).to_have_count(1)
    results = Axe().run(page)  # on one row: on 500 of the same kind it takes 40 s
    assert results.violations_count == 0, results.generate_report()
    page.get_by_role("link", name="← Previous").first.click()
    expect(page.locator(".row")).to_have_count(500)
    page.get_by_role("link", name="Summary").first.click()
    assert page.title().startswith("Predictions of")
    assert watched.messages == []


def test_the_findings_are_accessible_and_link_to_rows(watched: Watched, tmp_path: Path) -> None:
    records = [each | {"gold": "ham"} for each in planted(510)]
    page = watched.open(write_run(tmp_path / "run", records) / "index.html")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    suspect = page.locator("section[aria-labelledby=suspects] tbody tr").first
    assert suspect.locator("th").inner_text() == "zap"
    suspect.get_by_role("link", name="3", exact=True).click()
    assert page.url.endswith("pages/page-0001.html#row-3")
    assert page.locator("#row-3").is_visible()
    assert watched.messages == []


def test_the_findings_fit_into_a_narrow_window(watched: Watched, tmp_path: Path) -> None:
    labels = [f"label {number}" for number in range(14)]
    probabilities = dict.fromkeys(labels, 0.0)
    records = [
        each | {"predicted": label, "gold": label, "probabilities": probabilities}
        for each, label in zip(planted(14), labels, strict=True)
    ]
    model = {"name": "model.pt", "labels": labels, "max_length": 64}
    page = watched.open(write_run(tmp_path / "run", records, model=model) / "index.html")
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    results = Axe().run(page, context={"include": [[".finding"]]})
    assert results.violations_count == 0, results.generate_report()


def test_without_scripts_text_and_scores_are_still_shown(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((report / "index.html").as_uri())
    text = page.locator("#row-0 .text")
    text.scroll_into_view_if_needed()
    expect(text).to_contain_text("free call now", use_inner_text=True)
    token = page.locator("#row-0 .t", has_text="call")
    before = token.bounding_box()
    token.hover()
    after = token.bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > before["width"]  # CSS shows the score behind the word
    context.close()


def test_printed_pages_have_the_shades(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.goto((report / "index.html").as_uri())
    page.emulate_media(media="print")
    styles = page.locator(".row .s3").first.evaluate(
        "e => [getComputedStyle(e).printColorAdjust, getComputedStyle(e).backgroundColor]"
    )
    assert styles == ["exact", "rgb(148, 194, 240)"]
    adjust = "all => all.map((each) => getComputedStyle(each).printColorAdjust)"
    assert {*page.locator("meter, .bar, .matrix td").evaluate_all(adjust)} == {"exact"}
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.pdf().startswith(b"%PDF")
    page.close()
