"""A real terminal, and texts, names and files that try to act on it: it sees escapes, all visible.

Rich's own sequences are the only ones let through: colours (SGR), and the moves that draw progress.
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
from tests.support.warm import Running, Warm, warmed

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
OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[ABCDGK]|\x1b\[2K|\r")
"""What Rich sends: colours, the cursor hidden and shown, lines drawn anew."""
QUIET = {"NO_COLOR": "1", "TERM": "dumb"}
RICH = {"TERM": "xterm-256color", "COLUMNS": "120"}


@dataclass(frozen=True, slots=True)
class RowStats:
    """What a terminal was sent, and the exit code of who sent it."""

    exit_code: int
    screen: str

    def calm(self, *, own: bool) -> str:
        """Return what is on the screen, having seen that nothing of it acts but what is Rich's."""
        rest = OWN.sub("", self.screen) if own else self.screen.replace("\r\n", "\n")
        acting = {c for c in rest if c != "\n" and acts(c)}
        assert not acting, (acting, self.screen)
        assert "Traceback" not in rest
        return rest


def acts(character: str) -> bool:
    """Say whether a character does something to a terminal, or is there and not seen."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    home = tmp_path_factory.mktemp("warm")
    with warmed(home, save_bert(home / "bert")) as process:
        yield process


def on_a_terminal(warm: Warm, *arguments: object, **environment: str) -> RowStats:
    """Run the command line with a terminal for standard output and for standard error."""
    ours, theirs = pty.openpty()
    positions = {"NO_COLOR": "", **RICH, **environment}
    try:
        running = warm.start(
            [*map(str, arguments)], terminal=os.ttyname(theirs), environment=positions
        )
        screen = b"".join(iter(lambda: read_terminal(ours, running), b""))
        return RowStats(running.exit_code(), screen.decode())
    finally:
        os.close(theirs)
        os.close(ours)


def read_terminal(terminal: int, running: Running) -> bytes:
    """Read what comes next; nothing comes once the process has ended and all of it is read."""
    while True:
        over = running.ended
        if select.select([terminal], [], [], 0 if over else 0.05)[0]:
            return os.read(terminal, 4096)
        if over:
            return b""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose model, texts and labels all have attacks for names."""
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


@pytest.mark.parametrize(("environment", "own"), [(RICH, True), (QUIET, False)])
def test_a_run_over_hostile_texts_leaves_the_terminal_alone(
    warm: Warm, hostile: Path, tmp_path: Path, environment: dict[str, str], *, own: bool
) -> None:
    out = tmp_path / NAME
    files = (hostile / NAME, hostile / f"{NAME}.jsonl", "--out", out)
    seen = on_a_terminal(warm, "explain", *files, "--json", "--title", ATTACK, **environment)
    assert r"\x1b]0;owned\x07" in seen.calm(own=own)
    assert seen.exit_code == 4
    report = on_a_terminal(warm, "report", out, "--title", ATTACK, **environment)
    assert r"\x1b]0;owned\x07" in report.calm(own=own)
    assert report.exit_code == DONE


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_what_is_shown_leaves_the_terminal_alone(
    warm: Warm, hostile: Path, options: list[str]
) -> None:
    seen = on_a_terminal(
        warm, "show", hostile / NAME, f"free {ATTACK} call", "--target", "all", *options, **RICH
    )
    assert seen.exit_code == DONE, seen.screen
    shown = seen.calm(own=True)
    assert ("\\u001b]0;owned\\u0007" if options else r"\x1b]0;owned\x07") in shown
    assert "[bold red]x[/bold red]" in shown


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_inspection_leaves_the_terminal_alone(
    warm: Warm, hostile: Path, options: list[str]
) -> None:
    seen = on_a_terminal(warm, "inspect", hostile / NAME, *options, **RICH)
    assert seen.exit_code == DONE, seen.screen
    assert ("\\u001b]0;owned" if options else r"\x1b]0;owned") in seen.calm(own=True)


def refusals(hostile: Path) -> dict[str, tuple[int, list[object]]]:
    """Return command lines that are refused, each with its exit code."""
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
def test_a_refused_command_line_is_quoted_as_text(warm: Warm, hostile: Path, which: str) -> None:
    code, arguments = refusals(hostile)[which]
    seen = on_a_terminal(warm, *arguments)
    shown = seen.calm(own=True)
    assert seen.exit_code == code, shown
