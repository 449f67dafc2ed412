"""What the summary page says of the records, each statistic on records small enough to check."""

import json
import re
import tracemalloc
from math import comb, exp
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.analysis.confusion import MOST_LABELS
from saliency_cli.analysis.findings import REASONS_SHOWN, Findings, find
from saliency_cli.analysis.notable_rows import ROWS_KEPT
from saliency_cli.analysis.word_shares import row_stats, shares
from saliency_cli.analysis.word_statistics import WordCounts, divergence, surprise
from saliency_cli.analysis.words import words
from saliency_cli.records import Record
from saliency_cli.report.search_links import phrase, search, term
from tests.support.runs import bad_record, led, pair_record, planted, record, varied, write_run

LABELS = ("ham", "spam")


def found(records: list[Record], labels: tuple[str, ...] = LABELS) -> Findings:
    return find((json.dumps(each) for each in records), labels=labels)


# Words.


def tokenized(text: str, *spans: tuple[int, int]) -> Record:
    """Make the record of a text with tokens at these places, of one share each."""
    return record(0, "x") | {
        "text": text,
        "tokens": [text[start:end] for start, end in spans],
        "offsets": [list(span) for span in spans],
        "special": [False] * len(spans),
        "scores": [1 / len(spans)] * len(spans),
    }


@pytest.mark.parametrize(
    ("text", "spans", "keys"),
    [
        ("Unbelievable!", [(0, 2), (2, 7), (7, 12), (12, 13)], ["unbelievable", "!"]),
        ("free, now", [(0, 4), (4, 5), (6, 9)], ["free", ",", "now"]),
        ("a bc d", [(0, 1), (1, 4), (4, 6)], ["a", "bc", "d"]),  # tokens with the space before
        ("don't 'go'", [(0, 3), (3, 4), (4, 5), (6, 7), (7, 9), (9, 10)], ["don't", "go"]),
        ("日本語だ", [(0, 2), (2, 3), (3, 4)], ["日本", "語", "だ"]),
        ("a 🙂!", [(0, 1), (2, 3), (2, 3), (2, 3), (3, 4)], ["a", "🙂", "!"]),
        ("cafe\u0301s", [(0, 4), (4, 5), (5, 6)], ["cafés"]),
        ("STRASSE Straße", [(0, 7), (8, 14)], ["strasse", "strasse"]),
        ("नमस्ते", [(0, 2), (2, 4), (4, 6)], ["नमस्ते"]),
        ("a\n\nb", [(0, 1), (1, 3), (3, 4)], ["a", "b"]),
        ("'", [(0, 1)], ["'"]),
    ],
)
def test_tokens_of_one_word_are_joined(
    text: str, spans: list[tuple[int, int]], keys: list[str]
) -> None:
    assert [word.key for word in words(tokenized(text, *spans))] == keys


def test_the_halves_of_a_pair_are_not_joined_and_both_count() -> None:
    keys = [word.key for word in words(pair_record(0))]
    assert keys == ["a", "man", "eats", "a", "man", "sleeps"]
    assert shares(words(pair_record(0)))["man"] == pytest.approx(0.1)


@given(st.data(), st.text(min_size=1, max_size=30))
def test_words_lose_no_score_but_of_white_space(data: st.DataObject, text: str) -> None:
    edges = st.integers(0, len(text))
    spans = sorted(data.draw(st.lists(st.tuples(edges, edges).map(sorted), min_size=1, max_size=8)))
    made = tokenized(text, *((start, end) for start, end in spans))
    seen = words(made)
    assert all(word.text and word.key for word in seen)
    assert sum(word.score for word in seen) <= 1 + 1e-9
    if not any(map(str.isspace, text)) and all(start < end for start, end in spans):
        assert sum(word.score for word in seen) == pytest.approx(1)


def test_what_speaks_against_the_label_leads_nothing() -> None:
    made = record(0, "free call", scores=[0.1, 0.3, -0.6])
    assert row_stats(made).leading == "free"
    assert row_stats({**made, "scores": [0.1, -0.3, -0.6]}).leading is None


# Words that lead, and suspects.


def test_a_word_that_leads_and_decides_is_the_first_suspect() -> None:
    first = found(list(planted())).suspects[0]
    assert (first.lead.word, first.lead.label) == ("zap", "spam")
    assert (first.lead.texts, first.lead.leads, first.purity) == (40, 40, 1.0)
    assert first.base == pytest.approx((40 + 32) / 100)
    assert first.expected == pytest.approx(40 / 9)
    assert first.lead.rows == (0, 1, 2, 3, 4)


def test_where_all_texts_get_one_label_nothing_is_tied_to_it() -> None:
    assert found([each | {"predicted": "spam"} for each in planted()]).suspects == ()


