"""Real models compared: with another seed, with a planted word, with another tokenizer."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from saliency_cli.analysis.word_shares import word_shares
from saliency_cli.analysis.words import words
from saliency_cli.cli.app import app
from tests.support.comparisons import compare
from tests.support.models import save_bert, save_gpt2
from tests.support.paths import SAMPLE

Records = list[dict[str, Any]]


def explained(model: Path, texts: Path, out: Path, *options: str) -> Records:
    """Run `saliency explain`, and return the records."""
    arguments = ["explain", str(model), str(texts), "--out", str(out), "--quiet", *options]
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu", "--dtype", "float32"])
    assert result.exit_code == 0, result.output
    parts = sorted((out / "records").iterdir())
    return [json.loads(line) for part in parts for line in part.read_text("utf-8").splitlines()]


def comparison(folder: Path, *options: str) -> dict[str, Any]:
    """Return what `comparison.json` holds for the runs `before` and `after` of a folder."""
    out = folder / "compared"
    result = compare(folder / "before", folder / "after", "--out", out, "--overwrite", *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads((out / "comparison.json").read_bytes())
    return found


def test_another_seed_moves_nothing_beyond_errors(tmp_path: Path) -> None:
    texts, model = SAMPLE / "texts.jsonl", SAMPLE / "model.pt"
    options = ("--propagation", "standard", "--noise", "0.05", "--samples", "8")
    for name, seed in (("before", "0"), ("after", "1")):
        explained(model, texts, tmp_path / name, *options, "--limit", "80", "--seed", seed)
    found = comparison(tmp_path, "--fail-on", "moved>0", "--fail-on", "flipped>0")
    assert 0 < found["mean_distance"] < 2 * found["expected_distance"]
    assert found["words"] == {"gained": [], "lost": []}
    assert found["new_suspects"] == found["gone_suspects"] == 0
    assert found["verdict"] == [
        "None of 80 predictions changed.",
        "In none of 80 texts did the saliency move beyond its errors.",
    ]


def test_models_with_other_tokenizers_are_compared_by_words(tmp_path: Path) -> None:
    lines = (SAMPLE / "texts.jsonl").read_text(encoding="utf-8").splitlines()[:12]
    rows = [json.loads(line) for line in lines]
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(f"{json.dumps({'text': each['text'][:60]})}\n" for each in rows))
    labels = tmp_path / "labels.txt"
    labels.write_text("ham\nspam\nother\n")
    names = ("ham", "spam", "other")
    target = ("--target", "ham")
    bert = save_bert(tmp_path / "bert", labels=names)
    before = explained(bert, texts, tmp_path / "before", *target)
    gpt2 = save_gpt2(tmp_path / "gpt2")
    after = explained(gpt2, texts, tmp_path / "after", *target, "--labels", str(labels))
    assert [each["tokens"] for each in before] != [each["tokens"] for each in after]
    found = comparison(tmp_path)
    pairs = [*zip(before, after, strict=True)]
    assert found["matched"] == found["compared"] == len(pairs) == 12
    assert found["flipped"] == sum(old["predicted"] != new["predicted"] for old, new in pairs)
    distances = []
    for pair in pairs:
        old, new = (word_shares(words(each)) for each in pair)
        assert {*old} == {*new}  # the same words, whatever the tokens are
        distances.append(sum(abs(old[word] - new[word]) for word in old) / 2)
    assert found["mean_distance"] == pytest.approx(sum(distances) / 12, rel=1e-6)
    shifts = [new["probabilities"][old["predicted"]] - old["probability"] for old, new in pairs]
    assert found["mean_probability_shift"] == pytest.approx(sum(shifts) / 12, rel=1e-6)
    assert found["tokens_changed"] == 12
    assert "the tokenizers divide 12 of 12 texts differently" in found["differences"]
