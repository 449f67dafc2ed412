"""Explanations and quarantined rows as values and as HTML of a notebook."""

import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli import Explanation, QuarantinedRow, UsageError
from saliency_cli.analysis.words import words
from saliency_cli.api.explanation import shown_row
from saliency_cli.records import Record
from saliency_cli.report.explanation_view import row_style
from saliency_cli.report.number_format import score_text
from tests.report.test_pages import compare
from tests.support.paths import GOLDEN
from tests.support.runs import HOSTILE, HOSTILE_LABEL, bad_record, pair_record, record, varied

STYLE = re.compile(r"<style>.*?</style>\n", re.DOTALL)
NOTE = re.compile(r'data-score="([^"]*)"')


def test_the_html_equals_the_golden_file(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    page = tmp_path / "page.html"
    html = "".join(shown_row(each)._repr_html_() for each in varied())
    page.write_text(STYLE.sub("", html), encoding="utf-8")  # Chromium tests the style
    compare(page, GOLDEN / "explanations.html", request)


@pytest.mark.parametrize("each", [each for each in varied() if each["status"] == "ok"])
def test_the_words_are_those_of_the_findings_with_the_numbers_of_the_page(each: Record) -> None:
    explanation = Explanation(each)
    found = explanation.words()
    counted = words(each)
    assert [word.word for word in found] == [word.text for word in counted]
    assert [word.score for word in found] == pytest.approx([word.score for word in counted])
    notes = unescape(" ".join(NOTE.findall(explanation._repr_html_())))
    for word in found:
        first, _, digits = score_text(word.score, word.error).partition("\n")
        assert first in notes
        assert digits in notes


@given(st.text("ab ,<&\u202e'", min_size=1).filter(str.strip))
def test_scores_of_words_and_special_tokens_add_up(text: str) -> None:
    each = record(0, text)
    total = sum(word.score for word in Explanation(each).words())
    assert total == pytest.approx(sum(each["scores"]) - each["special_share"])


def test_the_words_of_another_target_have_its_scores() -> None:
    each = varied()[7]
    explanation = Explanation(each)
    other = explanation.targets[1]
    assert other == each["others"][0]["target"]
    assert [word.score for word in explanation.words(other)] == each["others"][0]["scores"][1:]
    with pytest.raises(UsageError, match="'ham' is not explained"):
        explanation.words("ham")


def test_the_properties_are_those_of_the_record() -> None:
    pair = Explanation(pair_record(7))
    assert (pair.ordinal, pair.text, pair.pair) == (7, "a man eats", "a <i>man</i> sleeps")
    assert (pair.id, pair.label, pair.probability, pair.target) == ("id-7", "spam", 0.875, "spam")
    assert pair.probabilities == {"ham": 0.125, "spam": 0.875}
    assert (pair.value, pair.gold, pair.explained) == (None, None, True)
    assert repr(pair) == "<Explanation 7: spam 88 %, 'a man eats'>"
    regression = Explanation(varied()[8])
    assert (regression.label, regression.value) == (None, -2.125)
    assert repr(regression) == "<Explanation 9: -2.125, 'as a number'>"
    bad = QuarantinedRow(bad_record(3))
    assert (bad.ordinal, bad.id, bad.reason, bad.explained) == (3, None, "text is missing", False)
    assert repr(bad) == "<QuarantinedRow 3: text is missing>"
    assert bad.to_dict() == bad_record(3)


def test_a_repr_is_one_printable_line() -> None:
    hostile = "\x1b[31mred\n\u202e" + HOSTILE
    each = record(0, hostile, predicted=hostile)
    assert repr(Explanation(each)).isprintable()
    assert repr(QuarantinedRow({**bad_record(0), "reason": hostile})).isprintable()


def test_the_html_is_escaped_has_no_script_and_styles_its_own_class_alone() -> None:
    for each in [*varied(), record(0, HOSTILE, predicted=HOSTILE_LABEL, tokens=[HOSTILE] * 4)]:
        page = shown_row(each)._repr_html_()
        tags = {*re.findall(r"<(\w+)", page)}
        assert tags <= {"div", "style", "p", "span", "bdi", "del", "code"}
        assert not re.search(r"https?:|url\(|@import|\bon\w+=(?=[^&]*>)", page.replace(HOSTILE, ""))
        (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
        assert re.fullmatch(r"\s*\.saliency-explanation \{.*\}\s*", style, re.DOTALL)
        depths = [style[:at].count("{") - style[:at].count("}") for at in range(len(style.strip()))]
        assert min(depths[depths.index(1) :]) == 1  # the first rule ends where the style ends


def test_the_style_has_each_rule_of_the_reports_shading() -> None:
    rules = str(row_style()["rules"])
    for name in ["t", "w", "special", "cut", *(f"{s}{n}" for s in "sn" for n in range(1, 7))]:
        assert re.search(rf"\.{name}\b[^{{}}]*\{{", rules), name
    assert "html" not in rules
    assert str(row_style()["light"]).count("--") == str(row_style()["dark"]).count("--")
