"""Take the picture in README.md of the report that README's first command leaves."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ARGUMENTS = "--no-sandbox --disable-gpu --disable-background-networking --no-first-run".split()


def main(report: Path, picture: Path) -> None:
    """Open a report in Debian's Chromium, focus a word, and save what is to be seen."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium
        browser = chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1000, "height": 1040}, color_scheme="light")
        page.goto((report / "index.html").absolute().as_uri())
        page.locator("#row-1 .t.s5:not(.special)").first.hover()
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).with_name("report.png"))
