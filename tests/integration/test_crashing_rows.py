"""Rows that kill their process, and the children that find out which."""

import json
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from saliency_cli.runs.crash_journal import journal
from tests.support.faults import (
    INTERRUPTED,
    QUARANTINED,
    Desk,
    files,
    same,
    wait_a_while,
    wait_for,
)
from tests.support.models import WORDS, wordpiece
from tests.support.processes import children_of
from tests.support.shell import DONE
from tests.support.warm import Running

KILLER = """
import os
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, input_ids, attention_mask):
        if (input_ids == DEADLY).any():
            os._exit(9)
        mask = attention_mask[..., None]
        hidden = (self.embedding(input_ids) * mask).sum(dim=1) / mask.sum(dim=1)
        return self.head(hidden.tanh())
"""


@pytest.fixture(scope="module")
def calm(desk: Desk) -> Path:
    """A module of a user's own, its weights, a tokenizer; the module lives through every text."""
    home = desk.home / "own"
    home.mkdir()
    tokenizer = wordpiece()
    tokenizer.save_pretrained(home)
    torch.manual_seed(3)
    weights = {
        "embedding.weight": torch.randn(len(tokenizer), 8),
        "head.weight": torch.randn(2, 8),
        "head.bias": torch.randn(2),
    }
    torch.save(weights, home / "weights.pt")
    deadly = tokenizer.convert_tokens_to_ids("late")
    code = KILLER.replace("VOCABULARY", str(len(tokenizer)))
    (home / "calm.py").write_text(code.replace("DEADLY", "-1"))
    (home / "killer.py").write_text(code.replace("DEADLY", str(deadly)))
    return home


DEADLY = {5: "when the prize was late", 6: "late"}
"""Texts with the word that kills, by their row."""


def own_arguments(home: Path, texts: Path, out: Path, *options: str, module: str) -> list[str]:
    arch = ("--arch", f"{home / module}.py:Net", "--embedding-layer", "embedding")
    rows = ("--device", "cpu", "--samples", "2", "--shard-rows", "4")
    return [
        "explain",
        str(home / "weights.pt"),
        str(texts),
        "--out",
        str(out),
        *arch,
        *rows,
        *options,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("deadly", [{5}, {5, 6}], ids=["one row", "two rows"])
def test_a_row_that_kills_its_process_is_found_and_no_other_is_touched(
    desk: Desk, calm: Path, tmp_path: Path, deadly: set[int]
) -> None:
    texts, out, expected = tmp_path / "t.jsonl", tmp_path / "out", tmp_path / "expected"
    chance = random.Random(1)  # noqa: S311
    words = [word for word in WORDS if word != "late"]
    rows = [" ".join(chance.choices(words, k=chance.randint(1, 8))) for _ in range(12)]
    rows = [DEADLY[n] if n in deadly else row for n, row in enumerate(rows)]
    texts.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    assert desk.warm.run(own_arguments(calm, texts, expected, module="calm")).exit_code == DONE
    for options in ([], ["--resume"]):
        killed = desk.warm.run(own_arguments(calm, texts, out, *options, module="killer"))
        assert (killed.exit_code, killed.stderr) == (9, "")
    outcome = desk.warm.run(own_arguments(calm, texts, out, "--resume", module="killer"))
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    found, sound = (lines_of(folder) for folder in (out, expected))
    assert [n for n in range(12) if found[n] != sound[n]] == sorted(deadly)
    for n in deadly:
        record = json.loads(found[n])
        assert (record["status"], record["ordinal"], record["line"]) == ("quarantined", n, n + 1)
        assert record["reason"].startswith("the process died")
    assert not (out / "work").exists()
    assert not [*out.rglob("*.tmp")]
    before = files(out)
    assert (
        desk.warm.run(own_arguments(calm, texts, out, "--resume", module="killer")).exit_code == 4
    )
    same(files(out), before)


def with_child(desk: Desk, out: Path) -> tuple[Running, Running]:
    """Have two processes dead over the same rows, and return a third with the child that tries."""
    path = out / "work" / "00000.journal"
    running = desk.start(out)
    wait_for(path.exists, running)
    running.kill()
    running.outcome()
    with journal(path) as log:
        for _death in range(2):
            log.write(attempt=None)
            log.watch([0, 1, 2, 3])
    parent = desk.start(out, "--resume")
    wait_for(lambda: children_of(parent.pid, b"spawn_main"), parent)
    return parent, Running(children_of(parent.pid, b"spawn_main")[-1], out, desk.warm)


def test_a_child_does_nothing_once_its_parent_is_dead(desk: Desk, out: Path) -> None:
    parent, child = with_child(desk, out)
    wait_a_while(parent, 0.5)
    parent.kill()
    assert parent.outcome().exit_code == -signal.SIGKILL
    wait_a_while(child, 60)
    assert child.ended
    assert not [*(out / "records").glob("*.jsonl")]
    desk.resumed(out)


@pytest.mark.parametrize("seconds", [0.2, 2.5])
def test_a_terminal_that_stops_parent_and_child_is_told_once(
    desk: Desk, out: Path, seconds: float
) -> None:
    parent, child = with_child(desk, out)
    wait_a_while(child, seconds)
    child.kill(signal.SIGINT)
    time.sleep(0.1)
    parent.kill(signal.SIGINT)
    outcome = parent.outcome()
    assert (outcome.exit_code, outcome.stderr) == (INTERRUPTED, "error: stopped by SIGINT\n")
    assert child.ended


def lines_of(out: Path) -> list[str]:
    parts = sorted((out / "records").iterdir())
    return [line for part in parts for line in part.read_text(encoding="utf-8").splitlines()]
