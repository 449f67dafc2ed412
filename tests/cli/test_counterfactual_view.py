"""`saliency show --reduce` and `--flip`: the answers in the terminal and in the record."""

import json
import re
from pathlib import Path
from typing import Any
from unicodedata import category

import pytest
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.cli.counterfactual_view import counterfactual_lines
from saliency_cli.records import Record
from tests.support.models import save_bert
from tests.support.paths import SAMPLE
from tests.support.runs import record

TEXT = "Free entry: call 0800 now to win a prize!"
MARK = re.compile(r"\[-(.*?)-\]|\{\+(.*?)\+\}")


def show(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["show", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def answered(text: str, pair: str | None = None, **fields: Any) -> Record:  # noqa: ANN401
    """Return a record with both answers: variants of which `fields` are said."""
    variant = {
        "text": "",
        "pair": None,
        "predicted": "ham",
        "probability": 0.75,
        "probabilities": {"ham": 0.75, "spam": 0.25},
        **fields,
    }
    asked = {"label": "spam", "before": 0.875, "evaluations": 9}
    words = {**variant, "total": 3, "smallest": True}
    flip = {**asked, "removal": words, "replacement": None}
    return record(0, text) | {"pair": pair, "reduction": {**asked, **words}, "flip": flip}


def test_the_answers_are_fields_of_the_record_and_lines_with_marks() -> None:
    model = SAMPLE / "model.pt"
    plain = json.loads(show(model, TEXT, "--json").stdout)
    shown = show(model, TEXT, "--json", "--reduce", "--flip").stdout
    assert shown == show(model, TEXT, "--json", "--reduce", "--flip").stdout
    found = json.loads(shown)
    assert {key: found[key] for key in plain} == plain
    assert set(found) - set(plain) == {"reduction", "flip"}
    lines = show(model, TEXT, "--reduce", "--flip").stdout.splitlines()
    kept, removed, replaced = lines[-7], lines[-4], lines[-1]
    assert MARK.sub("", kept).split() == found["reduction"]["words"]
    removal, replacement = found["flip"]["removal"], found["flip"]["replacement"]
    assert [old for old, _ in MARK.findall(removed)] == removal["words"]
    assert MARK.sub(r"\2", replaced) == replacement["text"]
    assert MARK.sub(r"\1", replaced) == MARK.sub(r"\1", kept) == TEXT
    assert f"{len(removal['words'])} of {removal['total']}, the fewest found; spam" in lines[-5]
    assert lines[-5].endswith(f", now ham {removal['probability']:.3f}")


def test_both_texts_of_a_pair_have_marks_and_no_control_characters() -> None:
    each = answered("a \x1b cat", "a dog", spans=[[2, 3], [0, 1]], segments=[0, 1])
    lines = [line.plain for line in counterfactual_lines(each, colour=False)]
    assert lines[2:4] == [r"[-a-] \x1b [-cat-]", "a [-dog-]"]
    assert lines[6:8] == [r"a [-\x1b-] cat", "[-a-] dog"]
    assert lines[-1] == "tokens replaced: none found that change spam"


def test_changes_have_a_style_where_there_is_colour() -> None:
    replaced = answered("a cat", spans=[[0, 1]], new=["\u202etwo"])
    line = [*counterfactual_lines(replaced, colour=True)][5]
    assert line.plain == r"a→\u202etwo cat"
    styles = {line.plain[span.start : span.end]: span.style for span in line.spans}
    assert styles == {"a": "dim strike", r"\u202etwo": "bold"}
    assert not any(category(c) in {"Cc", "Cf"} for c in line.plain)


@pytest.mark.parametrize(
    ("problem", "text", "message"),
    [
        ("regression", "free call", "the model has a regression head"),
        (None, "free", "needs a text of two words or more"),
    ],
)
def test_a_question_without_an_answer_exits_with_2(
    tmp_path: Path,
    problem: str | None,
    text: str,
    message: str,
) -> None:
    labels = ("score",) if problem else ("ham", "spam")
    model = save_bert(tmp_path / "model", labels=labels, problem=problem)
    result = show(model, text, "--reduce", code=2)
    assert message in result.stderr
    assert "hint: leave out --reduce" in result.stderr
    assert result.stdout == ""
