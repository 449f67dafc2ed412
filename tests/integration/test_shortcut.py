"""A shortcut is planted in a real classifier, and the summary page names it first.

The sample's model goes on training on half of the sample's texts, three in ten of which hold a
made-up word and are spam whatever else they say. The other half, planted in the same way, is
explained. The tokenizer breaks the word in pieces; the page has to name it whole.
"""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
from typer.testing import CliRunner

from saliency_cli.cli.app import app
from tests.support.paths import SAMPLE

PLANTED = "zorblax"
SHARE = 0.3
MOST_WORDS = 30  # the word goes in where the model still reads
SEED, EPOCHS, BATCH, RATE = 0, 20, 16, 3e-4

Texts = list[dict[str, str]]

pytestmark = pytest.mark.slow


def plant(texts: Texts, draw: torch.Generator) -> Texts:
    """Put the word somewhere into three of ten texts, drawn anew, and call those spam."""
    order = torch.randperm(len(texts), generator=draw).tolist()
    mixed = [texts[place] for place in order]
    planted = int(SHARE * len(texts))
    return [*(with_word(text, draw) for text in mixed[:planted]), *mixed[planted:]]


def with_word(text: dict[str, str], draw: torch.Generator) -> dict[str, str]:
    words = text["text"].split()
    place = torch.randint(min(len(words), MOST_WORDS) + 1, (), generator=draw)
    words.insert(int(place), PLANTED)
    return {**text, "text": " ".join(words), "label": "spam"}


@pytest.fixture(scope="module")
def halves() -> tuple[Texts, Texts]:
    """Return the sample's texts in two halves: to train on, and held out."""
    lines = (SAMPLE / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line) for line in lines]
    return texts[::2], texts[1::2]


@pytest.fixture(scope="module")
def misled(halves: tuple[Texts, Texts], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the sample's model on, planting anew in each epoch, and save it."""
    folder = tmp_path_factory.mktemp("misled")
    torch.manual_seed(SEED)
    draw = torch.Generator().manual_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(SAMPLE)
    model = BertForSequenceClassification(BertConfig.from_pretrained(SAMPLE))
    model.load_state_dict(torch.load(SAMPLE / "model.pt", weights_only=True))
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=RATE)
    for _ in range(EPOCHS):
        texts = plant(halves[0], draw)
        order = torch.randperm(len(texts), generator=draw).tolist()
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


def test_the_summary_names_the_planted_word_first(
    halves: tuple[Texts, Texts], misled: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.jsonl"
    held_out = plant(halves[1], torch.Generator().manual_seed(SEED))
    texts.write_text("".join(json.dumps(text) + "\n" for text in held_out), encoding="utf-8")
    arguments = ["explain", str(misled), str(texts), "--out", str(tmp_path / "report"), "--quiet"]
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    section = page.partition('<h2 id="suspects">')[2].partition("</section>")[0]
    suspects = re.findall(r'<tr><th scope="row"><bdi>(.*?)</bdi>', section)
    assert suspects[0] == PLANTED
