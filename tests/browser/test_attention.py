"""The page of attention weights in Chromium: inert text, keyboard, accessibility, print."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from saliency_cli.records import Record
from tests.support.attention import attention_of, write_page
from tests.support.chromium import Watched
from tests.support.runs import HOSTILE, HOSTILE_LABEL, pair_record, record

pytestmark = pytest.mark.browser

TEXT = f"free {HOSTILE} call \u202eon"
RECORD = record(0, TEXT, predicted=HOSTILE_LABEL, target=HOSTILE_LABEL)


@pytest.fixture(scope="module")
def attention_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("attention") / "page.html", RECORD)


def opened(watched: Watched, path: Path) -> Page:
    page = watched.open(path)
    expect(page.locator("#grid[data-drawn]")).to_be_visible()
    return page


def tokens(page: Page, side: str) -> list[str]:
    return page.locator(f"[data-side={side}] bdi").all_text_contents()


def numbers(page: Page, side: str) -> list[float]:
    texts = page.locator(f"[data-side={side}] .weight").all_text_contents()
    return [float(text.removesuffix(" %") or 0) / 100 for text in texts]


def weights(side: str, number: int, layer: int = 1, head: int | None = None) -> list[float]:
    """Return what a token attends to, or is attended to by; of the mean over the heads for None."""
    matrices = attention_of(RECORD).weights[layer]
    matrix = matrices.mean(dim=0) if head is None else matrices[head]
    found: list[float] = (matrix if side == "from" else matrix.T)[number].tolist()
    return found


def test_hostile_text_is_inert_and_nothing_else_is_requested(
    watched: Watched, attention_file: Path
) -> None:
    page = opened(watched, attention_file)
    assert [url for url in watched.requests if not url.startswith("data:")] == [
        attention_file.as_uri()
    ]
    assert watched.messages == []
    assert page.locator("img, main b").count() == 0
    expect(page.locator("#saliency .text")).to_contain_text(HOSTILE, use_inner_text=True)
    assert page.locator(".predicted bdi").inner_text() == HOSTILE_LABEL
    names = ["[CLS]", *TEXT.replace("\u202e", "\\u202e").split()]
    assert tokens(page, "from") == tokens(page, "to") == names


@pytest.mark.parametrize("each", [RECORD, pair_record(0)], ids=["text", "pair"])
def test_axe_finds_no_violation(watched: Watched, tmp_path: Path, each: Record) -> None:
    page = opened(watched, write_page(tmp_path / "page.html", each))
    page.locator("[data-side=to] button").nth(1).focus()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_keyboard_reaches_each_head_and_each_token(
    watched: Watched, attention_file: Path
) -> None:
    page = opened(watched, attention_file)
    assert numbers(page, "to") == pytest.approx(weights("from", 0), abs=0.01)
    chosen = page.locator("#grid [aria-selected=true]")
    assert chosen.get_attribute("data-name") == "layer 2, mean over the heads"
    chosen.focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    focused = page.locator("#grid :focus")
    assert focused.get_attribute("data-name") == "layer 1, head 2"
    assert focused.get_attribute("aria-selected") == "true"
    largest = max(weights("from", 0, 0, 1))
    assert f"{round(100 * largest)} %" in page.locator("#token").inner_text()
    expect(page.locator("#agreement")).to_contain_text(f"ρ = {focused.get_attribute('data-rho')}")
    page.keyboard.press("Tab")  # the scripted page has one stop for the grid, and each column
    page.keyboard.press("Tab")
    page.keyboard.press("j")
    page.keyboard.press("ArrowRight")
    assert page.locator(":focus bdi").inner_text() == "free"
    assert page.locator(":focus").get_attribute("aria-pressed") == "true"
    assert numbers(page, "from") == pytest.approx(weights("to", 1, 0, 1), abs=0.01)
    page.keyboard.press("Escape")
    drawn = sum(
        weight >= 0.05 for row in attention_of(RECORD).weights[0, 1].tolist() for weight in row
    )
    assert page.locator("#lines line").count() == drawn


def test_the_shading_follows_the_chosen_head(watched: Watched, attention_file: Path) -> None:
    page = opened(watched, attention_file)
    page.locator('[data-name="layer 1, head 3"]').click()
    shown = page.locator("#received .text .t").evaluate_all(
        "all => all.map((e) => e.dataset.score)"
    )
    shares = [float(text.partition(" ")[0]) / 100 for text in shown]
    assert sum(shares) == pytest.approx(1, abs=0.01)
    assert shares[0] == pytest.approx(weights("from", 0, 0, 2)[0], abs=0.01)


def test_without_scripts_both_shadings_are_shown(browser: Browser, attention_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(attention_file.as_uri())
    for name in ("saliency", "received"):
        expect(page.locator(f"#{name} .text")).to_contain_text("free", use_inner_text=True)
    assert page.get_by_text("need scripts").is_visible()
    assert not page.locator("#grid").is_visible()
    context.close()
