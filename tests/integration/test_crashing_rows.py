"""Crashing rows, and the child processes that find out which rows crash."""

import json
import random
import signal
from pathlib import Path

import pytest
import torch

from saliency_cli.runs.crash_journal import open_journal
from tests.support.faults import (
    INTERRUPTED,
    QUARANTINED,
    PreparedRun,
    assert_same_files,
    read_files,
    wait_for,
    wait_seconds,
)
from tests.support.models import WORDS, wordpiece
from tests.support.processes import children_of
from tests.support.shell import DONE
from tests.support.warm import Running

MODULE = """
import os
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, input_ids, attention_mask):
        if (input_ids == CRASHING_TOKEN).any():
            os._exit(9)
        mask = attention_mask[..., None]
        hidden = (self.embedding(input_ids) * mask).sum(dim=1) / mask.sum(dim=1)
        return self.head(hidden.tanh())
"""


@pytest.fixture(scope="module")
def models(prepared: PreparedRun) -> Path:
    """A folder with a tokenizer, weights and two user modules for them.

    The module in `killer.py` ends its process on texts with the word "late"; that in `calm.py` does
    not, and computes the same logits.
    """
    home = prepared.home / "user_modules"
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
    token = tokenizer.convert_tokens_to_ids("late")
    code = MODULE.replace("VOCABULARY", str(len(tokenizer)))
    (home / "calm.py").write_text(code.replace("CRASHING_TOKEN", "-1"))
    (home / "killer.py").write_text(code.replace("CRASHING_TOKEN", str(token)))
    return home


CRASHING_TEXTS = {5: "when the prize was late", 6: "late"}
"""Texts with the word that ends the process, by their row."""


def explain_arguments(home: Path, texts: Path, out: Path, *options: str, module: str) -> list[str]:
    """Return the command line that explains `texts` with one of the modules in `home`."""
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
@pytest.mark.parametrize("crashing_rows", [{5}, {5, 6}], ids=["one row", "two rows"])
def test_crashing_rows_are_quarantined_and_other_records_do_not_change(
    prepared: PreparedRun, models: Path, tmp_path: Path, crashing_rows: set[int]
) -> None:
    texts, out, expected = tmp_path / "t.jsonl", tmp_path / "out", tmp_path / "expected"
    chance = random.Random(1)  # noqa: S311
    words = [word for word in WORDS if word != "late"]
    rows = [" ".join(chance.choices(words, k=chance.randint(1, 8))) for _ in range(12)]
    rows = [CRASHING_TEXTS[n] if n in crashing_rows else row for n, row in enumerate(rows)]
    texts.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    assert (
        prepared.warm.run(explain_arguments(models, texts, expected, module="calm")).exit_code
        == DONE
    )
    for options in ([], ["--resume"]):
        killed = prepared.warm.run(explain_arguments(models, texts, out, *options, module="killer"))
        assert (killed.exit_code, killed.stderr) == (9, "")
    outcome = prepared.warm.run(explain_arguments(models, texts, out, "--resume", module="killer"))
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    actual_lines, expected_lines = (record_lines(folder) for folder in (out, expected))
    changed = [n for n in range(12) if actual_lines[n] != expected_lines[n]]
    assert changed == sorted(crashing_rows)
    for n in crashing_rows:
        record = json.loads(actual_lines[n])
        assert (record["status"], record["ordinal"], record["line"]) == ("quarantined", n, n + 1)
        assert record["reason"].startswith("the process died")
    assert not (out / "work").exists()
    assert not [*out.rglob("*.tmp")]
    before = read_files(out)
    again = prepared.warm.run(explain_arguments(models, texts, out, "--resume", module="killer"))
    assert again.exit_code == QUARANTINED
    assert_same_files(read_files(out), before)


def parent_and_child(prepared: PreparedRun, out: Path) -> tuple[Running, Running]:
    """Return a run that resumes after two crashes over the same rows, and its worker.

    The worker is paused with SIGSTOP.
    """
    path = out / "work" / "00000.journal"
    running = prepared.start(out)
    wait_for(path.exists, running)
    running.kill()
    running.outcome()
    with open_journal(path) as journal:
        for _crash in range(2):
            journal.write(attempt=None)
            journal.record_in_flight([0, 1, 2, 3])
    parent = prepared.start(out, "--resume")
    wait_for(lambda: [*map(children_of, children_of(parent.pid))] not in ([], [[]]), parent)
    (worker,) = children_of(children_of(parent.pid)[0])
    child = Running(worker, out, prepared.warm)
    child.kill(signal.SIGSTOP)
    return parent, child


def test_a_child_commits_nothing_after_its_parent_was_killed(
    prepared: PreparedRun, out: Path
) -> None:
    parent, child = parent_and_child(prepared, out)
    parent.kill()
    assert parent.outcome().exit_code == -signal.SIGKILL
    child.kill(signal.SIGCONT)
    wait_seconds(child, 60)
    assert child.ended
    assert not [*(out / "records").glob("*.jsonl")]
    prepared.check_resume(out)


def test_an_interrupt_of_parent_and_child_is_reported_once(
    prepared: PreparedRun, out: Path
) -> None:
    parent, child = parent_and_child(prepared, out)
    for process in (child, parent):
        process.kill(signal.SIGINT)
    child.kill(signal.SIGCONT)
    outcome = parent.outcome()
    assert (outcome.exit_code, outcome.stderr) == (INTERRUPTED, "error: stopped by SIGINT\n")
    assert child.ended


def record_lines(out: Path) -> list[str]:
    parts = sorted((out / "records").iterdir())
    return [line for part in parts for line in part.read_text(encoding="utf-8").splitlines()]
