"""What a stranger wrote reaches a person as text: it never acts on the terminal or the log."""

import json
import unicodedata

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.safe_text import excerpt, listed, visible
from tests.support.runs import read_records
from tests.support.shell import CHECKPOINT, DONE, USAGE, Outcome, Shell

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ATTACK = "\x1b]0;x\x07"
SEEN = r"\x1b]0;x\x07"
UNENCODABLE = "\udce9"  # what Python makes of a byte in an argument that is no UTF-8
ATTACKS = {
    ATTACK: SEEN,
    "\x9b31m": r"\x9b31m",
    "a\r\nerror: b": r"a\r\nerror: b",
    "\u202egpj.exe": r"\u202egpj.exe",
    "a\u2028b": r"a\u2028b",
    "[bold red]x[/bold red]": "[bold red]x[/bold red]",
    ":boom:": ":boom:",
    UNENCODABLE: r"\udce9",
}
ENCODABLE = {attack: seen for attack, seen in ATTACKS.items() if attack != UNENCODABLE}
any_text = st.text(st.characters() | st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))


def acts(character: str) -> bool:
    """Say whether a character does something to a terminal instead of standing there."""
    return (
        unicodedata.category(character) in {"Cc", "Cs"}
        or unicodedata.bidirectional(character) in BIDI
        or len(f"a{character}b".splitlines()) > 1
    )


@given(any_text)
def test_what_is_visible_holds_nothing_that_acts(text: str) -> None:
    shown = visible(text)
    assert not any(map(acts, shown))
    shown.encode("utf-8")


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x61C, *range(0x200E, 0x2010)])
def test_every_control_character_is_escaped(code: int) -> None:
    assert visible(chr(code)).startswith("\\")


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_printable_text_is_left_alone(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "text", ["naïve", "你好", "👩‍👩‍👧", "नमस्ते", "می‌خواهم", "שלום", r"C:\new", "100 %"]
)
def test_the_scripts_of_the_world_are_left_alone(text: str) -> None:
    assert visible(text) == text


@given(any_text)
def test_escaping_twice_is_escaping_once(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(any_text, any_text)
def test_text_is_escaped_character_by_character(head: str, tail: str) -> None:
    assert visible(head + tail) == visible(head) + visible(tail)


@given(any_text)
def test_only_what_is_kept_stays(text: str) -> None:
    shown = visible(text, keep="\n\t")
    assert shown.count("\n") == text.count("\n")
    assert not any(map(acts, shown.replace("\n", "").replace("\t", "")))


@given(any_text, st.integers(0, 20))
def test_an_excerpt_is_visible_and_says_that_it_was_cut(text: str, limit: int) -> None:
    shown = excerpt(text, limit=limit)
    assert shown == visible(text[:limit]) + "…" * (len(text) > limit)


@given(st.lists(any_text), st.integers(1, 5))
def test_a_list_says_how_many_it_leaves_out(names: list[str], most: int) -> None:
    shown = listed(names, most=most)
    assert not any(map(acts, shown))
    assert shown.endswith(f" and {len(names) - most} more") or len(names) <= most


def calm(stderr: str) -> str:
    """Return what was said, having seen that none of it acts."""
    assert not any(acts(character) for character in stderr.replace("\n", ""))
    return stderr


@pytest.mark.parametrize(("attack", "seen"), ATTACKS.items(), ids=map(ascii, ATTACKS))
def test_a_text_column_asked_for_is_shown_as_text(shell: Shell, attack: str, seen: str) -> None:
    message = calm(shell.refused(USAGE, "--text-column", attack))
    assert f"no column '{seen}'" in message


@pytest.mark.parametrize(("attack", "seen"), ATTACKS.items(), ids=map(ascii, ATTACKS))
def test_columns_that_are_there_are_shown_as_text(shell: Shell, attack: str, seen: str) -> None:
    texts = shell.write("texts.jsonl", json.dumps({attack: 1}))
    assert calm(shell.refused(USAGE, texts=texts)).endswith(f"its columns are {seen}\n")


@pytest.mark.parametrize("where", ["model", "texts", "out", "--tokenizer", "--config"])
@pytest.mark.parametrize(("attack", "seen"), ATTACKS.items(), ids=map(ascii, ATTACKS))
def test_paths_are_shown_as_text(shell: Shell, where: str, attack: str, seen: str) -> None:
    path = shell.home / f"{attack.replace('/', '|')}.jsonl"
    seen = seen.replace("/", "|")
    if where == "out":
        path.touch()
    if where.startswith("--"):
        assert f"{seen}.jsonl" in calm(shell.refused(USAGE, where, path))
    else:
        assert f"{seen}.jsonl" in calm(shell.refused(USAGE, **{where: path}))


@pytest.mark.parametrize(("attack", "seen"), ENCODABLE.items(), ids=map(ascii, ENCODABLE))
def test_keys_of_a_state_dict_are_shown_as_text(shell: Shell, attack: str, seen: str) -> None:
    path = shell.as_state_dict({**shell.weights(), attack: torch.zeros(1)})
    assert f"unexpected: {seen}" in calm(shell.refused(CHECKPOINT, model=path))


def explain_with_label(shell: Shell, label: str) -> Outcome:
    """Run a model that has `label`, on a text that has it too."""
    shell.change_config(id2label={"0": label, "1": "ham"}, label2id={label: 0, "ham": 1})
    texts = shell.write("texts.jsonl", json.dumps({"text": "free", "label": "0"}))
    outcome = shell.explain("--json", texts=texts)
    calm(outcome.stderr)
    calm(outcome.stdout)
    return outcome


@pytest.mark.parametrize("attack", ENCODABLE, ids=ascii)
def test_labels_never_act(shell: Shell, attack: str) -> None:
    assert explain_with_label(shell, attack).exit_code == DONE
    (record,) = read_records(shell.out)
    assert record["gold"] == attack


def test_a_label_that_no_file_can_hold_is_refused_before_the_run(shell: Shell) -> None:
    outcome = explain_with_label(shell, "\ud800")
    assert outcome.exit_code == CHECKPOINT
    assert r"\ud800" in outcome.refusal()
    assert not shell.out.exists()


@pytest.mark.parametrize("attack", [ATTACK, "a\nb", "\u202egpj"], ids=ascii)
def test_where_the_report_is_is_told_as_text(shell: Shell, attack: str) -> None:
    outcome = shell.explain(out=shell.home / attack)
    assert outcome.exit_code == DONE
    assert f"{visible(attack)}/index.html" in calm(outcome.stderr)
