"""Shortcuts that are planted in a model: found first, and what their check says is what it does."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.records import Record
from saliency_cli.runs.run_folder import RunFolder
from tests.support.runs import read_records
from tests.support.shell import DONE, USAGE
from tests.support.shortcuts import FILLER, PAIR, WORD, Shortcuts, write_shortcuts

MOST = 50


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def explain(model: Shortcuts, out: Path, *options: object) -> str:
    result = run(*model.arguments, "--out", out, *options)
    assert result.exit_code == DONE, result.output
    return result.output


def suspects(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "suspects.json").read_bytes())
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Shortcuts:
    return write_shortcuts(tmp_path_factory.mktemp("shortcuts"))


@pytest.fixture(scope="module")
def finished(model: Shortcuts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests must not change it."""
    out = tmp_path_factory.mktemp("finished") / "out"
    explain(model, out)
    return out


def sampled(texts: Sequence[str]) -> list[str]:
    """Return evenly spaced texts, of fewer than twice as many as are checked."""
    assert len(texts) <= 2 * MOST
    if len(texts) <= MOST:
        return [*texts]
    return [texts[place * len(texts) // MOST] for place in range(MOST)]


class Direct:
    """Predictions by the model's weights, one text at a time."""

    def __init__(self, model: Shortcuts) -> None:
        vocabulary = json.loads((model.home / "tokenizer.json").read_bytes())["model"]["vocab"]
        weights = torch.load(model.home / "model.pt", weights_only=True)["embedding.weight"]
        self._weights = {word: weights[number].tolist() for word, number in vocabulary.items()}

    def is_spam(self, words: Sequence[str]) -> bool:
        columns = zip(*(self._weights[word] for word in words), strict=True)
        spam, together = map(sum, columns)
        return bool(spam + 12 * max(together - 1.5, 0) > 1)

    def removed(self, texts: Sequence[str], words: Sequence[str]) -> dict[str, int]:
        left = [[each if each not in words else "[MASK]" for each in t.split()] for t in texts]
        return {"texts": len(left), "flipped": sum(not self.is_spam(each) for each in left)}

    def inserted(self, texts: Sequence[str], words: Sequence[str]) -> dict[str, int]:
        flipped = sum(self.is_spam([*text.split(), *words]) for text in texts)
        return {"texts": len(texts), "flipped": flipped}


def texts_of(records: list[Record], label: str, *, has: Sequence[str] = ()) -> list[str]:
    """Return the texts of a predicted label that have some words."""
    found = (each["text"] for each in records if each["predicted"] == label)
    return [text for text in found if {*has} <= {*text.split()}]


def test_a_word_and_a_pair_that_decide_are_found_and_checked_right(
    model: Shortcuts, finished: Path
) -> None:
    records, direct, (word, pair) = read_records(finished), Direct(model), suspects(finished)
    assert (word["word"], word["label"], word["confirmed"]) == (WORD, "spam", True)
    assert (pair["words"], pair["label"], pair["confirmed"]) == ([*PAIR], "spam", True)
    ham = texts_of(records, "ham")
    without_pair = sampled([text for text in ham if not {*PAIR} & {*text.split()}])
    for entry, others in ((word, sampled(ham)), (pair, without_pair)):
        words, control = entry["words"], entry["control"].pop("words")
        entry["control"].pop("word")
        assert entry["removed"] == direct.removed(
            sampled(texts_of(records, "spam", has=words)), words
        )
        assert entry["inserted"] == direct.inserted(others, words)
        assert entry["control"] == direct.inserted(others, control)
        assert {*control} <= {*FILLER}
    assert pair["alone"] == [direct.inserted(without_pair, [each]) for each in PAIR]
    assert word["removed"]["flipped"] > 40
    assert word["inserted"]["flipped"] == 50 > word["control"]["flipped"]


def test_the_terminal_and_the_page_say_what_was_found(finished: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished, tmp_path / "copy")
    before = (copy / "index.html").read_bytes()
    result = run("report", copy)  # which has no model
    assert (copy / "index.html").read_bytes() == before
    word = suspects(copy)[0]
    control = word["control"]
    told = (
        f"without it the label changes in {word['removed']['flipped']} of 50 texts; put into 50 "
        f"other texts it turned 50 to spam (control word {control['word']}: {control['flipped']})"
    )
    assert told in " ".join(result.output.split())
    exported = run("export", copy, "--format", "github-summary").stdout.replace("\\", "")
    assert f"| {WORD} | spam | {told} |" in exported
    assert "of 50</b> texts; put into 50 other texts it turned <b>50</b>" in before.decode()
    assert b"<bdi>north</bdi> + <bdi>south</bdi>" in before


@pytest.mark.parametrize(
    "options", [["--workers", 2], ["--batch-tokens", 40], ["--html-rows", 0, "--title", "x"]]
)
def test_workers_and_batches_change_nothing(
    model: Shortcuts, finished: Path, out: Path, options: list[object]
) -> None:
    explain(model, out, *options)
    assert (out / "suspects.json").read_bytes() == (finished / "suspects.json").read_bytes()


def test_the_last_of_several_parts_checks_the_suspects(
    model: Shortcuts, finished: Path, out: Path
) -> None:
    explain(model, out, "--shard", "1/2")
    assert not (out / "suspects.json").exists()
    explain(model, out, "--shard", "2/2")
    assert run("report", out).exit_code == DONE
    assert [*files(out)] == [*files(finished)]


def test_a_run_that_was_killed_in_the_check_is_resumed(
    model: Shortcuts, finished: Path, out: Path
) -> None:
    explain(model, out, "--shard", "1/1")
    written = (out / "suspects.json").read_bytes()
    (out / "suspects.json").unlink()
    (out / "suspects.json.tmp").write_bytes(written[:100])
    explain(model, out, "--resume")
    assert [*files(out)] == [*files(finished)]


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def test_without_the_check_there_is_no_file_and_the_page_says_so(
    model: Shortcuts, finished: Path, out: Path
) -> None:
    output = explain(model, out, "--no-check-suspects")
    assert not (out / "suspects.json").exists()
    assert "the label changes in" not in output
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "was not checked (<code>--no-check-suspects</code>)" in page
    assert "onfirmed" not in page
    assert RunFolder(out).read_manifest()["options"]["check_suspects"] is False
    explain(model, out, "--resume")  # a finished run, whose suspects are checked now
    assert [*files(out)] == [*files(finished)]


@pytest.mark.parametrize(
    "damage",
    [
        b"[",
        b"{}",
        b"[1]",
        b'[{"alone": [], "words": ["a"], "label": "b"}]',
        b'[\n  {\n    "alone": [{"texts": 1, "flipped": 2}]}]',
        b"\xff",
    ],
)
def test_a_damaged_file_is_refused(finished: Path, out: Path, damage: bytes) -> None:
    shutil.copytree(finished, out)
    (out / "suspects.json").write_bytes(damage)
    page = (out / "index.html").read_bytes()
    result = run("report", out)
    assert result.exit_code == USAGE
    assert "suspects.json is damaged" in " ".join(result.output.split())
    assert (out / "index.html").read_bytes() == page
