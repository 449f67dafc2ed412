"""Hostile texts, names and files on a real terminal: their control characters are shown as escapes.

The terminal may receive only the sequences that Rich sends: colours (SGR), and the cursor movements
of the progress bar.
"""

import json
import os
import pty
import re
import select
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.models import WORDS, save_bert
from tests.support.shell import DONE, USAGE
from tests.support.warm import Running, WarmProcess, start_warm_process

ATTACKS = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;b3duZWQ=\x1b\\",
    "link": "\x1b]8;;http://evil.example\x1b\\x\x1b]8;;\x1b\\",
    "clear": "\x1b[2J\x1b[H",
    "c1": "\x9b31m\x9d0;owned\x9c",
    "bidi": "\u202egpj.exe\u202c\u2066x\u2069\u200f",
    "breaks": "a\r\nerror: b\x0b\x0c\x85\u2028c",
    "backspace": "safe\x08\x08\x08\x08evil\x7f",
    "markup": "[bold red]x[/bold red][link=http://evil.example]y[/link]",
    "tags": "\U000e0041\U000e0042\ufeff",
}
ATTACK = "".join(ATTACKS.values())
NAME = ATTACK.replace("/", "|")
"""All attacks in one text, and in the name of a file."""
RICH_SEQUENCES = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[ABCDGK]|\x1b\[2K|\r")
"""The sequences that Rich sends: colours, cursor hidden or shown, lines redrawn."""
PLAIN = {"NO_COLOR": "1", "TERM": "dumb"}
RICH = {"TERM": "xterm-256color", "COLUMNS": "120"}


@dataclass(frozen=True, slots=True)
class TerminalResult:
    """The exit code of a process, and everything that it sent to its terminal."""

    exit_code: int
    screen: str

    def safe_text(self, *, rich: bool) -> str:
        """Return the text on the screen, after asserting that it has no control character.

        Args:
            rich: Whether the sequences of Rich are allowed, and removed.
        """
        text = RICH_SEQUENCES.sub("", self.screen) if rich else self.screen.replace("\r\n", "\n")
        controls = {c for c in text if c != "\n" and is_control(c)}
        assert not controls, (controls, self.screen)
        assert "Traceback" not in text
        return text


def is_control(character: str) -> bool:
    """Whether a character can control a terminal, or is invisible."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    home = tmp_path_factory.mktemp("warm")
    with start_warm_process(home, save_bert(home / "bert")) as process:
        yield process


def run_on_terminal(warm: WarmProcess, *arguments: object, **environment: str) -> TerminalResult:
    """Run the command line with a terminal as standard input, output and error."""
    controller, terminal = pty.openpty()
    try:
        running = warm.start(
            [*map(str, arguments)],
            terminal=os.ttyname(terminal),
            environment={"NO_COLOR": "", **RICH, **environment},
        )
        screen = b"".join(iter(lambda: read_terminal(controller, running), b""))
        return TerminalResult(running.exit_code(), screen.decode())
    finally:
        os.close(terminal)
        os.close(controller)


def read_terminal(terminal: int, running: Running) -> bytes:
    """Return the next bytes, or nothing if the process has ended and everything is read."""
    while True:
        ended = running.ended
        if select.select([terminal], [], [], 0 if ended else 0.05)[0]:
            return os.read(terminal, 4096)
        if ended:
            return b""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose model, texts and labels have control sequences in their names."""
    home = tmp_path_factory.mktemp("hostile")
    model = save_bert(home / NAME, labels=(ATTACK, "ham"))
    path = model / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary[ATTACKS["markup"] + ATTACKS["title"]] = vocabulary.pop(WORDS[0])
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    rows: list[object] = [{"text": ATTACK, "label": ATTACK, "id": ATTACK, ATTACK: ATTACK}]
    rows += [{"text": 4, "id": ATTACK}, [ATTACK], {"text": f"{ATTACK} free call", "label": "ham"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows) + ATTACK.replace("\r\n", "") + "\n"
    (home / f"{NAME}.jsonl").write_text(lines, encoding="utf-8")
    return home


@pytest.mark.parametrize(("environment", "rich"), [(RICH, True), (PLAIN, False)])
def test_explain_and_report_send_no_control_sequence_of_hostile_texts(
    warm: WarmProcess, hostile: Path, tmp_path: Path, environment: dict[str, str], *, rich: bool
) -> None:
    out = tmp_path / NAME
    files = (hostile / NAME, hostile / f"{NAME}.jsonl", "--out", out)
    result = run_on_terminal(warm, "explain", *files, "--json", "--title", ATTACK, **environment)
    assert r"\x1b]0;owned\x07" in result.safe_text(rich=rich)
    assert ("loading …" in result.screen) == rich
    assert result.exit_code == 4
    report = run_on_terminal(warm, "report", out, "--title", ATTACK, **environment)
    assert r"\x1b]0;owned\x07" in report.safe_text(rich=rich)
    assert report.exit_code == DONE


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_show_sends_no_control_sequence_of_a_hostile_text(
    warm: WarmProcess, hostile: Path, options: list[str]
) -> None:
    result = run_on_terminal(
        warm, "show", hostile / NAME, f"free {ATTACK} call", "--target", "all", *options, **RICH
    )
    assert result.exit_code == DONE, result.screen
    shown = result.safe_text(rich=True)
    assert ("\\u001b]0;owned\\u0007" if options else r"\x1b]0;owned\x07") in shown
    assert "[bold red]x[/bold red]" in shown


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_inspect_sends_no_control_sequence_of_a_hostile_model(
    warm: WarmProcess, hostile: Path, options: list[str]
) -> None:
    result = run_on_terminal(warm, "inspect", hostile / NAME, *options, **RICH)
    assert result.exit_code == DONE, result.screen
    assert ("\\u001b]0;owned" if options else r"\x1b]0;owned") in result.safe_text(rich=True)


def refusals(hostile: Path) -> dict[str, tuple[int, list[object]]]:
    """Return invalid command lines by name, each with its exit code."""
    model, texts = hostile / NAME, hostile / f"{NAME}.jsonl"
    explain = ["explain", model, texts]
    return {
        "model": (USAGE, ["explain", hostile / f"no{NAME}", texts]),
        "texts": (USAGE, ["explain", model, hostile / f"no{NAME}.jsonl"]),
        "suffix": (USAGE, ["explain", model, model]),
        "tokenizer": (USAGE, [*explain, "--tokenizer", hostile / f"no{NAME}"]),
        "config": (USAGE, [*explain, "--config", hostile / f"no{NAME}"]),
        "arch": (USAGE, [*explain, "--arch", f"{hostile}/no{NAME}.py:{ATTACK}"]),
        "labels": (USAGE, [*explain, "--labels", hostile / f"no{NAME}"]),
        "templates": (USAGE, [*explain, "--template-dir", hostile / f"no{NAME}"]),
        "out": (USAGE, [*explain, "--out", texts]),
        "text column": (USAGE, [*explain, "--text-column", f"no{ATTACK}"]),
        "pair column": (USAGE, [*explain, "--pair-column", f"no{ATTACK}"]),
        "label column": (USAGE, [*explain, "--label-column", f"no{ATTACK}"]),
        "target": (USAGE, [*explain, "--target", f"no{ATTACK}"]),
        "contrast": (USAGE, [*explain, "--contrast", f"no{ATTACK}"]),
        "layer": (USAGE, [*explain, "--embedding-layer", f"no{ATTACK}"]),
        "device": (USAGE, [*explain, "--device", ATTACK]),
        "samples": (USAGE, [*explain, "--samples", ATTACK]),
        "gate": (USAGE, [*explain, "--fail-on", ATTACK]),
        "shard": (USAGE, [*explain, "--shard", ATTACK]),
        "reduction": (USAGE, [*explain, "--reduction", ATTACK]),
        "number": (USAGE, [*explain, "--noise", ATTACK]),
        "option": (USAGE, [*explain, f"--no{ATTACK}"]),
        "argument": (USAGE, [*explain, ATTACK]),
        "command": (USAGE, [ATTACK]),
        "command's option": (USAGE, [f"--{ATTACK}"]),
        "report": (USAGE, ["report", hostile / f"no{NAME}"]),
        "export": (USAGE, ["export", hostile / f"no{NAME}", "--format", "csv"]),
        "format": (USAGE, ["export", hostile, "--format", ATTACK]),
        "inspect": (USAGE, ["inspect", hostile / f"no{NAME}"]),
        "show": (USAGE, ["show", hostile / f"no{NAME}", ATTACK]),
    }


REFUSALS = [*refusals(Path())]


@pytest.mark.parametrize("which", REFUSALS)
def test_an_error_sends_no_control_sequence_of_a_hostile_command_line(
    warm: WarmProcess, hostile: Path, which: str
) -> None:
    code, arguments = refusals(hostile)[which]
    result = run_on_terminal(warm, *arguments)
    shown = result.safe_text(rich=True)
    assert result.exit_code == code, shown
