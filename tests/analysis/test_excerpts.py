"""Excerpts of texts: a part of the text, whole words, the strongest one among them."""

from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.analysis.excerpts import BEFORE, CHARACTERS, excerpt_words
from tests.support.runs import pair_record, record


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.data())
def test_an_excerpt_is_a_part_of_the_text_with_the_strongest_word(
    lengths: list[int], data: st.DataObject
) -> None:
    strongest = data.draw(st.integers(0, len(lengths) - 1))
    words = [chr(0x4E01 + at) + "x" * (length - 1) for at, length in enumerate(lengths)]
    text = " ".join(words)
    scores = [0.0, *(0.5 if at == strongest else 0.01 for at in range(len(words)))]
    excerpt = excerpt_words(record(0, text, scores=scores, errors=None))
    assert all(not piece.special for piece in excerpt)
    shown = "".join(piece.text for piece in excerpt if piece.text != "…")
    assert shown in text
    assert max(excerpt, key=lambda piece: piece.score).score == 0.5
    assert len(shown) <= CHARACTERS + BEFORE
    assert text.startswith(shown) == (excerpt[0].text != "…")
    assert text.endswith(shown) == (excerpt[-1].text != "…")


def test_both_texts_of_a_pair_are_in_the_excerpt() -> None:
    excerpt = excerpt_words(pair_record(0))
    assert "".join(piece.text for piece in excerpt) == "a man eats ⁄ a <i>man</i> sleeps"


def test_an_endless_word_is_cut() -> None:
    excerpt = excerpt_words(record(0, "x" * 5000))
    assert [len(piece.text) for piece in excerpt] == [CHARACTERS + 1]