def test_a_word_that_is_tied_but_does_not_lead_is_no_suspect() -> None:
    records = [
        each | {"scores": [1 / len(each["tokens"])] * len(each["tokens"])} for each in planted()
    ]
    assert "zap" not in {suspect.lead.word for suspect in found(records).suspects}


def test_a_word_that_leads_but_is_not_tied_is_no_suspect() -> None:
    records = [each | {"predicted": LABELS[each["ordinal"] % 2]} for each in planted()]
    assert found(records).suspects == ()


def test_by_chance_no_word_is_a_suspect() -> None:
    """Words, labels and leaders are drawn at random, 25 runs of 100 texts."""
    draw = torch.Generator().manual_seed(0)
    vocabulary = [f"w{number:02}" for number in range(40)]
    for _ in range(25):
        records = []
        for ordinal in range(100):
            chosen = [vocabulary[place] for place in torch.randperm(40, generator=draw)[:8]]
            label = LABELS[int(torch.randint(2, (), generator=draw))]
            records.append(led(ordinal, " ".join(chosen), chosen[0], predicted=label))
        assert found(records).suspects == ()


@given(st.integers(1, 60), st.floats(0.01, 0.99))
def test_the_bounds_hold_for_coins(tosses: int, base: float) -> None:
    chances = [comb(tosses, k) * base**k * (1 - base) ** (tosses - k) for k in range(tosses + 1)]
    for heads in range(tosses + 1):
        tail = sum(chances[heads:])
        assert tail <= exp(-surprise(heads, tosses * base)) + 1e-9
        assert tail <= exp(-tosses * divergence(heads / tosses, base)) + 1e-9


def test_the_words_of_each_label_are_counted() -> None:
    records = [
        led(0, "free call", "free", gold="spam"),
        led(1, "free now", "free", gold="ham"),
        led(2, "free call", "call", gold="unknown"),
        led(3, "free home", "home", predicted="ham"),
    ]
    spam, ham = found(records).labels
    assert (spam.label, spam.texts, ham.label, ham.texts) == ("spam", 3, "ham", 1)
    free = spam.words[0]
    assert (free.word, free.texts, free.leads, free.judged, free.wrong) == ("free", 3, 2, 2, 1)
    assert free.rows == (0, 1)
    assert free.share == pytest.approx((0.5 + 0.5 + 0.25) / 3)
    assert [word.word for word in ham.words] == ["home"]


def test_of_too_many_words_the_frequent_ones_are_kept() -> None:
    counts = WordCounts(most=10)
    for ordinal in range(200):
        counts.add(row_stats(led(ordinal, f"often rare{ordinal} sometimes", "often")))
    assert len(counts.counts) <= 20
    assert counts.counts["spam", "often"].texts == 200
    assert counts.counts["spam", "sometimes"].leads == 0


# Right and wrong.


@given(st.lists(st.tuples(st.sampled_from([*LABELS, "other", None]), st.floats(0, 1)), max_size=30))
def test_every_prediction_is_in_the_histogram_and_every_judged_one_in_the_matrix(
    rows: list[tuple[str | None, float]],
) -> None:
    records = [
        record(ordinal, "one two", gold=gold, probability=probability)
        for ordinal, (gold, probability) in enumerate(rows)
    ]
    seen = found(records)
    judged = sum(gold in LABELS for gold, _ in rows)
    bins = seen.histogram.bins if seen.histogram else ()
    assert sum(each.right + each.wrong + each.unjudged for each in bins) == len(rows)
    assert sum(each.right + each.wrong for each in bins) == judged
    cells = [cell for line in seen.confusion.cells for cell in line] if seen.confusion else []
    assert sum(cell.count for cell in cells) == judged


def test_the_histogram_begins_where_rows_are_or_at_one_half() -> None:
    sure = found([record(0, "one", probability=1.0)]).histogram
    unsure = found([record(0, "one", probability=0.34)]).histogram
    assert sure is not None
    assert unsure is not None
    assert (sure.bins[0].low, sure.bins[-1].unjudged, sure.kinds) == (0.5, 1, ("unjudged",))
    assert unsure.bins[0].low == pytest.approx(0.3)


def test_mistakes_are_named_with_their_rows() -> None:
    records = [record(n, "one", gold="ham" if n < 7 else "spam") for n in range(10)]
    confusion = found(records).confusion
    assert confusion is not None
    mistake = confusion.mistakes[0]
    assert (mistake.gold, mistake.predicted, mistake.count) == ("ham", "spam", 7)
    assert mistake.share == 1.0
    assert mistake.rows == (0, 1, 2, 3, 4)


def test_of_many_labels_the_most_frequent_are_shown() -> None:
    labels = tuple(f"l{number:02}" for number in range(MOST_LABELS + 3))
    records = [
        record(place, "one", gold=gold, predicted=gold, probabilities=dict.fromkeys(labels, 0.0))
        for place, gold in enumerate((*labels, *labels[3:]))
    ]
    confusion = found(records, labels).confusion
    assert confusion is not None
    assert confusion.labels == labels[3:]
    assert confusion.hidden == 3


