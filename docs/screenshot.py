"""Take the screenshots in README.md, of the report that README's first command writes."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ARGUMENTS = "--no-sandbox --disable-gpu --disable-background-networking --no-first-run".split()


def main(report: Path, folder: Path) -> None:
    """Write report.png (the first screen) and texts.png (texts, with a word's tooltip).

    Args:
        report: the run's folder.
        folder: where the pictures are written.
    """
    with sync_playwright() as playwright:
        chromium = playwright.chromium
        browser = chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1000, "height": 760}, color_scheme="light")
        page.goto((report / "index.html").absolute().as_uri())
        page.wait_for_selector("html[data-ready]")
        page.screenshot(path=folder / "report.png")
        show_tooltip(page)
        page.screenshot(path=folder / "texts.png")
        browser.close()


def show_tooltip(page: Page) -> None:
    """Scroll to the texts, and point at a word with a strong shade."""
    page.evaluate("document.getElementById('texts').scrollIntoView()")
    page.wait_for_timeout(500)
    page.locator(".row .s5:not(.special)").first.hover()
    page.wait_for_timeout(300)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
