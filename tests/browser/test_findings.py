"""Each count on the summary page equals the number of rows that its link finds."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.chromium import Watched
from tests.support.runs import bad_record, planted, write_run

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("rows", [120, 520])
def test_each_search_link_finds_as_many_rows_as_it_says(
    watched: Watched, tmp_path: Path, rows: int
) -> None:
    records = [
        each
        | {
            "gold": ("ham", "spam", "unknown")[place % 3],
            "probability": (60 + place % 40) / 100,
            "flip_rate": place % 7 / 20,
        }
        for place, each in enumerate(planted(rows))
    ]
    records += [bad_record(rows), bad_record(rows + 1), bad_record(rows + 2) | {"reason": "no"}]
    page = watched.open(write_run(tmp_path / "run", records) / "index.html")
    links = page.locator('.finding a[href^="#q="]')
    hrefs_and_texts = links.evaluate_all(
        "all => all.map((each) => [each.getAttribute('href'), each.textContent])"
    )
    assert len(hrefs_and_texts) > 30
    for link, text in hrefs_and_texts:
        count = next(word for word in text.split() if word.isdecimal())
        page.evaluate("link => { location.hash = link; }", link)
        expect(page.locator("#totals")).to_have_text(re.compile(f"^{count} of {len(records)} rows"))
    assert watched.messages == []
