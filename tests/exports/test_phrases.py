"""The one-line texts of the exports: which words lead, and for which label they speak."""

from saliency_cli.exports.phrases import leading_words
from tests.support.runs import record

SCORES = {"scores": [0.1, -0.5, 0.3, 0.01], "errors": [0.0, 0.01, 0.02, 0.02]}
RECORD = record(0, "number call now", predicted="ham", target="ham", **SCORES)


def test_signed_words_are_told_with_the_label_that_they_speak_for() -> None:
    assert leading_words(RECORD, signed=True) == (
        "call 30.0% for ham; number 50.0% against it; now 1.0% undecided"
    )


def test_words_without_signs_are_told_with_their_shares_alone() -> None:
    unsigned = RECORD | {"scores": [0.1, 0.5, 0.3, 0.1]}
    assert leading_words(unsigned, signed=False) == "number 50.0%, call 30.0%, now 10.0%"


def test_sides_without_words_are_left_out() -> None:
    words = leading_words(RECORD | {"errors": None}, signed=True, most=1)
    assert words == "number 50.0% against it"
