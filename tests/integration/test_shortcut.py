"""A word is planted as a shortcut in a real classifier, and the page lists it as first suspect.

The sample's model is trained further on half of the sample's texts. In three of ten of them, a
made-up word is inserted and the label is set to spam. The other half, changed in the same way, is
explained. The tokenizer splits the word into several tokens; the page must show the whole word.
"""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
from typer.testing import CliRunner

from saliency_cli.cli.app import app
from tests.support.comparisons import compare
from tests.support.paths import SAMPLE

PLANTED = "zorblax"
SHARE = 0.3
MOST_WORDS = 30  # the word is inserted before the model's maximum length
SEED, EPOCHS, BATCH, RATE = 0, 20, 16, 3e-4

Texts = list[dict[str, str]]

pytestmark = pytest.mark.slow


def plant(texts: Texts, generator: torch.Generator) -> Texts:
    """Insert the word into three of ten texts, chosen at random, and label these texts spam."""
    order = torch.randperm(len(texts), generator=generator).tolist()
    mixed = [texts[place] for place in order]
    planted = int(SHARE * len(texts))
    return [*(with_word(text, generator) for text in mixed[:planted]), *mixed[planted:]]


def with_word(text: dict[str, str], generator: torch.Generator) -> dict[str, str]:
    """Return a text with the word inserted at a random place, labelled spam."""
    words = text["text"].split()
    place = torch.randint(min(len(words), MOST_WORDS) + 1, (), generator=generator)
    words.insert(int(place), PLANTED)
    return {**text, "text": " ".join(words), "label": "spam"}


@pytest.fixture(scope="module")
def halves() -> tuple[Texts, Texts]:
    """Return the sample's texts in two halves, for training and for the test."""
    lines = (SAMPLE / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line) for line in lines]
    return texts[::2], texts[1::2]


@pytest.fixture(scope="module")
def misled(halves: tuple[Texts, Texts], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the sample's model further, with newly chosen planted texts in each epoch; save it."""
    folder = tmp_path_factory.mktemp("misled")
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(SAMPLE)
    model = BertForSequenceClassification(BertConfig.from_pretrained(SAMPLE))
    model.load_state_dict(torch.load(SAMPLE / "model.pt", weights_only=True))
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=RATE)
    for _ in range(EPOCHS):
        texts = plant(halves[0], generator)
        order = torch.randperm(len(texts), generator=generator).tolist()
        for first in range(0, len(texts), BATCH):
            chosen = [texts[place] for place in order[first : first + BATCH]]
            batch = tokenizer(
                [text["text"] for text in chosen],
                padding=True,
                truncation=True,
                return_tensors="pt",
            )
            gold = torch.tensor([model.config.label2id[text["label"]] for text in chosen])
            optimizer.zero_grad()
            model(**batch, labels=gold).loss.backward()
            optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def explained(model: Path, folder: Path, *options: str) -> Path:
    """Explain the texts of a folder with a model, and return the folder of the run."""
    out = folder / model.stem
    arguments = ["explain", str(model), str(folder / "texts.jsonl"), "--out", str(out), "--quiet"]
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu", *options])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def planted(
    halves: tuple[Texts, Texts], misled: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the run of the misled model over texts of the other half, a third of them planted."""
    folder = tmp_path_factory.mktemp("planted")
    held_out = plant(halves[1], torch.Generator().manual_seed(SEED))
    lines = "".join(json.dumps(text) + "\n" for text in held_out)
    (folder / "texts.jsonl").write_text(lines, encoding="utf-8")
    return explained(misled, folder)


def test_the_planted_word_is_the_first_suspect(planted: Path) -> None:
    page = (planted / "index.html").read_text(encoding="utf-8")
    section = page.partition('<h2 id="suspects">')[2].partition("</section>")[0]
    suspects = re.findall(r'<tr><th scope="row"><bdi>(.*?)</bdi>', section)
    assert suspects[0] == PLANTED
    (check, *_) = json.loads((planted / "suspects.json").read_bytes())
    assert (check["word"], check["label"], check["confirmed"]) == (PLANTED, "spam", True)
    assert check["inserted"]["flipped"] > 10 * max(check["control"]["flipped"], 1)


def test_a_comparison_with_the_model_before_names_the_planted_word(
    planted: Path, tmp_path: Path
) -> None:
    before = explained(SAMPLE / "model.pt", planted.parent)
    gate = ("--fail-on", "new_confirmed_suspects>0", "--quiet")
    failed = compare(before, planted, "--out", tmp_path / "out", *gate)
    assert failed.exit_code == 1, failed.output
    found = json.loads((tmp_path / "out" / "comparison.json").read_bytes())
    assert (found["new_suspects"], found["new_confirmed_suspects"]) == (1, 1)
    assert [each["word"] for each in found["suspects"]["new"]] == [PLANTED]
    assert found["words"]["gained"][0]["word"] == PLANTED
    records = [
        [*map(json.loads, (run / "records" / "part-00000.jsonl").read_text("utf-8").splitlines())]
        for run in (before, planted)
    ]
    pairs = [*zip(*records, strict=True)]
    right = [tuple(each["predicted"] == each["gold"] for each in pair) for pair in pairs]
    assert found["broken"] == right.count((True, False))
    assert found["fixed"] == right.count((False, True)) > 20
    assert found["accuracy_after"] == pytest.approx(sum(new for _, new in right) / len(right))
