"""Each finding of the summary page, on records that are small enough to check by hand."""

import json
import re
import tracemalloc
from math import comb, exp
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.analysis.confusion import MATRIX_LABELS, PredictionCounts, Predictions
from saliency_cli.analysis.finding import Finding
from saliency_cli.analysis.findings import collect_findings
from saliency_cli.analysis.notable_rows import ROWS_LISTED, NotableRowCollector, NotableRows
from saliency_cli.analysis.quarantine import MAX_REASONS, QuarantineReasons, reason_kind
from saliency_cli.analysis.tail_bounds import bernoulli_kl, count_tail_bound
from saliency_cli.analysis.word_shares import row_stats, word_shares
from saliency_cli.analysis.word_statistics import WordCounts, WordFindings
from saliency_cli.analysis.words import words
from saliency_cli.records import Record
from saliency_cli.report.search_links import label_terms, search, term
from saliency_cli.safe_text import visible
from tests.support.runs import bad_record, led, pair_record, planted, record, varied, write_run

LABELS = ("ham", "spam")


def add_explained(finding: Finding, records: list[Record]) -> None:
    for each in records:
        if each["status"] == "ok":
            finding.add(row_stats(each))


def word_findings(records: list[Record]) -> WordFindings:
    counts = WordCounts()
    add_explained(counts, records)
    return counts.result()


def predictions(records: list[Record], labels: tuple[str, ...] = LABELS) -> Predictions:
    counts = PredictionCounts(labels)
    add_explained(counts, records)
    return counts.result()


def notable_rows(records: list[Record]) -> NotableRows:
    collector = NotableRowCollector()
    add_explained(collector, records)
    return collector.result()


# Words.


def tokenized(text: str, *spans: tuple[int, int]) -> Record:
    """Return the record of a text with tokens at these spans; all have the same score."""
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


def test_words_do_not_span_the_two_texts_of_a_pair_and_both_texts_count() -> None:
    keys = [word.key for word in words(pair_record(0))]
    assert keys == ["a", "man", "eats", "a", "man", "sleeps"]
    assert word_shares(words(pair_record(0)))["man"] == pytest.approx(0.1)


@given(st.data(), st.text(min_size=1, max_size=30))
def test_words_have_all_scores_except_those_of_white_space(data: st.DataObject, text: str) -> None:
    edges = st.integers(0, len(text))
    spans = sorted(data.draw(st.lists(st.tuples(edges, edges).map(sorted), min_size=1, max_size=8)))
    explained = tokenized(text, *((start, end) for start, end in spans))
    result = words(explained)
    assert all(word.text and word.key for word in result)
    assert sum(word.score for word in result) <= 1 + 1e-9
    if not any(map(str.isspace, text)) and all(start < end for start, end in spans):
        assert sum(word.score for word in result) == pytest.approx(1)


def test_a_word_with_a_negative_share_does_not_lead() -> None:
    explained = record(0, "free call", scores=[0.1, 0.3, -0.6])
    assert row_stats(explained).leading_word == "free"
    assert row_stats({**explained, "scores": [0.1, -0.3, -0.6]}).leading_word is None


# Leading words and suspects.


def test_a_word_that_leads_and_occurs_with_one_label_is_the_first_suspect() -> None:
    first = word_findings(list(planted())).suspects[0]
    assert (first.word.word, first.word.label) == ("zap", "spam")
    assert (first.word.texts, first.word.leads, first.purity) == (40, 40, 1.0)
    assert first.base == pytest.approx((40 + 32) / 100)
    assert first.expected == pytest.approx(40 / 10)
    assert first.word.rows == (0, 1, 2, 3, 4)


def test_there_is_no_suspect_if_all_texts_get_one_label() -> None:
    assert word_findings([each | {"predicted": "spam"} for each in planted()]).suspects == ()


def test_a_word_that_occurs_with_one_label_but_does_not_lead_is_no_suspect() -> None:
    records = [
        each | {"scores": [1 / len(each["tokens"])] * len(each["tokens"])} for each in planted()
    ]
    assert "zap" not in {suspect.word.word for suspect in word_findings(records).suspects}


def test_a_word_that_leads_but_occurs_with_both_labels_is_no_suspect() -> None:
    records = [each | {"predicted": LABELS[each["ordinal"] % 2]} for each in planted()]
    assert word_findings(records).suspects == ()


@given(st.integers(1, 60), st.floats(0.01, 0.99))
def test_both_bounds_hold_for_the_binomial_distribution(draws: int, base: float) -> None:
    chances = [comb(draws, k) * base**k * (1 - base) ** (draws - k) for k in range(draws + 1)]
    for count in range(draws + 1):
        tail = sum(chances[count:])
        assert tail <= exp(-count_tail_bound(count, draws * base)) + 1e-9
        assert tail <= exp(-draws * bernoulli_kl(count / draws, base)) + 1e-9


