"""`saliency show`: one text in the terminal, with and without colour, or its record."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from unicodedata import category

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color, ColorSystem
from rich.console import Console
from rich.style import Style
from typer.testing import CliRunner, Result

from saliency_cli.analysis.words import strongest_words, whole_words
from saliency_cli.attribution.maths import MathsChoice
from saliency_cli.checkpoints import precision
from saliency_cli.cli.app import app
from saliency_cli.cli.terminal import shaded
from saliency_cli.cli.terminal_colours import background, styles
from saliency_cli.records import Record
from saliency_cli.report.palette import legend, shade
from saliency_cli.settings import Compute, ModelChoice
from tests.support.models import save_bert
from tests.support.paths import ROOT, SAMPLE
from tests.support.runs import pair_record, read_records, record, varied
from tests.support.user_modules import write_user_module

MODEL = SAMPLE / "model.pt"
TEXT = "Free entry: call 0800 now to win a prize!"
EXPLAINED = [each for each in varied() if each["status"] == "ok"]
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
any_text = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\x1b\x07\u202e\r\n"))


def show(*arguments: object, code: int = 0, model: Path = MODEL) -> Result:
    result = CliRunner().invoke(app, ["show", str(model), *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def terminal(colours: str | None, **options: bool) -> Console:
    """Return a terminal with this colour system; None for no colour."""
    return Console(
        file=io.StringIO(), force_terminal=True, color_system=colours, width=40, **options  # type: ignore[arg-type]
    )  # fmt: skip


def plain(each: Record) -> str:
    return shaded(each, terminal(None))


def test_json_is_the_record_that_explain_writes(tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"text": TEXT}) + "\n", encoding="utf-8")
    out = tmp_path / "report"
    result = CliRunner().invoke(app, ["explain", str(MODEL), str(texts), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert json.loads(show(TEXT, "--json").stdout) == read_records(out)[0]


def test_the_attention_page_is_written_beside_the_record(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    shown = show(TEXT, "--json", "--attention-page", page).stdout
    assert shown == show(TEXT, "--json", "--attention-page", page, "--quiet").stdout
    assert shown == show(TEXT, "--json").stdout
    assert "Attention from “[CLS]”" in page.read_text(encoding="utf-8")


def test_an_attention_page_that_cannot_be_written_ends_with_code_2(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    module = write_user_module(tmp_path / "own")
    refusals = [
        ([str(MODEL), TEXT * 20, "--stride", "8", "--max-length", "32"], "read at once"),
        ([*module.arguments[:1], TEXT, *module.arguments[1:]], "no attention weights"),
    ]
    for arguments, message in refusals:
        command = ["show", *arguments, "--attention-page", str(page)]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.stderr.split())
        assert not page.exists()


def test_a_dash_reads_the_text_from_standard_input() -> None:
    command = ["show", str(MODEL), "-", "--json"]
    read = CliRunner().invoke(app, command, input=f"{TEXT}\n")
    assert read.stdout == show(TEXT, "--json").stdout
    broken = CliRunner().invoke(app, command, input=b"caf\xe9")
    assert (broken.exit_code, "standard input is not UTF-8: byte 4" in broken.stderr) == (2, True)


def test_show_takes_float32_where_auto_is_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda _device: True)
    monkeypatch.setattr(precision, "BFLOAT16_MIN_WIDTH", 1)
    shown = show(TEXT, "--json").stdout
    assert shown == show(TEXT, "--json", "--dtype", "float32").stdout
    assert shown != show(TEXT, "--json", "--dtype", "bfloat16").stdout


def test_show_has_the_model_maths_and_compute_options_of_explain() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    of_explain, of_show = (
        {each.name: each for each in commands[name].params} for name in ("explain", "show")
    )
    panels = {ModelChoice.panel, MathsChoice.panel, Compute.panel}
    shared = {n for n, each in of_explain.items() if getattr(each, "rich_help_panel", "") in panels}
    assert len(shared) > 20
    assert shared <= set(of_show)
    for name in shared:
        assert of_show[name].default == of_explain[name].default, name


def test_words_have_marks_if_there_is_no_colour() -> None:
    result = show(TEXT, "--samples", 8)
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    (each,) = [json.loads(show(TEXT, "--samples", 8, "--json").stdout)]
    assert result.stdout == plain(each)
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"spam {each['probability']:.3f}  ham 0.0")
    assert re.sub("[⁻¹²³⁴⁵⁶]", "", lines[2]) == f"[CLS] {TEXT} [SEP]"
    assert lines[4].startswith(f"  {strongest_words(each, limit=1)[0].text} ")
    assert "±" in lines[4]
    assert lines[-1].endswith("tiny changes overturn 0% of predictions, 8 samples")


@pytest.mark.parametrize(
    ("changes", "coloured"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_are_used_only_if_the_terminal_has_256(
    changes: dict[str, str], coloured: bool
) -> None:
    program = (
        "import json, sys; from saliency_cli.cli.terminal import shaded\n"
        "sys.stdout.write(shaded(json.load(sys.stdin)))"
    )
    unset = {"NO_COLOR", "FORCE_COLOR", "COLORTERM", "TERM"}
    env = {name: value for name, value in os.environ.items() if name not in unset} | changes
    controller, terminal_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=terminal_end,
    ) as process:
        process.communicate(json.dumps(EXPLAINED[0]).encode())
    os.close(terminal_end)
    output = os.read(controller, 100_000).decode()
    os.close(controller)
    assert ("48;" in output) == coloured
    assert ("⁴" in output or "⁵" in output) != coloured


@pytest.mark.parametrize("system", [ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT])
@pytest.mark.parametrize("of", ["light", "dark"])
def test_every_shade_has_a_different_colour(system: ColorSystem, of: str) -> None:
    shades = {step.css for step in legend(signed=True)}
    assert set(styles(of)) == shades
    colours = [Style.parse(styles(of)[name]).bgcolor for name in sorted(shades - {"s0"})]
    drawn = {colour.downgrade(system) for colour in colours if colour is not None}
    assert len(drawn) == len(colours) == 12


@pytest.mark.parametrize("of", ["light", "dark"])
def test_shades_run_away_from_the_background_and_text_has_contrast(of: str) -> None:
    for sign in "sn":
        parsed = [Style.parse(styles(of)[f"{sign}{level}"]) for level in range(1, 7)]
        pairs = [(each.color, each.bgcolor) for each in parsed]
        found = [contrast(ink, shade) for ink, shade in pairs if ink and shade]
        assert min(found) >= 4.5
        brightness = [luminance(shade) for _, shade in pairs if shade]
        assert len(brightness) == 6
        assert brightness == sorted(brightness, reverse=of == "light")


def test_the_background_is_what_the_terminal_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, expected in (("0;15", "light"), ("0;default;7", "light"), ("15;0", "dark")):
        monkeypatch.setenv("COLORFGBG", value)
        assert background() == expected
    monkeypatch.delenv("COLORFGBG")
    assert background() == "dark"


def contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of two colours as WCAG 2.2 defines it."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: Color) -> float:
    """Return the relative luminance of a colour as WCAG 2.2 defines it."""
    shares = [value / 255 for value in colour.get_truecolor()]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("each", EXPLAINED, ids=lambda each: str(each["ordinal"]))
@pytest.mark.parametrize("colours", [None, "256", "truecolor"])
def test_every_kind_of_record_is_shown_without_control_characters(
    each: Record, colours: str | None
) -> None:
    output = ESCAPE.sub("", shaded(each, terminal(colours)))
    assert not any(category(c) in {"Cc", "Cf"} for c in output if c not in "\n\t")
    for target in (each, *each.get("others", ())):
        assert target["target"] == each["predicted"] or f"why {target['target']}\n" in output


@given(any_text.filter(lambda text: text.split() == [text.strip()]))
def test_no_text_can_send_control_characters_to_the_terminal(text: str) -> None:
    explained = record(0, text, predicted=text, probabilities={text: 1.0, "ham": 0.0})
    output = ESCAPE.sub("", shaded(explained, terminal("truecolor")))
    assert not any(category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in output if c not in "\n\t")


def test_sign_of_a_score_is_visible_without_colour() -> None:
    explained = record(0, "free call") | {"scores": [0.2, -0.4, 0.4]}
    assert "free⁻⁶ call⁶" in plain(explained)
    assert all("underline" in style for name, style in styles("dark").items() if name[0] == "n")


def test_both_texts_of_a_pair_are_shown() -> None:
    lines = plain(pair_record(7)).splitlines()
    assert "[CLS]³ a³ man³ eats⁵ [SEP]³" in lines
    assert "a³ <i>man³</i> sleeps⁶ [SEP]³" in lines


def test_wordpieces_of_a_word_are_joined_and_punctuation_is_separate() -> None:
    explained = record(0, "x") | {
        "text": "unfriendly, 日本 no!",
        "tokens": ["un", "##friend", "##ly", ",", "日", "本", "no", "!"],
        "offsets": [[0, 2], [2, 8], [8, 10], [10, 11], [12, 13], [13, 14], [15, 17], [17, 18]],
        "special": [False] * 8,
        "scores": [0.1, 0.2, 0.05, 0.1, 0.2, 0.1, 0.125, 0.125],
        "errors": [0.01] * 8,
    }
    words = [word for word in whole_words(explained) if word.tokens]
    assert [word.text for word in words] == ["unfriendly", ",", "日", "本", "no", "!"]
    assert words[0].score == pytest.approx(0.35)
    assert words[0].error == pytest.approx(0.03)
    assert [word.text for word in strongest_words(explained, limit=2)] == ["unfriendly", "日"]
    assert sum(word.score for word in words) == pytest.approx(sum(explained["scores"]))


@given(st.floats(-1, 1))
def test_shade_of_every_score_has_a_style(score: float) -> None:
    assert shade(score) in styles("dark")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "the text has no token"),
        ((TEXT, ""), "the pair has no token"),
        ((TEXT, "--target", "gold"), "the gold label is missing"),
        ((TEXT, "--target", "eggs"), "no such label"),
        ((TEXT, "--noise", "0.1", "--preset", "allennlp"), "fixes --noise"),
        (("caf\udce9",), r"caf\udce9"),
    ],
)
def test_text_that_cannot_be_explained_exits_with_2_and_a_message(
    arguments: tuple[str, ...], message: str
) -> None:
    result = show(*arguments, code=2)
    assert message in result.stderr
    assert result.stdout == ""


def test_refused_model_exits_with_3(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"no model")
    (tmp_path / "config.json").write_bytes((SAMPLE / "config.json").read_bytes())
    show(TEXT, code=3, model=tmp_path / "model.pt")


def test_multi_label_targets_and_the_flip_rate_warning_are_shown(tmp_path: Path) -> None:
    model = save_bert(
        tmp_path / "three", labels=("a", "b", "c"), problem="multi_label_classification"
    )
    result = show("free call now", "you won", "--target", "all", model=model)
    assert result.stdout.count("why ") == 2
    noisy = show("free call now", "--noise", 5, "--samples", 16, model=model)
    assert "the noise changes the prediction" in noisy.stderr
    assert show("free call now", "--noise", 5, "--samples", 16, "--quiet", model=model).stderr == ""
