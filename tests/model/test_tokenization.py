"""Tokens lie in the text as it was given, and what a text spells out is text, for any tokenizer."""

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
from saliency_cli.model.tokenization import _offsets, encode
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
    """Return a tokenizer as `load` does, from its files."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    TOKENIZERS[request.param]().save_pretrained(folder)
    return load_tokenizer(folder, None)


def encoded(tokenizer: PreTrainedTokenizerFast, text: str) -> Encoding:
    return encode(tokenizer, [text], max_length=10_000)[0]


def recorded(encoding: Encoding, text: str) -> Record:
    """Make the record of an encoding in which each token's score is 1."""
    return record(0, "any") | {
        "text": text,
        "tokens": list(encoding.tokens),
        "offsets": [list(offset) for offset in encoding.offsets],
        "special": list(encoding.special),
        "scores": [1.0] * len(encoding),
        "errors": None,
    }


def divided(encoding: Encoding, text: str) -> list[Piece]:
    """Divide a text as the report does."""
    return pieces(recorded(encoding, text))


def assert_in_place(encoding: Encoding, text: str) -> None:
    last = 0
    for (start, end), special in zip(encoding.offsets, encoding.special, strict=True):
        if special:
            assert (start, end) == (0, 0)
            continue
        assert last <= start <= end <= len(text)
        covered = text[start:end]
        assert covered == covered.strip() or not covered.strip()
        last = start
    found = divided(encoding, text)
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
    assert_in_place(encoded(tokenizer, text), text)


@EVERY
@pytest.mark.parametrize("text", TRICKY)
def test_tricky_texts(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert_in_place(encoded(tokenizer, text), text)


@EVERY
@pytest.mark.parametrize("text", ["free call now", "  free call  now", "free\r\ncall\tnow"])
def test_known_words_lie_where_they_stand(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
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
    (emoji,) = (piece for piece in divided(encoding, text) if piece.text == "\U0001f600")
    assert emoji.score == len(emoji.tokens) == list(encoding.offsets).count((3, 4))


@EVERY
def test_the_report_shows_the_text_as_it_was_given(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    text = "  free😀call ﬁne </s> 👨‍👩 now"
    page = write_run(tmp_path / "run", [recorded(encoded(tokenizer, text), text)]) / "index.html"
    row = page.read_text(encoding="utf-8").split('class="text', 1)[1]
    special = re.compile(r'<span class="t s\d special"[^>]*>[^<]*</span>')
    shown = html.unescape(re.sub(r"<[^>]*>", "", special.sub("", row.partition(">")[2])))
    assert "".join(text.split()) in "".join(shown.split())


tokens = st.tuples(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.sampled_from([0, 1]))


@given(told=st.lists(tokens, max_size=8))
def test_what_a_tokenizer_tells_wrong_is_put_in_order(
    told: list[tuple[tuple[int, int], int]],
) -> None:
    halves = (" ab c ", "d  e")
    found = list(_offsets(halves, [(offset, half, False) for offset, half in told]))
    for half, text in enumerate(halves):
        own = [offset for offset, (_, of) in zip(found, told, strict=True) if of == half]
        assert all(0 <= start <= end <= len(text) for start, end in own)
        assert own == sorted(own, key=lambda offset: offset[0])


@EVERY
@pytest.mark.parametrize("name", SPELLED)
@pytest.mark.parametrize("text", ["{}", "free{}call {} now", "{} ok", "ok {}", "{}{}"])
def test_a_special_token_that_a_text_spells_out_is_text(
    tokenizer: PreTrainedTokenizerFast, name: str, text: str
) -> None:
    plain, spelled = encoded(tokenizer, "free call"), encoded(tokenizer, text.format(name, name))
    assert own(spelled) == own(plain)
    added = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    inside = [i for i, special in zip(spelled.ids, spelled.special, strict=True) if not special]
    assert not added & set(inside)
    assert_in_place(spelled, text.format(name, name))


def own(encoding: Encoding) -> list[int]:
    """Return the ids that the tokenizer added."""
    return [i for i, special in zip(encoding.ids, encoding.special, strict=True) if special]


@pytest.mark.parametrize("tokenizer", ["Unigram, both sides"], indirect=True)
def test_a_special_token_is_text_also_after_normalising(tokenizer: PreTrainedTokenizerFast) -> None:
    full_width = "ok \uff3bSEP\uff3d ok"  # NFKC makes [SEP] of it
    assert "[SEP]" not in encoded(tokenizer, full_width).tokens[:-1]


class Forgetful:
    """Cuts texts as tokenizers 0.23.1 does: most of what is cut off, or all of it, is gone."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, told: int) -> None:
        self.tokenizer, self.told = tokenizer, told

    def num_special_tokens_to_add(self) -> int:
        return int(self.tokenizer.num_special_tokens_to_add())

    def __call__(self, texts: list[str], **options: object) -> SimpleNamespace:
        encodings = [
            SimpleNamespace(
                special_tokens_mask=each.special_tokens_mask,
                overflowing=each.overflowing[: self.told],
            )
            for each in self.tokenizer(texts, **options).encodings
        ]
        return SimpleNamespace(encodings=encodings)


@EVERY
@pytest.mark.parametrize("told", [0, 1])
def test_a_tokenizer_that_does_not_tell_what_it_cuts_off_is_refused(
    tokenizer: PreTrainedTokenizerFast, told: int
) -> None:
    _check_overflow(tokenizer)
    with pytest.raises(UsageError, match="does not report the tokens") as caught:
        _check_overflow(Forgetful(tokenizer, told=told))
    assert "pip install" in str(caught.value.hint)