# Rows to read first, and quarantined ones.


def kinds(made: Record) -> set[str]:
    return {notable.kind for notable in found([made]).notable}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"gold": "ham", "probability": 0.95}, "wrong"),
        ({"flip_rate": 0.2}, "fragile"),
        ({"errors": [0.1] * 7}, "unsettled"),
        ({"scores": [0.1, 0.1, 0.1, 0.05, 0.05, 0.0, 0.6]}, "dominated"),
        ({"special_share": 0.6}, "special"),
        ({"truncated": True}, "cut"),
    ],
)
def test_a_row_is_of_the_kind_that_it_shows(changes: dict[str, object], kind: str) -> None:
    plain = record(0, "one two three four five six")
    assert kinds(plain) == set()
    assert kinds({**plain, **changes}) == {kind}


def test_what_the_model_did_not_see_is_measured() -> None:
    cut = next(each for each in found(varied()).notable if each.kind == "cut")
    assert [row.value for row in cut.rows] == [len(" and then was cut off")]


@given(st.lists(st.floats(0.11, 1.0), max_size=60))
def test_the_most_pronounced_rows_are_kept_and_all_are_counted(rates: list[float]) -> None:
    records = [record(n, "one two", flip_rate=rate) for n, rate in enumerate(rates)]
    fragile = [each for each in found(records).notable if each.kind == "fragile"]
    assert sum(each.count for each in fragile) == len(rates)
    order = sorted(range(len(rates)), key=lambda n: (-rates[n], n))[:ROWS_KEPT]
    assert [row.ordinal for each in fragile for row in each.rows] == order


def test_quarantined_rows_are_grouped_by_reason() -> None:
    records = [bad_record(n) for n in range(8)]
    records += [bad_record(n) | {"reason": f"reason {n}"} for n in range(8, 8 + REASONS_SHOWN)]
    seen = found(records).quarantined
    assert (seen[0].reason, seen[0].count, seen[0].rows) == ("text is missing", 8, (0, 1, 2, 3, 4))
    assert len(seen) == REASONS_SHOWN + 1
    assert sum(bad.count for bad in seen) == len(records)
    assert {bad.reason: bad.count for bad in seen}[None] == 1


# The whole pass, and the page.


def test_memory_does_not_grow_with_the_rows() -> None:
    vocabulary = [f"word{number}" for number in range(50)]

    def peak(rows: int) -> int:
        lines = (
            json.dumps(record(n, " ".join(vocabulary[n % 40 :]), flip_rate=0.2, gold="ham"))
            for n in range(rows)
        )
        tracemalloc.start()
        find(lines, labels=LABELS)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(200)
    assert peak(2000) < 1.25 * peak(400)


def test_a_regression_gets_a_page_without_what_has_no_meaning(tmp_path: Path) -> None:
    numbers: dict[str, object] = {
        "predicted": None,
        "probability": None,
        "probabilities": {},
        "value": 1.5,
    }
    records = [led(n, "a fine film", "fine", **numbers, target="stars") for n in range(3)]
    seen = found(records)
    assert (seen.histogram, seen.confusion, seen.suspects) == (None, None, ())
    assert [(group.label, group.words[0].word) for group in seen.labels] == [(None, "fine")]
    page = (write_run(tmp_path / "run", records) / "index.html").read_text(encoding="utf-8")
    assert 'id="words"' in page
    assert 'id="suspects"' not in page
    assert '<svg class="histogram"' not in page


@pytest.mark.parametrize("html_rows", [5000, 600, 20, 0])
def test_every_link_to_a_row_leads_to_it(tmp_path: Path, html_rows: int) -> None:
    records = [each | {"gold": "ham"} for each in planted(1200)]
    run = write_run(tmp_path / "run", records, html_rows=html_rows)
    index = (run / "index.html").read_text(encoding="utf-8")
    rows = index.partition('<section aria-labelledby="texts">')[0]
    links = re.findall(r'href="([^"]*)#row-(\d+)"', rows)
    assert len(links) >= min(html_rows, 20)
    for name, ordinal in links:
        page = run / (name or "index.html")
        assert f'id="row-{ordinal}"' in page.read_text(encoding="utf-8")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3))
def test_searches_arrive_as_they_were_written(terms: list[str]) -> None:
    link = search(*terms)
    assert re.fullmatch(r"#q=[\w.~%-]*", link, re.ASCII)
    assert unquote(link.removeprefix("#q=")) == " ".join(terms)


def test_what_holds_a_space_is_quoted() -> None:
    assert term("label", "spam") == "label:spam"
    assert term("label", "very good") == 'label:"very good"'
    assert term("lead", "") == 'lead:""'
    assert phrase("text is missing") == '"text is missing"'
    assert phrase('no "text" there') == '"no "'
