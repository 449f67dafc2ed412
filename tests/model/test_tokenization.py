"""Offsets refer to the unchanged text, whatever kind of tokenizer a model has."""

import html
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from saliency_cli.analysis.words import Piece, pieces
from saliency_cli.checkpoints.tokenizers import _check_overflow, load_tokenizer
from saliency_cli.errors import UsageError
from saliency_cli.model.tokenization import _ordered_offsets, encode
from saliency_cli.records import Encoding, Record
from tests.support.architectures import TOKENIZERS
from tests.support.runs import record, write_run

EVERY = pytest.mark.parametrize("tokenizer", TOKENIZERS, indirect=True)
TRICKY = (
    "  free call",
    "free  call ",
    "call\r\nnow",
    "\U0001f600 ok \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "ﬁne oﬃce",
    "İstanbul ok",
    "café cafe\u0301",
    "\ufeffok",
    "free\x00call\u200b",
    "Ⅷ ½ ㍿",
    "ok\u3000ok",
    "한국 \u1112\u1161\u11ab",
    "e\u0301\u0301\u0301",
    "now.",
    " ",
)
SPELLED = ["[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>", "<sep>", "<cls>", "<|endoftext|>"]
SPELLED += ["<|im_end|>"]


@pytest.fixture(scope="session")
def tokenizer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> PreTrainedTokenizerFast:
    """Return a tokenizer that was saved and loaded from its files, as `load` does."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    TOKENIZERS[request.param]().save_pretrained(folder)
    return load_tokenizer(folder, None)


def encoded(tokenizer: PreTrainedTokenizerFast, text: str) -> Encoding:
    return encode(tokenizer, [text], max_length=10_000)[0]


def recorded(encoding: Encoding, text: str) -> Record:
    """Return a record of an encoding in which each token has a score of 1."""
    return record(0, "any") | {
        "text": text,
        "tokens": list(encoding.tokens),
        "offsets": [list(offset) for offset in encoding.offsets],
        "special": list(encoding.special),
        "scores": [1.0] * len(encoding),
        "errors": None,
    }


def report_pieces(encoding: Encoding, text: str) -> list[Piece]:
    """Return the pieces of a text as the report shows them."""
    return pieces(recorded(encoding, text))


def assert_offsets_fit(encoding: Encoding, text: str) -> None:
    last = 0
    for (start, end), special in zip(encoding.offsets, encoding.special, strict=True):
        if special:
            assert (start, end) == (0, 0)
            continue
        assert last <= start <= end <= len(text)
        covered = text[start:end]
        assert covered == covered.strip() or not covered.strip()
        last = start
    found = report_pieces(encoding, text)
    assert "".join(piece.text for piece in found if not piece.special) == text
    assert sum(piece.score for piece in found) == len(encoding)


@EVERY
@given(
    text=st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.lists(st.sampled_from([*TRICKY, *SPELLED, "free", "call"]), max_size=5).map("".join),
    )
)
def test_offsets_are_in_order_and_inside_the_text(
    tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    assert_offsets_fit(encoded(tokenizer, text), text)


@EVERY
@pytest.mark.parametrize("text", TRICKY)
def test_offsets_fit_tricky_texts(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert_offsets_fit(encoded(tokenizer, text), text)


@EVERY
@pytest.mark.parametrize("text", ["free call now", "  free call  now", "free\r\ncall\tnow"])
def test_offsets_of_known_words_cover_the_words(
    tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    encoding = encoded(tokenizer, text)
    for token, (start, end), special in zip(
        encoding.tokens, encoding.offsets, encoding.special, strict=True
    ):
        visible = token.strip("Ġ▁").replace("#", "")
        if not special and visible.isalpha() and visible.isascii():
            assert text[start:end] == visible


@pytest.mark.parametrize(
    "tokenizer",
    [name for name in TOKENIZERS if name.startswith(("byte", "BPE"))],
    indirect=True,
)
def test_the_bytes_of_an_emoji_are_one_piece(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "ok \U0001f600 é"
    encoding = encoded(tokenizer, text)
    assert list(encoding.offsets).count((3, 4)) >= 4
    (emoji,) = (piece for piece in report_pieces(encoding, text) if piece.text == "\U0001f600")
    assert emoji.score == len(emoji.tokens) == list(encoding.offsets).count((3, 4))


@EVERY
def test_the_report_shows_the_unchanged_text(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    text = "  free😀call ﬁne </s> 👨‍👩 now"
    page = write_run(tmp_path / "run", [recorded(encoded(tokenizer, text), text)]) / "index.html"
    row = page.read_text(encoding="utf-8").split('class="text', 1)[1]
    special = re.compile(r'<span class="t s\d special"[^>]*>[^<]*</span>')
    shown = html.unescape(re.sub(r"<[^>]*>", "", special.sub("", row.partition(">")[2])))
    assert "".join(text.split()) in "".join(shown.split())


tokens = st.tuples(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.sampled_from([0, 1]))


@given(tokens_given=st.lists(tokens, max_size=8))
def test_wrong_offsets_of_a_tokenizer_are_put_in_order(
    tokens_given: list[tuple[tuple[int, int], int]],
) -> None:
    texts = (" ab c ", "d  e")
    found = list(
        _ordered_offsets(texts, [(offset, segment, False) for offset, segment in tokens_given])
    )
    for segment, text in enumerate(texts):
        pairs = zip(found, tokens_given, strict=True)
        offsets = [offset for offset, (_, given) in pairs if given == segment]
        assert all(0 <= start <= end <= len(text) for start, end in offsets)
        assert offsets == sorted(offsets, key=lambda offset: offset[0])


@EVERY
@pytest.mark.parametrize("name", SPELLED)
@pytest.mark.parametrize("text", ["{}", "free{}call {} now", "{} ok", "ok {}", "{}{}"])
def test_a_special_token_that_a_text_spells_out_is_text(
    tokenizer: PreTrainedTokenizerFast, name: str, text: str
) -> None:
    plain, spelled = encoded(tokenizer, "free call"), encoded(tokenizer, text.format(name, name))
    assert added_ids(spelled) == added_ids(plain)
    added = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    inside = [i for i, special in zip(spelled.ids, spelled.special, strict=True) if not special]
    assert not added & set(inside)
    assert_offsets_fit(spelled, text.format(name, name))


def added_ids(encoding: Encoding) -> list[int]:
    """Return the ids of the special tokens that the tokenizer added."""
    return [i for i, special in zip(encoding.ids, encoding.special, strict=True) if special]


@pytest.mark.parametrize("tokenizer", ["Unigram, both sides"], indirect=True)
def test_a_special_name_that_appears_by_normalising_is_text(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    full_width = "ok \uff3bSEP\uff3d ok"  # NFKC makes [SEP] of it
    assert "[SEP]" not in encoded(tokenizer, full_width).tokens[:-1]


class LossyOverflow:
    """Truncates as tokenizers 0.23.1 does: it returns only `kept` of the overflowing encodings."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, kept: int) -> None:
        self.tokenizer, self.kept = tokenizer, kept

    def num_special_tokens_to_add(self) -> int:
        return int(self.tokenizer.num_special_tokens_to_add())

    def __call__(self, texts: list[str], **options: object) -> SimpleNamespace:
        encodings = [
            SimpleNamespace(
                special_tokens_mask=each.special_tokens_mask,
                overflowing=each.overflowing[: self.kept],
            )
            for each in self.tokenizer(texts, **options).encodings
        ]
        return SimpleNamespace(encodings=encodings)


@EVERY
@pytest.mark.parametrize("kept", [0, 1])
def test_a_tokenizer_that_loses_overflowing_tokens_is_refused(
    tokenizer: PreTrainedTokenizerFast, kept: int
) -> None:
    _check_overflow(tokenizer)
    with pytest.raises(UsageError, match="does not report the tokens") as caught:
        _check_overflow(LossyOverflow(tokenizer, kept=kept))
    assert "pip install" in str(caught.value.hint)
