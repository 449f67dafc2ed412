"""Search, sort, filters, links and keyboard shortcuts of a report, in Chromium."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from saliency_cli.records import Record
from tests.support.chromium import ONE_SCHEME, Watched, click_below_rows
from tests.support.runs import HOSTILE, bad_record, pair_record, read_records, record, write_run

pytestmark = pytest.mark.browser

ROWS = {"free": 0, "sure": 1, "ham": 2, "wrong": 3, "bad": 4, "cut": 5, "pair": 6, "split": 7}


def searchable_records() -> list[Record]:
    """Return records of which each search in `QUERIES` finds different ones."""
    return [
        record(0, "free call now", gold="spam", id="a17"),
        record(1, "a free prize Waiting", gold="spam", probability=0.995, flip_rate=0.25),
        record(2, "see you at home", predicted="ham", probability=0.55, gold="ham"),
        record(3, "call me at home", predicted="ham", probability=0.7, gold="spam"),
        bad_record(4),
        record(5, "long", truncated=True, special_share=0.5),
        pair_record(6),
        split_word_record(7),
    ]


def split_word_record(ordinal: int) -> Record:
    """Return the record of a text with a word of two tokens, and a word with a negative score."""
    return record(ordinal, "ring ton e") | {
        "text": "ring tone",
        "offsets": [[0, 0], [0, 4], [5, 8], [8, 9]],
        "scores": [0.1, -0.35, 0.3, 0.25],
    }


QUERIES = {
    "": "free sure ham wrong bad cut pair split",
    "free": "free sure",
    "FREE call": "free",
    '"free call"': "free",
    '"call free"': "",
    "!free": "ham wrong bad cut pair split",
    "label:ham": "ham wrong",
    "!label:ham": "free sure cut pair split",
    "gold:SPAM": "free sure wrong",
    "correct": "free sure ham",
    "!correct": "wrong",
    "conf<0.6": "ham",
    "conf>99%": "sure",
    "conf>99": "sure",
    "conf > 99 %": "sure",
    "CONF >= 99.5 % label : spam": "sure",
    "!conf <= .7": "free sure cut pair split",
    '"conf > 99 %"': "",
    "label:ham label:spam": "free sure ham wrong cut pair split",
    'label:ham label:="spam" !label:ham': "free sure cut pair split",
    "label:ham label:spam gold:ham": "ham",
    "!conf<0.6": "free sure wrong cut pair split",
    "flips>0.1": "sure",
    "special>0.4": "cut pair",
    "error>0.005": "free sure ham wrong cut split",
    "quarantined": "bad",
    "truncated": "cut",
    "pair": "pair",
    "windows": "",
    "lead:tone": "split",
    "lead:waiting !truncated": "sure",
    "id:a17": "free",
    "id:a1": "",
    "a17": "free",
    "label:": "free sure ham wrong bad cut pair split",
    "sleeps": "pair",
    "missing": "bad",
    "label:spam correct free conf>0.9": "sure",
    "un:known": "",
    "constructor:x": "",  # names that every JavaScript object has are no search terms
    "__proto__:x": "",
    "constructor": "",
    "!__proto__:x": "free sure ham wrong bad cut pair split",
    "LABEL:ham": "ham wrong",
    "!Correct": "wrong",
    "Conf<0.6": "ham",
    "QUARANTINED": "bad",
    'label:="ham"': "ham wrong",
    'Label:="ham" !Gold:="ham"': "wrong",
    'label:="Ham"': "",
    'label:="h\\u0061m"': "ham wrong",
    'label:="ham': "free sure ham wrong bad cut pair split",  # not complete yet
    "reason:missing": "",
    'reason:="text is missing"': "bad",
    'un:="known"': "",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), searchable_records(), reduction="dot")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report of three pages; the last has `searchable_records` and a hostile row."""
    filler = [record(ordinal, f"filler number {ordinal}") for ordinal in range(1000)]
    moved = [{**each, "ordinal": 1000 + each["ordinal"]} for each in searchable_records()]
    hostile = record(1008, f"{HOSTILE} {{{{ 7*7 }}}} \u202eevil", id="javascript:alert(1)//../../x")
    return write_run(tmp_path_factory.mktemp("pages"), [*filler, *moved, hostile])


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    watched = Watched(page)
    yield watched
    page.close()
    assert watched.messages == []


