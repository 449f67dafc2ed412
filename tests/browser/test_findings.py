"""Each count on the summary page equals the number of rows that its link finds."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect

from saliency_cli.records import Record
from tests.support.chromium import ONE_SCHEME, Watched
from tests.support.runs import bad_record, planted, record, write_run

pytestmark = pytest.mark.browser

TWINS = ("Spam", "spam", "SPAM", "ſpam", '"spam"', "spam ", " spam", "spam\t", "s pam", "s  pam")
HOSTILE_LABELS = (
    'say "hi"', '"', "\\", 'a\\"b', "a\tb", "a b", "a\nb", "a\r\nb", "a\u00a0b", "\u202egpj",
    "\\u202egpj", "\x00", "\\x00", "\u2028", "\ufeff", "e\u0301", "\u00e9", '="x"', ":=", ":=x",
    "correct", "<b>&amp;</b>", "__proto__", "constructor", "toString", "label:spam", "100%", "a+b",
    "#q=x&sort=-conf", "日本",
)  # fmt: skip


FOLLOW_LINKS = """
() => [...document.querySelectorAll('section a[href^="#q="]')].map((link) => {
  history.replaceState(null, "", link.getAttribute("href"));
  onHash();
  return [link.textContent, document.getElementById("totals").textContent];
})
"""
"""Opens each link as the page does when its hash changes; a hundred times as fast as to wait."""


@ONE_SCHEME
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
    expect(page.locator("#first-fragile")).to_contain_text("The first 25 are listed")
    links = page.locator('section a[href^="#q="]')
    hrefs_and_texts = links.evaluate_all(
        "all => all.map((each) => [each.getAttribute('href'), each.textContent])"
    )
    assert len(hrefs_and_texts) > 30
    for link, text in hrefs_and_texts:
        count = next(word for word in text.split() if word.isdecimal())
        page.evaluate("link => { location.hash = link; }", link)
        expect(page.locator("#totals")).to_have_text(re.compile(f"^{count} of {len(records)} rows"))
    assert watched.messages == []


def hostile_records(labels: list[str]) -> list[Record]:
    """Return records whose labels, leading words and reasons are similar to each other."""
    texts = ("Free free", 'say "hi"', "a \\x00", "\u202egpj", "e\u0301t", "\u00e9t", "it's", "İi")
    records = [
        record(
            place,
            texts[place % len(texts)],
            predicted=predicted,
            gold=gold,
            probabilities=dict.fromkeys(labels, 0.5),
            probability=(0.8999999, 0.9, 0.59999996, 0.6, 0.5499999)[place % 5],
            flip_rate=(0.1, 0.1000001)[place % 2],
        )
        for place, (predicted, gold) in enumerate(
            (predicted, gold) for predicted in labels for gold in (*labels, None)
        )
    ]
    reasons = ("no", "No", "no text", 'no "text"', 'no "id"', "no\ttext", *labels)
    bad = [bad_record(len(records) + at) | {"reason": each} for at, each in enumerate(reasons)]
    return [*records, *bad]


@ONE_SCHEME
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.sampled_from((*TWINS, *HOSTILE_LABELS)) | st.text(min_size=1, max_size=12),
        min_size=2,
        max_size=4,
        unique=True,
    )
)
@example([*TWINS[:6]])
@example([*TWINS[6:], "s\tpam"])
@example(["\u202egpj", "\\u202egpj", "a\tb", "a b", "\x00"])
@example(['say "hi"', "say 'hi'", "\\", '"'])
def test_links_find_exactly_their_rows_whatever_the_labels_are(
    watched: Watched, labels: list[str]
) -> None:
    records = hostile_records(labels)
    model = {"name": "model.pt", "labels": labels, "max_length": 64}
    with TemporaryDirectory() as folder:
        page = watched.open(write_run(Path(folder), records, model=model) / "index.html")
        page.wait_for_selector("html[data-ready]")
        found = page.evaluate(FOLLOW_LINKS)
        assert len(found) >= len(labels) ** 2
        for text, totals in found:
            count = next(word for word in text.split() if word.isdecimal())
            assert totals.startswith(f"{count} of {len(records)} rows")
        for label, chip in zip(
            labels[:6], page.locator(".chip[data-term^=label]").all(), strict=True
        ):
            page.evaluate("location.hash = '#q='")
            chip.click()
            count = sum(each.get("predicted") == label for each in records)
            expect(page.locator("#totals")).to_have_text(re.compile(f"^{count} of "))
        assert watched.messages == []
