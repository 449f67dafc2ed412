"""What the first texts show: unknown tokens, and names of special tokens that a text spells out."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner, Result

from saliency_cli.attribution import text_checks
from saliency_cli.attribution.text_checks import text_warnings, unknown_share
from saliency_cli.checkpoints import load
from saliency_cli.checkpoints.tokenizers import load_tokenizer
from saliency_cli.cli.app import app
from saliency_cli.errors import Interrupted
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.tokenization import encode, encode_rows
from saliency_cli.records import Row
from saliency_cli.settings import Compute, ModelChoice
from tests.support.architectures import TOKENIZERS
from tests.support.attribution import engine, scored
from tests.support.models import WORDS

CPU = Compute(device="cpu")
LONG = 1000


def rows(texts: Sequence[str]) -> list[Row]:
    return [Row(number, number + 1, None, text) for number, text in enumerate(texts)]


def warned(tokenizer: PreTrainedTokenizerFast, *texts: str) -> list[str]:
    return [*text_warnings(tokenizer, rows(texts), max_length=LONG)]


@pytest.fixture(scope="session")
def keeping(bert_folder: Path) -> Classifier:
    return load(ModelChoice(bert_folder, special_tokens="keep"), CPU)


@given(words=st.lists(st.sampled_from([*WORDS, "Ü", "Ж"]), min_size=1, max_size=30))
def test_unknown_tokens_are_counted(bert: Classifier, words: list[str]) -> None:
    share = unknown_share(bert.tokenizer, rows([" ".join(words)]), max_length=LONG)
    unknown = sum(word not in WORDS for word in words)
    assert share == unknown / len(words)
    told = any("does not know" in warning for warning in warned(bert.tokenizer, " ".join(words)))
    assert told is (unknown / len(words) > 0.1)


def test_a_tokenizer_without_an_unknown_token_knows_all(gpt2: Classifier) -> None:
    assert warned(gpt2.tokenizer, "Ж Ü \U0001f600") == []


def test_a_text_on_which_the_tokenizer_fails_is_left_to_its_row(bert: Classifier) -> None:
    assert warned(bert.tokenizer, "\ud800") == []


def test_a_signal_during_the_check_ends_it(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(text_checks, "encode_rows", stopped)
    with pytest.raises(Interrupted):
        unknown_share(bert.tokenizer, rows(["free"]), max_length=LONG)


def test_names_of_special_tokens_are_told_of_once_and_in_order(bert: Classifier) -> None:
    texts = ("free [SEP] call", "now [CLS] you [SEP]", "[sep] [E1]")
    (warning,) = [each for each in warned(bert.tokenizer, *texts) if "special" in each]
    assert "text: [CLS], [SEP];" in warning
    assert "--special-tokens keep" in warning


def test_the_second_text_of_a_pair_is_looked_at_too(bert: Classifier) -> None:
    pair = Row(0, 1, None, "free", pair="call [SEP] now")
    found = text_warnings(bert.tokenizer, [pair], max_length=LONG)
    assert "plain text: [SEP];" in " ".join(found)


def test_kept_names_are_not_told_of(keeping: Classifier) -> None:
    assert warned(keeping.tokenizer, "free [SEP] call") == []


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_kept_name_is_its_token_with_its_place_in_the_text(kind: str, tmp_path: Path) -> None:
    TOKENIZERS[kind]().save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path, None, keep_special=True)
    for token in tokenizer.added_tokens_decoder.values():
        text = f"free {token.content} call"
        (encoding,) = encode(tokenizer, [text], max_length=LONG)
        id_ = tokenizer.convert_tokens_to_ids(token.content)
        inside = zip(encoding.ids, encoding.special, strict=True)
        (place,) = [n for n, (each, special) in enumerate(inside) if each == id_ and not special]
        start, end = encoding.offsets[place]
        assert text[start:end] == token.content
        assert encoding.ids == tuple(tokenizer(text)["input_ids"])


def test_a_long_text_is_cut_at_the_same_kept_name(keeping: Classifier) -> None:
    text = "[SEP] free [PAD]call [CLS] " * 3000
    (cut,) = encode_rows(keeping.tokenizer, rows([text]), max_length=64)
    whole = keeping.tokenizer(text, truncation=True, max_length=64)["input_ids"]
    assert cut.whole.ids == tuple(whole)


def test_a_kept_name_changes_scores_and_a_text_without_one_keeps_them(
    bert: Classifier, keeping: Classifier
) -> None:
    plain, kept = (scored(engine(each, samples=2), ["free call"]) for each in (bert, keeping))
    assert plain[0].tolist() == kept[0].tolist()
    plain, kept = (scored(engine(each, samples=2), ["a [SEP] ok"]) for each in (bert, keeping))
    assert len(kept[0]) == len("[CLS] a [SEP] ok [SEP]".split())
    assert len(plain[0]) > len(kept[0])


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"])


def test_explain_and_show_warn_and_the_manifest_has_the_option(
    bert_folder: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("text\nfree [SEP] ЖЖ\n")
    explained = run("explain", bert_folder, texts, "--out", tmp_path / "run")
    shown = run("show", bert_folder, "free [SEP] ЖЖ")
    for result in (explained, shown):
        assert result.exit_code == 0
        said = " ".join(result.stderr.split())
        assert said.count("does not know 80 % of the tokens") == 1
        assert said.count("name special tokens, which are read as plain text: [SEP]") == 1
    assert '"special_tokens": "text"' in (tmp_path / "run" / "manifest.json").read_text()
    again = run(
        "explain", bert_folder, texts, "--out", tmp_path / "run", "--resume",
        "--special-tokens", "keep",
    )  # fmt: skip
    assert again.exit_code == 2
    assert "--special-tokens was text, and is keep" in " ".join(again.stderr.split())


def test_inspect_tries_plain_sentences(bert_folder: Path, tmp_path: Path) -> None:
    assert "warnings" not in run("inspect", bert_folder).stdout
    tokenizer = TOKENIZERS["WordLevel"]()
    tokenizer.save_pretrained(tmp_path)
    result = run("inspect", bert_folder, "--tokenizer", tmp_path)
    assert "of the tokens of plain English sentences" in result.stdout
