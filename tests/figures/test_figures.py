"""Figures about gold labels: each against a direct computation, and what is planted is found."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from math import comb, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.analysis.notable_rows import MISLABELLED, NotableRowCollector
from saliency_cli.analysis.weakness import Weakness, WeaknessCollector
from saliency_cli.analysis.word_shares import row_stats
from saliency_cli.figures.calibration import BINS, Calibration
from saliency_cli.figures.chance import excess_p_value, holm, wilson_interval
from saliency_cli.figures.labels import doubt_thresholds
from saliency_cli.figures.run_figures import RunFigures
from saliency_cli.figures.scripts import NONE, script_of
from saliency_cli.figures.slices import MOST_COUNTED, MOST_VALUES, OTHER_VALUES
from saliency_cli.records import Record, match_labels
from saliency_cli.runs.figures_schema import figures_problem, gold_problem
from saliency_cli.runs.summary import Summary, summarise
from tests.support.predictions import LABELS, calibrated, predicted_row
from tests.support.runs import bad_record, planted, record


def summary_of(records: Iterable[Record], labels: tuple[str, ...] = LABELS) -> Summary:
    return summarise(records, labels=labels)


def weakness_of(records: list[Record]) -> Weakness:
    collector = WeaknessCollector(asdict(summary_of(records)))
    for each in records:
        collector.add(row_stats(each))
    return collector.result()


# What chance explains.


@given(st.integers(1, 12), st.integers(0, 12), st.integers(1, 12), st.integers(0, 12))
def test_the_p_value_is_the_tail_of_the_hypergeometric_distribution(
    rows: int, wrong: int, others: int, others_wrong: int
) -> None:
    wrong, others_wrong = min(wrong, rows), min(others_wrong, others)
    total, total_wrong = rows + others, wrong + others_wrong
    tail = sum(
        comb(total_wrong, count) * comb(total - total_wrong, rows - count)
        for count in range(wrong, min(rows, total_wrong) + 1)
    )
    found = excess_p_value(wrong, rows, all_wrong=total_wrong, all_rows=total)
    if wrong * total <= total_wrong * rows:
        assert found == 1
    else:
        assert found == pytest.approx(tail / comb(total, rows), rel=1e-9)


def test_p_values_of_a_million_rows_are_computed() -> None:
    found = excess_p_value(5_300, 50_000, all_wrong=100_000, all_rows=1_000_000)
    assert log(found) == pytest.approx(log(2.1e-6), abs=1)  # 4.6 standard deviations


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_rejects_what_his_steps_reject(p_values: list[float]) -> None:
    ordered = sorted(p_values)
    kept = next(
        (at for at, p in enumerate(ordered) if p * (len(ordered) - at) >= 0.05), len(ordered)
    )
    assert sum(each < 0.05 for each in holm(p_values)) == kept


def test_wilson_interval_is_the_published_one() -> None:
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 5)[0] == 0


# Calibration.


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=60))
def test_calibration_error_is_that_of_bins_of_equal_mass(rows: list[tuple[float, bool]]) -> None:
    calibration = Calibration()
    for probability, correct in rows:
        calibration.add(probability, correct=correct)
    confidence, right = (np.array(each, dtype=float) for each in zip(*rows, strict=True))
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, BINS)
    gaps = [len(p) * abs(confidence[p].mean() - right[p].mean()) for p in parts if len(p)]
    assert calibration.error() == pytest.approx(sum(gaps) / len(rows), abs=1e-9)


# Labels.


def test_figures_of_labels_equal_a_direct_computation() -> None:
    records = [*calibrated(300, seed=0), bad_record(300), predicted_row(301, 0.7, "unknown")]
    summary = summary_of(records)
    judged = [each for each in records if each.get("gold") in LABELS]
    gold, found = ([each[name] for each in judged] for name in ("gold", "predicted"))
    scores = []
    for label in LABELS:
        hits = sum(g == p == label for g, p in zip(gold, found, strict=True))
        precision, recall = hits / found.count(label), hits / gold.count(label)
        figures = summary.labels[label]
        assert figures["precision"] == pytest.approx(precision, rel=1e-6)
        assert figures["recall"] == pytest.approx(recall, rel=1e-6)
        scores.append(2 * precision * recall / (precision + recall))
        own = [each["probabilities"][label] for each in judged if each["gold"] == label]
        assert figures["threshold"] == pytest.approx(np.mean(own), rel=1e-6)
    assert summary.macro_f1 == pytest.approx(np.mean(scores), rel=1e-6)
    squares = [
        sum((each["probabilities"][x] - (each["gold"] == x)) ** 2 for x in LABELS)
        for each in judged
    ]
    assert summary.brier == pytest.approx(np.mean(squares), rel=1e-6)
    assert (summary.micro_f1, summary.exact_match, summary.gold_known) == (None, None, 300)


def test_without_gold_labels_there_is_no_figure() -> None:
    summary = summary_of([predicted_row(n, 0.9, None) for n in range(3)])
    found = (summary.ece, summary.brier, summary.macro_f1, summary.mislabelled, summary.labels)
    assert found == (None, None, None, None, {})
    assert {of["accuracy"] for values in summary.slices.values() for of in values.values()} == {
        None
    }


# Slices.


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("free call", "Latin"),
        ("вам письмо, ok", "Cyrillic"),
        ("免费电话 now", "Han"),
        ("ありがとう", "Kana"),
        ("مرحبا", "Arabic"),
        ("무료 전화", "Hangul"),
        ("नमस्ते", "Devanagari"),
        ("ｆｒｅｅ 𝐜𝐚𝐥𝐥", "Latin"),
        ("123 🙂", NONE),
        ("ab вг", "Cyrillic"),
    ],
)
def test_the_script_is_that_of_most_letters(text: str, script: str) -> None:
    assert script_of(text) == script


def test_a_slice_with_shuffled_labels_is_named_first() -> None:
    generator, records = np.random.default_rng(0), [*calibrated(600, seed=1)]
    for each in records:
        if each["slices"]["lang"] == "de":
            each["gold"] = LABELS[generator.integers(2)]
    weak = weakness_of(records).weak
    assert [(each.column, each.value) for each in weak] == [("lang", "de")]
    own = [each for each in records if each["slices"]["lang"] == "de"]
    right = [each["gold"] == each["predicted"] for each in own]
    assert weak[0].figures["accuracy"] == pytest.approx(np.mean(right), rel=1e-6)
    assert weak[0].figures["interval"] == pytest.approx(
        wilson_interval(sum(right), len(own)), rel=1e-6
    )
    for label, recall in weak[0].figures["recall"].items():
        of_label = [ok for ok, each in zip(right, own, strict=True) if each["gold"] == label]
        assert recall == pytest.approx(np.mean(of_label), rel=1e-6)
    wrong = [each["ordinal"] for each, ok in zip(own, right, strict=True) if not ok]
    assert weak[0].wrong_rows == wrong[:5]


def test_without_a_weak_slice_none_is_named() -> None:
    named = [bool(summary_of(calibrated(200, seed)).weak_slices()) for seed in range(100)]
    assert sum(named) <= 5


def test_the_largest_values_of_a_column_are_kept_and_the_others_counted_together() -> None:
    values = [str(n) for n in range(MOST_COUNTED + 20) for _ in range(1 + (n < MOST_VALUES))]
    figures = RunFigures()
    for ordinal, value in enumerate(values):
        figures.add(predicted_row(ordinal, 0.9, "spam", slices={"user": value}))
    users = figures.summary()["slices"]["user"]
    assert [*users] == [*sorted(map(str, range(MOST_VALUES))), OTHER_VALUES]
    assert sum(each["rows"] for each in users.values()) == len(values)


# Doubtful gold labels.


def test_flipped_labels_come_first_among_those_that_are_probably_wrong() -> None:
    records = [*calibrated(1000, seed=3, spread=8)]
    flipped = {*np.random.default_rng(2).permutation(1000)[:50].tolist()}
    for row in flipped:
        records[row]["gold"] = LABELS[records[row]["gold"] == "ham"]
    summary = summary_of(records)
    collector = NotableRowCollector(doubt_thresholds(asdict(summary)))
    for each in records:
        collector.add(row_stats(each))
    kind = next(each for each in collector.result().kinds if each.name == MISLABELLED)
    assert kind.count == summary.mislabelled
    listed = [row.ordinal for row in kind.rows]
    assert sum(row in flipped for row in listed) >= 0.9 * len(listed)
    margins = [row.value for row in kind.rows]
    assert margins == sorted(margins, reverse=True)


def test_a_badly_calibrated_model_casts_no_doubt_on_gold_labels() -> None:
    records = [predicted_row(n, 0.99, LABELS[n % 2]) for n in range(200)]
    summary = summary_of(records)
    assert summary.ece == pytest.approx(0.49, abs=0.01)
    assert summary.mislabelled is None
    assert doubt_thresholds(asdict(summary)) == {}


# Several gold labels, and numbers.


@pytest.mark.parametrize(
    ("gold", "named"),
    [
        ("spam", ["spam"]),
        ('["SPAM", "ham"]', ["ham", "spam"]),
        ("[]", []),
        ("[1, 0]", ["ham", "spam"]),
        ("spam; ham", ["ham", "spam"]),
        ("spam|ham", ["ham", "spam"]),
        ("ham,spam", ["ham", "spam"]),
        ("ham,eggs", None),
        ("[not json", None),
        (None, None),
    ],
)
def test_gold_labels_are_read_as_a_list_or_with_separators(
    gold: str | None, named: list[str] | None
) -> None:
    assert match_labels(gold, LABELS) == named
    assert match_labels("a, b; c", ("a, b", "c")) == ["a, b", "c"]


def test_figures_of_several_labels_equal_a_direct_computation() -> None:
    generator = np.random.default_rng(0)
    names = ("a", "b", "c")
    shares, gold = generator.random((50, 3)).round(7), generator.random((50, 3)) < 0.4
    records = []
    for ordinal, (row, own) in enumerate(zip(shares.tolist(), gold, strict=True)):
        named = [name for name, is_own in zip(names, own, strict=True) if is_own]
        best = int(np.argmax(row))
        changes = {"predicted": names[best], "probability": row[best], "gold": json.dumps(named)}
        probabilities = dict(zip(names, row, strict=True))
        records.append(
            record(ordinal, "x", probabilities=probabilities, gold_labels=named, **changes)
        )
    found = shares >= 0.5
    scores = 2 * (found & gold).sum(axis=0) / (found.sum(axis=0) + gold.sum(axis=0))
    summary = summary_of(records, names)
    assert summary.macro_f1 == pytest.approx(scores.mean(), rel=1e-6)
    micro = 2 * (found & gold).sum() / (found.sum() + gold.sum())
    assert summary.micro_f1 == pytest.approx(micro, rel=1e-6)
    assert summary.exact_match == pytest.approx((found == gold).all(axis=1).mean(), rel=1e-6)
    named_rows = gold.any(axis=1)
    first = gold[np.arange(50), shares.argmax(axis=1)]
    assert summary.accuracy == pytest.approx(first[named_rows].mean(), rel=1e-6)
    assert summary.mislabelled is None


def test_figures_of_a_regression_equal_a_direct_computation() -> None:
    generator = np.random.default_rng(1)
    gold = (generator.random(1100) * 5).round(2)
    value = (gold + generator.normal(size=1100)).round(5)
    plain: Record = {"predicted": None, "probability": None, "probabilities": {}}
    records = [
        record(n, "a film", value=v, gold=str(g), **plain)
        for n, (g, v) in enumerate(zip(gold, value, strict=True))
    ]
    records.append(record(1100, "a film", value=1.0, gold="good", **plain))
    summary, error = summary_of(records, ("stars",)), value - gold
    assert summary.mae == pytest.approx(abs(error).mean(), rel=1e-6)
    assert summary.rmse == pytest.approx(np.sqrt((error**2).mean()), rel=1e-6)
    assert summary.pearson == pytest.approx(np.corrcoef(gold, value)[0, 1], rel=1e-6)
    assert summary.slices["length"]["1-16"]["mae"] == summary.mae
    scatter = weakness_of(records).scatter
    assert scatter is not None
    assert 250 <= len(scatter.points) <= 500
    assert all(0 <= each <= 1 for point in scatter.points for each in point)


# Damaged files.


def test_damaged_figures_are_named() -> None:
    counts = json.loads(json.dumps(asdict(summary_of(calibrated(40, seed=0)))))
    assert figures_problem(counts) is None
    for place, value, problem in (
        (counts["labels"]["ham"], {"rows": -1}, "counts.labels"),
        (counts["slices"]["lang"]["de"], {"accuracy": "x"}, "counts.slices"),
        (counts["slices"]["lang"]["de"], {"interval": [1]}, "counts.slices"),
        (counts["slices"]["lang"]["de"], {"recall": {"ham": "x"}}, "counts.slices"),
        (counts["calibration"][0], {"rows": None}, "counts.calibration"),
    ):
        before = dict(place)
        place.update(value)
        assert figures_problem(counts) == f"{problem} is damaged"
        place.update(before)
    row = predicted_row(0, 0.9, "spam")
    assert gold_problem(row | {"gold_labels": ["eggs"]}) == "gold_labels is damaged"
    assert gold_problem(row | {"slices": {"lang": 3}}) == "slices is damaged"


def words_of(size: int) -> Record:
    """Return the fields of a record of a text of some words."""
    offsets = [[2 * n, 2 * n + 1] for n in range(size)]
    equal = {"scores": [1 / size] * size, "errors": None, "special": [False] * size}
    return {"text": " ".join("w" * size), "tokens": ["w"] * size, "offsets": offsets, **equal}


def test_lengths_are_in_their_order_and_a_column_of_that_name_may_hold_anything() -> None:
    rows = [*calibrated(60, seed=0)]
    sizes = (40, 3, 20)
    texts = [each | words_of(sizes[n % 3]) for n, each in enumerate(rows)]
    lengths = [each.value for each in weakness_of(texts).columns["length"]]
    assert lengths == ["1-16", "17-32", "33-64"]
    named = [each | {"slices": {"length": "ab"[n % 2]}} for n, each in enumerate(rows)]
    assert {each.value for each in weakness_of(named).columns["length"]} == {"a", "b"}


def test_a_weak_slice_names_the_suspects_among_its_own_rows() -> None:
    suspicious = [
        each | {"gold": "ham", "slices": {"lang": "fr"}} if n < 40 else each
        for n, each in enumerate(planted(300))
    ]
    others = [
        each | {"gold": each["predicted"], "slices": {"lang": "de" if n % 2 else "fr"}}
        for n, each in enumerate(suspicious[40:])
    ]
    rows = [
        each | {"probabilities": {"ham": 0.5, "spam": 0.5}} for each in (*suspicious[:40], *others)
    ]
    (weak,) = weakness_of(rows).weak
    assert (weak.column, weak.value) == ("lang", "fr")
    assert [each.word.word for each in weak.suspects] == ["zap"]
    assert [each.word.leads for each in weak.suspects] == [40]
