"""Debian's Chromium, and a page that records its messages and requests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

ONE_SCHEME = pytest.mark.parametrize("watched", ["light"], indirect=True)
"""For a test that does not depend on colours: it runs once, not in light and in dark."""
ARGUMENTS = "--no-sandbox --disable-gpu --disable-background-networking --no-first-run".split()

# A busy CI machine took more than Playwright's 5 s to lay out a page of 500 rows.
expect.set_options(timeout=30_000)


def launched_browser() -> Iterator[Browser]:
    """Yield a running Chromium. Without one, skip the test, or fail it in CI."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs a browser: install Debian's chromium package")
        pytest.skip("chromium is not on PATH")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


class Watched:
    """A page with its messages (console, errors, dialogs) and the URLs that it requested."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.messages: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("dialog", lambda dialog: self.messages.append(dialog.message))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path, fragment: str = "") -> Page:
        """Open a file, at a fragment such as `#sort=input`, and return the page."""
        self.page.goto(path.as_uri() + fragment)
        return self.page


def click_below_rows(target: Locator) -> None:
    """Click at an element that has rows or results above it.

    These get their true heights only when they come near the window (`content-visibility: auto`).
    That moves what is below them, so that a click right after the jump may miss it.
    """
    target.scroll_into_view_if_needed()
    target.click()  # once it has not moved for two frames
