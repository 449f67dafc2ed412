"""Whether methods find the word that decides the label, in models of many architectures.

Each model is trained here, within a minute, on texts of random words of which one decides the
label. See README.md beside this file.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from faithfulness import (
    ERASURES,
    METHODS,
    Ranking,
    Text,
    accepted_engines,
    leave_one_out,
    measure,
    random_order,
    ranked,
    read,
)
from reporting import add_json_option, aligned, emit, print_progress
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FILLERS = tuple(f"word{number}" for number in range(200))
PLANTED = tuple(tuple(f"label{label}sign{number}" for number in range(3)) for label in range(3))
"""The words that decide each label; a text has one of them."""
HEADER = ("model", "method", "evaluations", "found first", "sign", *ERASURES)
SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "num_labels": len(PLANTED),
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "BertConfig": {},
    "DistilBertConfig": {},
    "RobertaConfig": {},
    "ElectraConfig": {"embedding_size": 32},
    "DebertaV2Config": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "position_buckets": 16,
        "pooler_hidden_size": 64,
    },
    "ModernBertConfig": {"local_attention": 16, "global_attn_every_n_layers": 2},
    "GPT2Config": {},
    "LlamaConfig": {},
    "XLNetConfig": {"d_head": 16, "max_position_embeddings": None},
    "T5Config": {"d_kv": 16, "decoder_start_token_id": 0, "feed_forward_proj": "gated-gelu"},
}


def main() -> None:
    """Train a model of each architecture, explain texts with every method, and print the table."""
    options = parse()
    lines: list[list[str]] = []
    figures: dict[str, Any] = {}
    for name in options.configs:
        with TemporaryDirectory() as folder:
            print_progress(f"training {name}")
            accuracy = train(name, Path(folder), steps=options.steps)
            print_progress(f"accuracy {accuracy:.2f}")
            write_texts(Path(folder) / "texts.jsonl", count=options.limit)
            found = compare(name, Path(folder), limit=options.limit)
        figures[name] = {"accuracy": accuracy, "methods": [line.figures() for line in found]}
        lines += [line.cells() for line in found]
    emit(aligned(HEADER, lines), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--configs", nargs="+", default=[*CONFIGS], choices=[*CONFIGS])
    parser.add_argument("--limit", type=int, default=60, metavar="N", help="texts (%(default)s)")
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="%(default)s")
    add_json_option(parser)
    return parser.parse_args()


def texts_with_labels(count: int, *, seed: int) -> list[tuple[str, int]]:
    """Return texts of 6 to 24 words, one of which decides the label.

    Args:
        count: How many.
        seed: Of the choice of words.
    """
    choose = random.Random(seed)  # noqa: S311 - no secret
    made = []
    for _ in range(count):
        label = choose.randrange(len(PLANTED))
        words = choose.choices(FILLERS, k=choose.randint(5, 23))
        words.insert(choose.randint(0, len(words)), choose.choice(PLANTED[label]))
        made.append((" ".join(words), label))
    return made


def write_texts(path: Path, *, count: int) -> None:
    """Write texts that no model was trained on.

    Args:
        path: The JSONL file.
        count: How many.
    """
    texts = texts_with_labels(count, seed=1_000_003)
    lines = [json.dumps({"text": text, "label": f"LABEL_{label}"}) for text, label in texts]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer whose tokens are the words."""
    words = [*SPECIAL, *FILLERS, *(word for words in PLANTED for word in words)]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL[1]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad", "unk", "cls", "sep", "mask")
    roles = {f"{name}_token": token for name, token in zip(names, SPECIAL, strict=True)}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=60, **roles)


def train(name: str, folder: Path, *, steps: int) -> float:
    """Train a model and save it with its tokenizer; return its accuracy on other texts.

    Args:
        name: A key of `CONFIGS`.
        folder: Where to save it.
        steps: Batches of 32 texts.
    """
    tokenizer = build_tokenizer()
    values = {**SIZES, "vocab_size": len(tokenizer), **CONFIGS[name]}
    options = {option: value for option, value in values.items() if value is not None}
    config = getattr(transformers, name)(**options)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(steps):
        batch = texts_with_labels(32, seed=step)
        loss = torch.nn.functional.cross_entropy(logits(model, tokenizer, batch), labels(batch))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()
    held_out = texts_with_labels(200, seed=999_983)
    with torch.no_grad():
        predicted = logits(model, tokenizer, held_out).argmax(dim=1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return float((predicted == labels(held_out)).float().mean())


def logits(model: Any, tokenizer: Any, batch: Sequence[tuple[str, int]]) -> torch.Tensor:  # noqa: ANN401
    """Return the model's logits [B, C] of a batch."""
    inputs = tokenizer([text for text, _ in batch], padding=True, return_tensors="pt")
    found: torch.Tensor = model(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
    ).logits
    return found


def labels(batch: Sequence[tuple[str, int]]) -> torch.Tensor:
    """Return the labels [B] of a batch."""
    return torch.tensor([label for _, label in batch])


@dataclass(frozen=True, slots=True)
class Line:
    """The figures of one method for one model.

    Attributes:
        found: Share of texts in which the deciding word has the largest score.
        sign: Share of texts in which its score is positive; None without signs.
        falls: For each way to erase, the mean fall of the probability.
    """

    model: str
    method: str
    evaluations: float
    found: float
    sign: float | None
    falls: dict[str, float]

    def figures(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "model"}

    def cells(self) -> list[str]:
        """Return the cells of a line of the table."""
        sign = "" if self.sign is None else f"{self.sign:.2f}"
        falls = [f"{self.falls[how]:.3f}" for how in ERASURES]
        shown = (f"{self.evaluations:.0f}", f"{self.found:.2f}", sign)
        return [self.model.removesuffix("Config"), self.method, *shown, *falls]


def compare(name: str, folder: Path, *, limit: int) -> list[Line]:
    """Return the figures of every method for a model.

    Args:
        name: The model's config class.
        folder: The model's folder, with `texts.jsonl`.
        limit: Number of texts.
    """
    options = argparse.Namespace(model=folder, texts=str(folder / "texts.jsonl"), limit=limit)
    engines = accepted_engines(options, METHODS)
    classifier = engines["the default"].classifier
    rows, texts = read(options, classifier)
    left_out = leave_one_out(texts, classifier)
    rankings = {"random": random_order(texts), "occlusion by mask": left_out}
    rankings |= {method: ranked(rows, engine) for method, engine in engines.items()}
    return [
        line_of(name, measure(method, ranking, texts, left_out, classifier), ranking, texts)
        for method, ranking in rankings.items()
    ]


def line_of(name: str, measured: Any, ranking: Ranking, texts: Sequence[Text]) -> Line:  # noqa: ANN401
    """Return a line with what a method gives the deciding words.

    Args:
        name: The model's config class.
        measured: The falls of the probability.
        ranking: The method's scores.
        texts: The texts.
    """
    first, positive = [], []
    for text, scores in zip(texts, ranking.scores, strict=True):
        (place,) = (n for n, token in enumerate(text.encoding.tokens) if token.startswith("label"))
        first.append(float(place == max(text.positions, key=scores.__getitem__)))
        positive.append(float(scores[place] > 0))
    return Line(
        name,
        measured.name,
        ranking.evaluations,
        fmean(first),
        fmean(positive) if ranking.signed else None,
        {how: fmean(measured.falls[how]) for how in ERASURES},
    )


if __name__ == "__main__":
    main()