def test_the_words_of_each_label_are_counted() -> None:
    records = [
        led(0, "free call", "free", gold="spam"),
        led(1, "free now", "free", gold="ham"),
        led(2, "free call", "call", gold="unknown"),
        led(3, "free home", "home", predicted="ham"),
    ]
    spam, ham = word_findings(records).labels
    assert (spam.label, spam.texts, ham.label, ham.texts) == ("spam", 3, "ham", 1)
    free = spam.words[0]
    assert (free.word, free.texts, free.leads, free.with_gold, free.wrong) == ("free", 3, 2, 2, 1)
    assert free.rows == (0, 1)
    assert free.share == pytest.approx((0.5 + 0.5 + 0.25) / 3)
    assert [word.word for word in ham.words] == ["home"]


def test_the_rarest_words_are_dropped_when_there_are_too_many() -> None:
    counts = WordCounts(max_pairs=10)
    for ordinal in range(200):
        counts.add(row_stats(led(ordinal, f"often rare{ordinal} sometimes", "often")))
    assert len(counts.counts) <= 20
    assert counts.counts["spam", "often"].texts == 200
    assert counts.counts["spam", "sometimes"].leads == 0


# Correct and wrong predictions.


@given(st.lists(st.tuples(st.sampled_from([*LABELS, "other", None]), st.floats(0, 1)), max_size=30))
def test_the_histogram_counts_all_rows_and_the_matrix_all_with_a_known_gold_label(
    rows: list[tuple[str | None, float]],
) -> None:
    records = [
        record(ordinal, "one two", gold=gold, probability=probability)
        for ordinal, (gold, probability) in enumerate(rows)
    ]
    result = predictions(records)
    with_gold = sum(gold in LABELS for gold, _ in rows)
    bins = result.histogram.bins if result.histogram else ()
    assert sum(each.correct + each.wrong + each.without_gold for each in bins) == len(rows)
    assert sum(each.correct + each.wrong for each in bins) == with_gold
    matrix = result.confusion.cells if result.confusion else ()
    assert sum(cell.count for line in matrix for cell in line) == with_gold


def test_the_histogram_starts_at_the_lowest_probability_or_at_one_half() -> None:
    sure = predictions([record(0, "one", probability=1.0)]).histogram
    unsure = predictions([record(0, "one", probability=0.34)]).histogram
    assert sure is not None
    assert unsure is not None
    assert (sure.bins[0].low, sure.bins[-1].without_gold) == (0.5, 1)
    assert sure.outcomes == ("without_gold",)
    assert unsure.bins[0].low == pytest.approx(0.3)


def test_mistakes_are_listed_with_their_rows() -> None:
    records = [record(n, "one", gold="ham" if n < 7 else "spam") for n in range(10)]
    confusion = predictions(records).confusion
    assert confusion is not None
    mistake = confusion.mistakes[0]
    assert (mistake.gold, mistake.predicted, mistake.count) == ("ham", "spam", 7)
    assert mistake.share == 1.0
    assert mistake.rows == (0, 1, 2, 3, 4)


def test_the_matrix_shows_the_most_frequent_labels() -> None:
    labels = tuple(f"l{number:02}" for number in range(MATRIX_LABELS + 3))
    records = [
        record(place, "one", gold=gold, predicted=gold, probabilities=dict.fromkeys(labels, 0.0))
        for place, gold in enumerate((*labels, *labels[3:]))
    ]
    confusion = predictions(records, labels).confusion
    assert confusion is not None
    assert confusion.labels == labels[3:]
    assert confusion.hidden_labels == 3


# Rows to read first, and quarantined ones.


def kinds(explained: Record) -> set[str]:
    return {kind.name for kind in notable_rows([explained]).kinds}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"gold": "ham", "probability": 0.95}, "wrong"),
        ({"flip_rate": 0.2}, "fragile"),
        ({"errors": [0.1] * 7}, "imprecise"),
        ({"scores": [0.1, 0.1, 0.1, 0.05, 0.05, 0.0, 0.6]}, "dominated"),
        ({"special_share": 0.6}, "special"),
        ({"truncated": True}, "cut"),
    ],
)
def test_each_kind_of_notable_row_is_found(changes: dict[str, object], kind: str) -> None:
    plain = record(0, "one two three four five six")
    assert kinds(plain) == set()
    assert kinds({**plain, **changes}) == {kind}


