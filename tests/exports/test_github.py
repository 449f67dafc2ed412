"""The exports `github` and `github-summary`: annotations and a step summary."""

import re
from collections import Counter

from hypothesis import given

from saliency_cli.exports.markdown import MAX_GATES, escape_markdown
from saliency_cli.exports.workflow_commands import escape_message, escape_property
from tests.support.exports import any_text, exported, fields_with, one_word, wrong_record
from tests.support.gates import every_outcome
from tests.support.predictions import LABELS, calibrated
from tests.support.runs import bad_record, record, varied


def parsed_command(line: str) -> tuple[str, dict[str, str], str]:
    """Read a workflow command as GitHub's runner does: split it, then undo the escapes."""
    assert line.startswith("::")
    head, message = line[2:].split("::", 1)
    name, _, rest = head.partition(" ")
    properties = dict(pair.split("=", 1) for pair in rest.split(",") if pair)
    for code, character in (("%3A", ":"), ("%2C", ",")):
        properties = {key: value.replace(code, character) for key, value in properties.items()}
    unescaped = {key: unescape(value) for key, value in properties.items()}
    return name, unescaped, unescape(message)


def unescape(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


@given(any_text)
def test_workflow_command_gives_back_the_escaped_text(text: str) -> None:
    name, properties, message = parsed_command(
        f"::warning title={escape_property(text)}::{escape_message(text)}"
    )
    assert (name, properties, message) == ("warning", {"title": text}, text)
    assert not {"\r", "\n"} & {*escape_message(text)}


@given(one_word)
def test_no_text_can_add_a_workflow_command(text: str) -> None:
    records = [record(0, text) | fields_with(text) | {"gold": "ham"}, record(1, "ok", gold="ham")]
    lines = exported(records, "github").decode().split("\n")
    assert lines.pop() == ""
    assert [parsed_command(line)[0] for line in lines] == ["notice", "warning", "warning"]


def test_at_most_ten_annotations_with_the_most_confident_mistakes_first() -> None:
    records = [wrong_record(number, 0.5 + number / 100) for number in range(30)]
    lines = exported([*records, bad_record(30)], "github").decode().splitlines()
    assert len(lines) == 10
    assert "31 rows, 1 quarantined, accuracy 0.0%25, 30 of 30 wrong" in lines[0]
    assert [re.findall(r"row (\d+)", line)[0] for line in lines[1:]] == [
        str(number) for number in range(29, 20, -1)
    ]
    few = exported([bad_record(0), wrong_record(1, 0.6)], "github").decode().splitlines()
    assert "title=wrong prediction::" in few[1]
    assert "title=row not explained::" in few[2]


@given(any_text)
def test_escaped_text_has_no_meaning_in_markdown(text: str) -> None:
    escaped = escape_markdown(text)
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped) == text
    assert not re.search(r"(?<!\\)(?:\\\\)*(?<!\\)[|<>&*_`\[\]#]", escaped)


def test_step_summary_is_tables_below_the_size_limit() -> None:
    longest = "\U000e0001" * 300
    records = [
        wrong_record(number, 0.9) | {"id": longest, "text": longest * 9} for number in range(300)
    ]
    for each in records:
        each["offsets"] = [[0, 0], *([n * 100, n * 100 + 100] for n in range(3))]
    gates = every_outcome() * 40
    content = exported(records, "github-summary", gates=gates)
    assert len(content) < 2**20
    table = [line for line in content.decode().splitlines() if line.startswith("|")]
    assert len(table) == sum(2 + rows for rows in (MAX_GATES, len(LABELS), len(LABELS), 50))
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {4, 5, 6}


def test_gates_come_first_and_the_first_finding_has_the_words_of_the_page() -> None:
    content = exported(varied(), "github-summary", gates=every_outcome()).decode()
    sections = [line for line in content.splitlines() if line.startswith("#")]
    assert sections[1:3] == ["## Gates: 2 of 5 failed", "## What was found"]
    assert "**2 of 4 predictions are wrong" in content
    assert "| failed | accuracy is 94 \\%\\, and must not be below 94\\.8 \\% " in content


def test_failed_gates_are_errors_and_warned_ones_warnings() -> None:
    records = [wrong_record(number, 0.9) for number in range(30)]
    lines = exported(records, "github", gates=every_outcome()).decode().splitlines()
    found = [parsed_command(line) for line in lines]
    assert [name for name, _, _ in found] == ["error"] * 2 + ["notice"] + ["warning"] * 9
    assert found[0][1:] == (
        {"title": "gate failed"},
        "accuracy is 94 %, and must not be below 94.8 % (95.8 % in the baseline, less 1 point)",
    )
    titles = [properties["title"] for _, properties, _ in found[3:6]]
    assert titles == ["gate warned", "gate warned", "wrong prediction"]
    many = exported(records, "github", gates=every_outcome() * 20).decode().splitlines()
    kinds = Counter(parsed_command(line)[0] for line in many)
    assert kinds == {"error": 10, "notice": 1, "warning": 9}


def test_step_summary_says_where_the_model_is_weak_and_which_gold_labels_are_doubtful() -> None:
    records = [*calibrated(300, seed=0, spread=8)]
    for each in records:
        if each["slices"]["lang"] == "de" and each["ordinal"] % 4 == 0:
            each["gold"] = LABELS[each["gold"] == "ham"]
    content = exported(records, "github-summary").decode()
    assert (
        "\n## Weak slices\n\n| slice | rows | accuracy |\n| --- | --- | --- |\n| lang de |"
        in content
    )
    assert "which may be wrong" in content
