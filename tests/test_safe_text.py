"""Text from files and options is shown without control characters on the terminal and in logs."""

import json
import unicodedata
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from typer.testing import CliRunner

from saliency_cli.cli.app import app
from saliency_cli.safe_text import MAX_MESSAGE, excerpt, listed, message_line, visible
from tests.support.runs import read_records
from tests.support.shell import CHECKPOINT, DONE, USAGE, Outcome, Shell

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ATTACK = "\x1b]0;x\x07"
ESCAPED = r"\x1b]0;x\x07"
UNENCODABLE = "\udce9"  # how Python decodes a byte of an argument that is not UTF-8
ATTACKS = {
    ATTACK: ESCAPED,
    "\x9b31m": r"\x9b31m",
    "a\r\nerror: b": r"a\r\nerror: b",
    "\u202egpj.exe": r"\u202egpj.exe",
    "a\u2028b": r"a\u2028b",
    "[bold red]x[/bold red]": "[bold red]x[/bold red]",
    ":boom:": ":boom:",
    UNENCODABLE: r"\udce9",
}
ENCODABLE = {attack: escaped for attack, escaped in ATTACKS.items() if attack != UNENCODABLE}
any_text = st.text(st.characters() | st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))


def is_control(character: str) -> bool:
    """Whether a character can control a terminal or begin a new line."""
    return (
        unicodedata.category(character) in {"Cc", "Cs"}
        or unicodedata.bidirectional(character) in BIDI
        or len(f"a{character}b".splitlines()) > 1
    )


@given(any_text)
def test_visible_text_has_no_control_character(text: str) -> None:
    shown = visible(text)
    assert not any(map(is_control, shown))
    shown.encode("utf-8")


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x61C, *range(0x200E, 0x2010)])
def test_every_control_character_is_escaped(code: int) -> None:
    assert visible(chr(code)).startswith("\\")


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_printable_text_is_not_changed(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "text", ["naïve", "你好", "👩‍👩‍👧", "नमस्ते", "می‌خواهم", "שלום", r"C:\new", "100 %"]
)
def test_text_in_any_script_is_not_changed(text: str) -> None:
    assert visible(text) == text


