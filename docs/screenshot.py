"""Take the pictures in README.md of the report that README's first command leaves."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ARGUMENTS = "--no-sandbox --disable-gpu --disable-background-networking --no-first-run".split()


def main(report: Path, folder: Path) -> None:
    """Open a report in Debian's Chromium; save its summary, and a word of a text pointed at."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium
        browser = chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1000, "height": 760}, color_scheme="light")
        page.goto((report / "index.html").absolute().as_uri())
        page.screenshot(path=folder / "report.png")
        point_at_a_word(page)
        page.screenshot(path=folder / "texts.png")
        browser.close()


def point_at_a_word(page: Page) -> None:
    """Bring the texts to the top, and point at a strong word."""
    page.evaluate("document.getElementById('texts').scrollIntoView()")
    page.wait_for_timeout(500)
    page.locator("#row-1 .s5:not(.special)").first.hover()
    page.wait_for_timeout(300)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
