"""A long text is not tokenized to its end, and the tokens kept are the same as if it were."""

import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from saliency_cli.checkpoints.tokenizers import load_tokenizer
from saliency_cli.model import truncation
from saliency_cli.model.tokenization import encode_rows
from saliency_cli.records import Encoding, Row
from tests.support.architectures import TOKENIZERS
from tests.support.models import WORDS, wordpiece

PLAIN = "BPE with byte fallback"  # it treats a whole text as one word
NAMES = ("WordPiece", "byte-level BPE, prefix space", PLAIN, "Unigram, both sides")
FACTORIES = {**{name: TOKENIZERS[name] for name in NAMES}, "WordPiece of pairs": wordpiece}
LENGTH = 8
SECONDS = 5
EVERY = pytest.mark.parametrize("tokenizer", FACTORIES, indirect=True)
LONG = {
    "letters": "a",
    "spaces": " ",
    "emoji": "\U0001f600",
    "words": "free call now, ",
    "digits": "1234567",
    "NUL": "\0",
    "accents": "e\u0301\u0301",
}
pieces = st.sampled_from([*WORDS, *LONG.values(), " ", "\n", ".", "aa", "\u200b", "ﬁ", "[SEP]"])
texts = st.lists(st.tuples(pieces, st.integers(1, 70)), min_size=1, max_size=4).map(
    lambda parts: " ".join(piece * times for piece, times in parts)
)


@pytest.fixture(scope="module", params=["right", "left"])
def side(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tokenizer(
    request: pytest.FixtureRequest, side: str, tmp_path_factory: pytest.TempPathFactory
) -> Any:  # noqa: ANN401
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    FACTORIES[request.param]().save_pretrained(folder)
    loaded = load_tokenizer(folder, None)
    loaded.truncation_side = side
    loaded.name_or_path = request.param
    return loaded


def encoded(tokenizer: Any, text: str, pair: str | None, *, characters: int) -> Encoding:  # noqa: ANN401
    row = Row(0, 1, None, text, pair=pair)
    with patch.object(truncation, "CHARACTERS_PER_TOKEN", characters):
        (found,) = encode_rows(tokenizer, [row], max_length=LENGTH)
    return found.whole


@EVERY
@settings(max_examples=12)
@given(text=texts, pair=st.none() | texts)
@example(text="a" * 99, pair=None)
@example(text="a" * 200 + " b", pair="a" * 99)
@example(text="1" * 1000, pair=None)
def test_the_tokens_kept_do_not_depend_on_the_part_that_is_read(
    tokenizer: Any,  # noqa: ANN401
    text: str,
    pair: str | None,
) -> None:
    cut = encoded(tokenizer, text, pair, characters=8)
    assert cut == encoded(tokenizer, text, pair, characters=10**6)


@pytest.mark.parametrize("name", ["letters", "spaces", "emoji"])
@pytest.mark.parametrize("side", ["right"], indirect=True)
@pytest.mark.parametrize("tokenizer", NAMES[:2], indirect=True)
def test_a_million_characters_take_a_few_seconds_at_most(tokenizer: Any, name: str) -> None:  # noqa: ANN401
    text = (LONG[name] * 10**6)[: 10**6]
    start = time.process_time()
    (found,) = encode_rows(tokenizer, [Row(0, 1, None, text)], max_length=64)
    assert time.process_time() - start < SECONDS
    assert found.whole.truncated == (len(found.whole) == 64)


@EVERY
def test_only_a_small_part_of_a_long_text_of_words_is_read(tokenizer: Any, side: str) -> None:  # noqa: ANN401
    text = "free call now " * 70_000
    with patch.object(truncation, "_count_tokens", side_effect=truncation._count_tokens) as counted:
        (found,) = encode_rows(tokenizer, [Row(0, 1, None, text)], max_length=64)
    assert found.whole.truncated
    is_one_word_cut_on_the_left = (side, tokenizer.name_or_path) == ("left", PLAIN)
    assert (counted.call_count == 1) != is_one_word_cut_on_the_left
    reached = [end for _, end in found.whole.offsets if end]
    assert max(reached) >= len(text) - 1 if side == "left" else min(reached) <= len("free")