@given(any_text)
def test_escaping_is_idempotent(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(any_text, any_text)
def test_each_character_is_escaped_by_itself(head: str, tail: str) -> None:
    assert visible(head + tail) == visible(head) + visible(tail)


@given(any_text)
def test_only_control_characters_in_keep_are_left(text: str) -> None:
    shown = visible(text, keep="\n\t")
    assert shown.count("\n") == text.count("\n")
    assert not any(map(is_control, shown.replace("\n", "").replace("\t", "")))


@given(any_text, st.integers(0, 20))
def test_an_excerpt_is_visible_and_ends_with_an_ellipsis_if_it_was_cut(
    text: str, limit: int
) -> None:
    shown = excerpt(text, limit=limit)
    assert shown == visible(text[:limit]) + "…" * (len(text) > limit)


@given(st.lists(any_text), st.integers(1, 5))
def test_a_list_states_how_many_names_it_omits(names: list[str], most: int) -> None:
    shown = listed(names, most=most)
    assert not any(map(is_control, shown))
    assert shown.endswith(f" and {len(names) - most} more") or len(names) <= most


@given(any_text, st.integers(1, 3))
def test_a_message_is_whole_or_cut_at_the_limit(text: str, power: int) -> None:
    message = text * 10**power
    line = message_line(message)
    assert line == visible(message) or (len(line), line[-1]) == (MAX_MESSAGE + 1, "…")
    assert visible(message).startswith(line.removesuffix("…"))


LONG = "n" * 3_000_000


def _long_column(shell: Shell) -> None:
    shell.write("texts.jsonl", json.dumps({LONG: 1}))


def _long_config_key(shell: Shell) -> None:
    shell.change_config(**{LONG: 10**400})


def _long_model_type(shell: Shell) -> None:
    shell.change_config(model_type=LONG)


def _long_tensor_name(shell: Shell) -> None:
    save_file(shell.weights() | {LONG: torch.ones(2)}, shell.model / "model.safetensors")


@pytest.mark.parametrize(
    "build", [_long_column, _long_config_key, _long_model_type, _long_tensor_name]
)
def test_a_message_has_at_most_some_kilobytes(shell: Shell, build: Callable[[Shell], None]) -> None:
    build(shell)
    outcome = shell.explain()
    assert outcome.exit_code in {USAGE, CHECKPOINT}
    assert "nnnnn" in outcome.refusal()
    assert len(outcome.stderr) < 2 * MAX_MESSAGE + 100


def test_the_reason_that_inspect_prints_has_at_most_some_kilobytes(shell: Shell) -> None:
    shell.change_config(problem_type="regression", id2label={"0": LONG, "1": LONG})
    result = CliRunner().invoke(app, ["inspect", str(shell.model), "--json"])
    assert result.exit_code == CHECKPOINT
    assert len(result.stdout) < 2 * MAX_MESSAGE


def without_control(stderr: str) -> str:
    """Return `stderr`, after asserting that it has no control character but line breaks."""
    assert not any(is_control(character) for character in stderr.replace("\n", ""))
    return stderr


@pytest.mark.parametrize(("attack", "escaped"), ATTACKS.items(), ids=map(ascii, ATTACKS))
def test_the_name_of_the_requested_column_is_escaped(
    shell: Shell, attack: str, escaped: str
) -> None:
    message = without_control(shell.refused(USAGE, "--text-column", attack))
    assert f"no column '{escaped}'" in message


@pytest.mark.parametrize(("attack", "escaped"), ATTACKS.items(), ids=map(ascii, ATTACKS))
def test_the_names_of_existing_columns_are_escaped(shell: Shell, attack: str, escaped: str) -> None:
    texts = shell.write("texts.jsonl", json.dumps({attack: 1}))
    assert without_control(shell.refused(USAGE, texts=texts)).endswith(
        f"its columns are {escaped}\n"
    )


@pytest.mark.parametrize("where", ["model", "texts", "out", "--tokenizer", "--config"])
@pytest.mark.parametrize(("attack", "escaped"), ATTACKS.items(), ids=map(ascii, ATTACKS))
def test_paths_are_escaped(shell: Shell, where: str, attack: str, escaped: str) -> None:
    path = shell.home / f"{attack.replace('/', '|')}.jsonl"
    escaped = escaped.replace("/", "|")
    if where == "out":
        path.touch()
    if where.startswith("--"):
        assert f"{escaped}.jsonl" in without_control(shell.refused(USAGE, where, path))
    else:
        assert f"{escaped}.jsonl" in without_control(shell.refused(USAGE, **{where: path}))


@pytest.mark.parametrize(("attack", "escaped"), ENCODABLE.items(), ids=map(ascii, ENCODABLE))
def test_keys_of_a_state_dict_are_escaped(shell: Shell, attack: str, escaped: str) -> None:
    path = shell.as_state_dict({**shell.weights(), attack: torch.zeros(1)})
    assert f"unexpected: {escaped}" in without_control(shell.refused(CHECKPOINT, model=path))


def explain_with_label(shell: Shell, label: str) -> Outcome:
    """Explain a text with the gold label `label` with a model that has this label."""
    shell.change_config(id2label={"0": label, "1": "ham"}, label2id={label: 0, "ham": 1})
    texts = shell.write("texts.jsonl", json.dumps({"text": "free", "label": "0"}))
    outcome = shell.explain("--json", texts=texts)
    without_control(outcome.stderr)
    without_control(outcome.stdout)
    return outcome


@pytest.mark.parametrize("attack", ENCODABLE, ids=ascii)
def test_labels_are_escaped(shell: Shell, attack: str) -> None:
    assert explain_with_label(shell, attack).exit_code == DONE
    (record,) = read_records(shell.out)
    assert record["gold"] == attack


def test_a_label_that_utf8_cannot_encode_is_refused_before_the_run(shell: Shell) -> None:
    outcome = explain_with_label(shell, "\ud800")
    assert outcome.exit_code == CHECKPOINT
    assert r"\ud800" in outcome.refusal()
    assert not shell.out.exists()


@pytest.mark.parametrize("attack", [ATTACK, "a\nb", "\u202egpj"], ids=ascii)
def test_the_path_of_the_report_is_escaped(shell: Shell, attack: str) -> None:
    outcome = shell.explain(out=shell.home / attack)
    assert outcome.exit_code == DONE
    assert f"{visible(attack)}/index.html" in without_control(outcome.stderr)