def test_a_cut_text_is_measured_by_the_characters_that_were_not_read() -> None:
    cut = next(each for each in notable_rows(varied()).kinds if each.name == "cut")
    assert [row.value for row in cut.rows] == [len(" and then was cut off")]


@given(st.lists(st.floats(0.11, 1.0), max_size=60))
def test_the_most_pronounced_rows_are_listed_and_all_are_counted(rates: list[float]) -> None:
    records = [record(n, "one two", flip_rate=rate) for n, rate in enumerate(rates)]
    fragile = [each for each in notable_rows(records).kinds if each.name == "fragile"]
    assert sum(each.count for each in fragile) == len(rates)
    order = sorted(range(len(rates)), key=lambda n: (-rates[n], n))[:ROWS_LISTED]
    assert [row.ordinal for each in fragile for row in each.rows] == order


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("not UTF-8 at byte 14 of the row; try another", "not UTF-8; try another"),
        ("not JSON: Expecting value at character 1", "not JSON: Expecting value"),
        ("13 fields where the header has 2", "other than the header’s 2 fields"),
        ("not readable: the key 'it's' stands twice", "not readable: a key stands twice"),
        ("the model fails: torch.Error: at byte 3: no", "the model fails: torch.Error"),
        ("the line is longer than 8 MiB", "the line is longer than 8 MiB"),
    ],
)
def test_the_kind_of_a_reason_has_nothing_of_its_row(reason: str, kind: str) -> None:
    assert reason_kind(reason) == kind


def test_quarantined_rows_are_grouped_by_kind_of_reason() -> None:
    records = [bad_record(n) for n in range(8)]
    records += [bad_record(n) | {"reason": f"not JSON: at character {n}"} for n in range(8, 15)]
    records += [bad_record(n) | {"reason": f"reason {n}"} for n in range(15, 14 + MAX_REASONS)]
    reasons = QuarantineReasons()
    for each in records:
        reasons.add(each)
    counts = reasons.result().reasons
    assert (counts[0].reason, counts[0].count) == ("text is missing", 8)
    assert counts[0].rows == (0, 1, 2, 3, 4)
    assert (counts[1].reason, counts[1].count) == ("not JSON:", 7)
    assert len(counts) == MAX_REASONS + 1
    assert sum(each.count for each in counts) == len(records)
    assert {each.reason: each.count for each in counts}[None] == 1


# All findings together, and the page.


def test_memory_does_not_grow_with_the_rows() -> None:
    vocabulary = [f"word{number}" for number in range(50)]

    def peak(rows: int) -> int:
        lines = (
            json.dumps(record(n, " ".join(vocabulary[n % 40 :]), flip_rate=0.2, gold="ham"))
            for n in range(rows)
        )
        tracemalloc.start()
        collect_findings(lines, labels=LABELS)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(200)
    assert peak(2000) < 1.25 * peak(400)


def test_the_page_of_a_regression_has_no_labels_suspects_or_histogram(tmp_path: Path) -> None:
    numbers: dict[str, object] = {
        "predicted": None,
        "probability": None,
        "probabilities": {},
        "value": 1.5,
    }
    records = [led(n, "a fine film", "fine", **numbers, target="stars") for n in range(3)]
    assert predictions(records) == Predictions(None, None)
    result = word_findings(records)
    assert result.suspects == ()
    assert [(group.label, group.words[0].word) for group in result.labels] == [(None, "fine")]
    page = (write_run(tmp_path / "run", records) / "index.html").read_text(encoding="utf-8")
    assert 'id="words"' in page
    assert 'id="suspects"' not in page
    assert '<svg class="histogram"' not in page


@pytest.mark.parametrize("html_rows", [5000, 600, 20, 0])
def test_every_link_to_a_row_leads_to_that_row(tmp_path: Path, html_rows: int) -> None:
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
def test_a_search_link_contains_its_terms_unchanged(terms: list[str]) -> None:
    link = search(*terms)
    assert re.fullmatch(r"#q=[\w.~%-]*", link, re.ASCII)
    assert unquote(link.removeprefix("#q=")) == " ".join(terms)


@given(st.text(st.characters()))
def test_a_term_is_a_json_string_without_control_characters(value: str) -> None:
    written = term("label", value)
    assert json.loads(written.removeprefix("label:=")) == value
    assert visible(written) == written


def test_a_label_that_is_a_word_is_searched_in_the_short_form() -> None:
    labels = ["ham", "Spam", "spam", "very good", 'say "hi"', "other"]
    assert [term for _, term in label_terms(labels, most=5)] == [
        "label:ham",
        'label:="Spam"',
        'label:="spam"',
        'label:="very good"',
        r'label:="say \"hi\""',
    ]