def opened(watched: Watched, path: Path, hash_: str = "#sort=input") -> Page:
    """Open a page, with its rows in the order of the input, and wait until its search is ready."""
    page = watched.page
    page.goto("about:blank")
    page.goto(path.as_uri() + hash_)
    page.wait_for_selector("html[data-ready]")
    return page


def rows(page: Page) -> list[int]:
    """Return the ordinals of the visible rows, in order."""
    ids = page.locator(".row:visible").evaluate_all("rows => rows.map((row) => row.id)")
    return [int(name.removeprefix("row-")) for name in ids]


def search(page: Page, query: str) -> None:
    page.locator("#q").fill(query)
    page.wait_for_function("q => document.documentElement.dataset.query === q", arg=query)


# One page.


@ONE_SCHEME
def test_each_query_finds_its_rows(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html")
    for query, names in QUERIES.items():
        search(page, query)
        assert rows(page) == [ROWS[name] for name in names.split()], query


@ONE_SCHEME
def test_the_totals_are_those_of_the_matching_rows(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html")
    totals = page.get_by_role("status")
    expect(totals).to_have_text("8 of 8 rows, accuracy 75.0 %")
    search(page, "home")
    expect(totals).to_have_text("2 of 8 rows, accuracy 50.0 %")
    search(page, "!correct")
    expect(totals).to_have_text("1 of 8 rows")
    search(page, "truncated")
    expect(totals).to_have_text("1 of 8 rows")
    search(page, "conf<much")
    expect(totals).to_have_text("conf< needs a number, not “much”")
    expect(page.locator("#q")).to_have_attribute("aria-invalid", "true")
    search(page, r'label:="\x"')
    expect(totals).to_have_text(r'label:= needs a JSON string, not "\x"')
    terms = "label: gold: lead: id: reason: conf< error< flips< special< correct"
    flags = "quarantined truncated windows pair"
    for term in ("is:wrong", "conf:0.9"):
        search(page, f"home {term}")
        expect(totals).to_have_text(
            f"No row has the text “{term}”. Search terms are {terms} {flags}"
        )


@ONE_SCHEME
def test_rows_are_sorted_and_return_to_input_order(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html")
    sort = page.get_by_label("Sort")
    sort.select_option(label="least probable first")
    assert rows(page) == [2, 3, 0, 5, 6, 7, 1, 4]
    sort.select_option(label="most probable first")
    assert rows(page) == [1, 0, 5, 6, 7, 3, 2, 4]
    sort.select_option(label="most on special tokens first")
    assert rows(page)[0] == 5
    search(page, "home")
    assert rows(page) == [2, 3]
    search(page, "")
    sort.select_option(label="largest error first")
    assert rows(page)[-1] == 4
    sort.select_option(label="input order")
    assert rows(page) == list(range(8))
    sort.select_option(label="wrong ones first")
    assert rows(page) == [3, 0, 1, 2, 4, 5, 6, 7]


@ONE_SCHEME
def test_a_link_opens_the_same_view(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html")
    search(page, 'home label:"ham"')
    page.get_by_label("Sort").select_option("-conf")
    page.get_by_role("button", name="tokens").click()
    page.get_by_role("button", name="magnitude").click()
    shown, address = rows(page), page.url
    assert shown == [3, 2]
    page = opened(watched, report / "index.html", address.partition("index.html")[2])
    assert rows(page) == shown
    assert page.locator("#q").input_value() == 'home label:"ham"'
    assert page.get_by_label("Sort").input_value() == "-conf"
    for name in ("tokens", "magnitude"):
        expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    page.evaluate("location.hash = '#q=free'")
    expect(page.get_by_role("status")).to_have_text("2 of 8 rows, accuracy 100.0 %")


@ONE_SCHEME
def test_a_link_to_a_row_clears_a_search_that_hides_it(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html", "#q=free")
    page.evaluate("location.hash = '#row-3'")
    expect(page.locator("#row-3")).to_be_in_viewport()
    assert rows(page) == [3, 0, 1, 2, 4, 5, 6, 7]
    page = opened(watched, report / "index.html", "#row-7")
    expect(page.locator("#row-7")).to_be_in_viewport()
    expect(page.locator(".key")).to_be_in_viewport()


@ONE_SCHEME
def test_a_filter_button_adds_and_removes_its_term(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html")
    for name, term, matches in (
        ("wrong", "!correct", [3]),
        ("unsure", "conf<0.6", [2]),
        ("overturned", "flips>0.1", [1]),
        ("cut", "truncated", [5]),
        ("quarantined", "quarantined", [4]),
        ("ham", "label:ham", [2, 3]),
    ):
        chip = page.get_by_role("button", name=f"{name} {len(matches)}", exact=True)
        chip.click()
        assert (rows(page), page.locator("#q").input_value()) == (matches, term)
        expect(chip).to_have_attribute("aria-pressed", "true")
        chip.click()
        assert (len(rows(page)), page.locator("#q").input_value()) == (8, "")
    search(page, "free")
    for name in ("spam 5", "ham 2"):
        page.get_by_role("button", name=name, exact=True).click()
    assert page.locator("#q").input_value() == "free label:spam label:ham"
    assert rows(page) == [0, 1]


@ONE_SCHEME
def test_an_empty_result_says_what_to_try(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html")
    totals = page.get_by_role("status")
    search(page, "label:ham truncated")
    expect(totals).to_have_text("No row matches. Without truncated: 2 rows")
    search(page, "zebra")
    expect(totals).to_contain_text("No row matches. Try a shorter word")


def focused(page: Page) -> str | None:
    return page.locator(":focus").text_content()


@ONE_SCHEME
def test_keys_move_between_rows_and_to_the_search(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html")
    for key, name in (("j", 0), ("j", 1), ("k", 0), ("]", 7), ("[", 0)):
        page.keyboard.press(key)
        assert focused(page) == f"Row {name}", key
    page.keyboard.press("/")
    page.keyboard.type("home j?")
    expect(page.get_by_role("status")).to_contain_text("No row matches")
    search(page, "home")
    page.locator("#q").blur()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert focused(page) == "Row 3"
    expect(page.locator("#row-3")).to_be_in_viewport()


@ONE_SCHEME
def test_the_help_opens_and_can_turn_off_single_key_shortcuts(
    watched: Watched, report: Path
) -> None:
    page = opened(watched, report / "index.html")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert Axe().run(page).violations_count == 0
    page.get_by_label("Turn off single-key shortcuts").check()
    page.get_by_role("button", name="Close").click()
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("?")
    expect(dialog).not_to_be_visible()
    page.get_by_role("button", name="Keys and search").click()
    page.get_by_label("Turn off single-key shortcuts").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    page.keyboard.press("?")
    expect(dialog).to_be_visible()


@ONE_SCHEME
def test_the_view_switches_between_words_and_tokens(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html")
    word = page.locator("#row-7 .w")
    tip = page.get_by_role("tooltip")
    word.hover()
    assert tip.inner_text() == "55 % ± 1.4 %, 2 tokens\n0.5500 ± 0.0143"
    backgrounds = "spans => spans.map((span) => getComputedStyle(span).backgroundColor)"
    none = "rgba(0, 0, 0, 0)"
    assert page.locator("#row-7 .w > .t").evaluate_all(backgrounds) == [none, none]
    page.get_by_role("button", name="tokens").click()
    assert word.evaluate_all(backgrounds) == [none]
    assert none not in page.locator("#row-7 .w > .t").evaluate_all(backgrounds)
    page.locator("#row-7 .w > .t").first.hover()
    assert tip.inner_text().startswith("30 % ± ")
    page.locator("#row-7 h3 a").focus()
    stops = []
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        stops.append(focused(page))
    assert stops == ["[CLS]", "ring", "ton", "e"]


@ONE_SCHEME
def test_the_magnitude_view_ignores_the_sign(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html")
    against = page.locator("#row-7 .n6")
    colour = "span => getComputedStyle(span).backgroundColor"
    before = against.evaluate(colour)
    page.get_by_role("button", name="magnitude").click()
    assert against.evaluate(colour) == "rgb(11, 63, 125)" != before
    assert "−" not in page.locator(".legend").inner_text()
    assert page.locator(".key").inner_text() == "Words for or against the label special token"


@ONE_SCHEME
def test_the_relative_scale_compares_the_words_of_one_text(
    watched: Watched, tmp_path: Path
) -> None:
    words = [f"w{number}" for number in range(1, 129)]  # the n-th word has n parts of the saliency
    long = record(0, " ".join(words))
    long["errors"][64] = 1.0
    page = opened(watched, write_run(tmp_path / "run", [long, pair_record(1)]) / "index.html")
    classes = "spans => spans.map((span) => span.className)"
    spans = page.locator("#row-0 .text > .t:not(.special)")
    before = spans.evaluate_all(classes)
    assert {*before} == {"t s0", "t s1"}
    page.get_by_role("button", name="relative").click()
    after = spans.evaluate_all(classes)
    assert [after[at] for at in (127, 126, 63, 62, 33, 5, 2)] == [
        "t s6", "t s5", "t s0", "t s4", "t s4", "t s1", "t s0",
    ]  # fmt: skip
    assert page.locator("#row-1 .text .s6").count() == 1  # of both texts of a pair
    page.get_by_role("button", name="fixed").click()
    assert spans.evaluate_all(classes) == before


def pasted(page: Page) -> str:
    page.locator("#q").fill("")
    page.locator("#q").press("Control+V")
    return page.locator("#q").input_value()


def assert_pasted(page: Page, expected: object, *, read: Callable[[str], object] = str) -> None:
    """Assert what is pasted; retry, because the clipboard may change after the page says so."""
    for _ in range(30):
        if read(pasted(page)) == expected:
            return
        page.wait_for_timeout(100)
    assert read(pasted(page)) == expected


SAYS_COPIED = """row => ({said: new Promise(done => {
    const watch = () => row.textContent.includes("Copied") && done(true);
    new MutationObserver(watch).observe(row, {childList: true, subtree: true});
})})"""
"""The row says so for 1.5 seconds, which a busy machine may miss, so the page itself watches."""


def copy_by(row: Locator, button: str) -> None:
    """Press a row's button, and wait until the row says that it has copied."""
    watching = row.evaluate_handle(SAYS_COPIED)
    row.get_by_role("button", name=button).click()
    assert watching.evaluate("each => each.said")


@ONE_SCHEME
def test_link_and_record_are_copied(watched: Watched, report: Path) -> None:
    page = opened(watched, report / "index.html", "#sort=conf")
    copy_by(page.locator("#row-6"), "Copy link")
    assert_pasted(page, (report / "index.html").as_uri() + "#row-6")
    search(page, "")
    for copied in read_records(report):
        copy_by(page.locator(f"#row-{copied['ordinal']}"), "Copy record")
        assert_pasted(page, copied, read=json.loads)
        search(page, "")


@ONE_SCHEME
def test_arrow_keys_follow_the_direction_of_the_text(watched: Watched, tmp_path: Path) -> None:
    texts = ("שלום לכל העולם", "日本語 の 文", "e\u0301te\u0301 👩\u200d🚀 ok")
    run = write_run(tmp_path / "run", [record(at, text) for at, text in enumerate(texts)])
    page = opened(watched, run / "index.html")
    page.locator("#row-0 h3 a").focus()
    for key, word in (("ArrowRight", "[CLS]"), ("ArrowLeft", "שלום"), ("ArrowLeft", "לכל")):
        page.keyboard.press(key)
        assert focused(page) == word
    for ordinal, text in enumerate(texts):
        shown = page.locator(f"#row-{ordinal} .text").text_content()
        assert shown == f"[CLS]{text}"
    search(page, "été")
    assert rows(page) == [2]


# Many pages.


def results(page: Page) -> list[str]:
    return page.locator(".result a").all_text_contents()


@ONE_SCHEME
def test_a_search_finds_rows_on_all_pages(watched: Watched, pages: Path) -> None:
    page = opened(watched, pages / "index.html")
    assert page.get_by_role("status").inner_text().startswith("1009 of 1009 rows")
    search(page, "label:ham home")
    assert results(page) == ["Row 1002", "Row 1003"]
    expect(page.locator(".result").nth(1)).to_contain_text("✗ wrong, gold spam")
    shades = "spans => spans.map((span) => [span.textContent, span.className])"
    in_result = page.locator(".result").nth(1).locator(".t").evaluate_all(shades)
    page.get_by_role("link", name="Row 1003").click()
    on_page = page.locator("#row-1003 .text > .t:not(.special, .s0)").evaluate_all(shades)
    assert in_result == on_page != []
    page = opened(watched, pages / "index.html")
    search(page, '"number 777"')
    page.get_by_role("link", name="Row 777").click()
    expect(page.locator("#row-777")).to_be_in_viewport()
    assert page.url.endswith("pages/page-0002.html#row-777")
    watched.requests.clear()


@ONE_SCHEME
def test_pages_of_results_change_by_keys_and_buttons(watched: Watched, pages: Path) -> None:
    page = opened(watched, pages / "index.html")
    assert results(page)[0] == "Row 0"
    page.keyboard.press("]")
    assert results(page)[0] == "Row 100"
    click_below_rows(page.get_by_role("button", name="Next →"))
    assert results(page)[0] == "Row 200"
    assert page.url.endswith("&page=3")
    page.keyboard.press("[")
    page.keyboard.press("j")
    assert focused(page) == "Row 100"
    search(page, "filler")
    assert results(page)[0] == "Row 0"
    page.get_by_label("Sort").select_option("-special")
    assert "page" not in page.url.partition("#")[2]


@ONE_SCHEME
def test_pages_of_rows_have_the_keyboard_shortcuts(watched: Watched, pages: Path) -> None:
    page = watched.open(pages / "pages" / "page-0002.html")
    page.keyboard.press("j")
    assert focused(page) == "Row 500"
    page.keyboard.press("]")
    page.wait_for_url("**/page-0003.html")
    page.keyboard.press("]")
    assert focused(page) == "Row 1008"
    page.get_by_role("button", name="tokens").click()
    page.keyboard.press("/")
    page.wait_for_url("**/index.html#q")
    expect(page.locator("#q")).to_be_focused()


def test_a_missing_part_of_the_search_index_is_reported(browser: Browser, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [record(each, "one") for each in range(501)])
    (run / "pages" / "index-0001.js").unlink()
    page = browser.new_page()
    page.goto((run / "index.html").as_uri())
    expect(page.get_by_role("status")).to_contain_text("pages/index-0001.js is missing")
    page.close()


@ONE_SCHEME
def test_hostile_text_is_shown_as_text(watched: Watched, pages: Path) -> None:
    page = opened(watched, pages / "index.html", f"#q={quote('javascript:alert(1)')}")
    assert results(page) == ["Row 1008"]
    excerpt = page.locator(".result .excerpt").inner_text()
    assert excerpt == f"{HOSTILE} {{{{ 7*7 }}}} \\u202eevil"
    page = opened(watched, pages / "index.html", f"#q={quote(HOSTILE)}&sort={quote(HOSTILE)}")
    assert page.locator("img").count() == 0
    page.goto((pages / "pages" / "page-0003.html").as_uri())
    row = page.locator("#row-1008")
    assert row.locator(".id").inner_text() == "javascript:alert(1)//../../x"
    assert "\\u202eevil" in row.inner_text()
    assert page.locator("img, [href^=javascript]").count() == 0


@ONE_SCHEME
def test_a_single_file_has_all_rows(watched: Watched, pages: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", read_records(pages), single_file=True, title="All & one")
    assert sorted(path.name for path in run.iterdir()) == ["index.html", "manifest.json", "records"]
    page = opened(watched, run / "index.html")
    assert page.title() == "All & one"
    search(page, "label:ham")
    assert rows(page) == [1002, 1003]


@ONE_SCHEME
def test_a_sample_of_the_rows_says_so_and_has_no_accuracy(
    watched: Watched, report: Path, tmp_path: Path
) -> None:
    records = read_records(report)
    run = write_run(tmp_path / "run", records, single_file=True, html_rows=5)
    page = opened(watched, run / "index.html")
    assert page.get_by_text("These are a sample: 5 of 8 rows").is_visible()
    expect(page.get_by_role("status")).to_have_text("5 of 5 rows")
    search(page, "correct")
    expect(page.get_by_role("status")).to_have_text("2 of 5 rows")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_before_and_after_a_search(
    browser: Browser, report: Path, pages: Path, scheme: str
) -> None:
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    files = [report / "index.html", pages / "index.html", pages / "pages" / "page-0003.html"]
    for file in files:
        page.goto(file.as_uri())
        page.wait_for_timeout(200)
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        if file.name == "index.html":
            search(page, "!correct")
            page.get_by_label("Sort").select_option("conf")
        page.get_by_role("button", name="Keys and search").focus()
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
    page.close()


def test_without_scripts_no_controls_are_shown(browser: Browser, report: Path, pages: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for file in (report / "index.html", pages / "index.html", pages / "pages" / "page-0003.html"):
        page.goto(file.as_uri())
        assert page.locator("button:visible, input:visible, select:visible").count() == 0
    page.goto((pages / "index.html").as_uri())
    page.get_by_role("link", name="Page 3:").click()
    assert "free call now" in page.locator("#row-1000 .text").inner_text()
    context.close()
