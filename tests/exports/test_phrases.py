"""The one-line texts of the exports: the most influential words, and what they speak for."""

import json

from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.analysis.words import strongest_words
from saliency_cli.cli.terminal import shaded
from saliency_cli.exports.phrases import influential_words
from saliency_cli.percentages import percent_number
from saliency_cli.records import Record
from saliency_cli.report.row_view import row_view
from tests.support.runs import record

SCORES = {"scores": [0.1, -0.5, 0.3, 0.01], "errors": [0.0, 0.01, 0.02, 0.02]}
RECORD = record(0, "number call now", predicted="ham", target="ham", **SCORES)


def test_signed_words_are_told_with_the_label_that_they_speak_for() -> None:
    assert influential_words(RECORD, signed=True) == (
        "call 30% for ham; number 50% against it; now 1.0% undecided"
    )


def test_words_without_signs_are_told_with_their_shares_alone() -> None:
    unsigned = RECORD | {"scores": [0.1, 0.5, 0.3, 0.1]}
    assert influential_words(unsigned, signed=False) == "number 50%, call 30%, now 10%"


def test_sides_without_words_are_left_out() -> None:
    words = influential_words(RECORD | {"errors": None}, signed=True, most=1)
    assert words == "number 50% against it"


@given(
    st.lists(
        st.tuples(st.sampled_from(("I", "i", "Free", "free", "7", "été")), st.integers(-99, 99)),
        min_size=1,
        max_size=9,
    )
)
def test_records_page_terminal_and_exports_agree_on_the_number_of_each_word(
    pairs: list[tuple[str, int]],
) -> None:
    words, weights = zip(*pairs, strict=True)
    scores = [weight / 1024 for weight in weights]  # sums are exact
    each = placed(words, scores)
    sums: dict[str, float] = {}
    for word, score in zip(words, scores, strict=True):
        sums[word.casefold()] = sums.get(word.casefold(), 0) + score
    found = {word.text.casefold(): word.score for word in strongest_words(each, limit=99)}
    assert found == sums
    numbers = {word: percent_number(abs(total)) for word, total in sums.items()}
    listed = influential_words(each, signed=False, most=99).split(", ")
    assert {text.rpartition(" ")[0].casefold(): text.rpartition(" ")[2] for text in listed} == {
        word: f"{number}%" for word, number in numbers.items()
    }
    lead = row_view(json.dumps(each)).lead
    largest = max(sums, key=sums.__getitem__)
    assert (lead and (lead.text, lead.score)) == (
        (largest, sums[largest]) if sums[largest] > 0 else None
    )
    for word, total in sorted(sums.items(), key=lambda item: -abs(item[1]))[:1]:
        assert f"{percent_number(total)}%" in shaded(each), word
    notes = [span.note for span in row_view(json.dumps(each)).shadings[0].texts[0] if span.note]
    for word, score, note in zip(words, scores, notes[1:], strict=True):
        repeated = [each.casefold() for each in words].count(word.casefold()) > 1
        assert note.startswith(percent_number(score).replace("-", "−"))
        assert ("in all" in note) == repeated
        if repeated:
            in_all = percent_number(sums[word.casefold()]).replace("-", "−")
            assert f"in all {in_all} %" in note


def placed(words: tuple[str, ...], scores: list[float]) -> Record:
    """Return the record of a text of these words, each with its score."""
    text, starts = " ".join(words), [0]
    for word in words[:-1]:
        starts.append(starts[-1] + len(word) + 1)
    return record(0, "x") | {
        "text": text,
        "tokens": ["[CLS]", *words],
        "offsets": [[0, 0], *([s, s + len(w)] for s, w in zip(starts, words, strict=True))],
        "special": [True, *(False for _ in words)],
        "scores": [0.0, *scores],
        "errors": None,
    }
