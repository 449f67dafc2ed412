"""Records and finished runs built without a model, so that pages are the same on every machine."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saliency_cli.attribution.maths import Maths, choose_reduction
from saliency_cli.records import SCHEMA, Record
from saliency_cli.report import render
from saliency_cli.runs.manifest import method_fields
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.summary import summarise
from saliency_cli.settings import PageChoice

HOSTILE = "</script><img src=x onerror=alert(1)>"
HOSTILE_LABEL = "<b>x</b>"


def record(ordinal: int, text: str, **changes: Any) -> Record:  # noqa: ANN401
    """Return the record of an explained text whose tokens are its words.

    Args:
        ordinal: Number of the row.
        text: The text; its n-th word has n times the score of `[CLS]`.
        changes: Values of other fields, by name.
    """
    words = text.split()
    ends = [text.index(word) + len(word) for word in words]
    offsets = [[end - len(word), end] for word, end in zip(words, ends, strict=True)]
    total = sum(range(1, len(words) + 1)) + 1
    scores = [round((rank + 1) / total, 6) for rank in range(len(words))]
    return {
        "schema": SCHEMA,
        "status": "ok",
        "ordinal": ordinal,
        "id": f"id-{ordinal}",
        "text": text,
        "pair": None,
        "predicted": "spam",
        "probability": 0.875,
        "probabilities": {"ham": 0.125, "spam": 0.875},
        "target": changes.get("predicted", "spam"),
        "gold": None,
        "tokens": ["[CLS]", *words],
        "offsets": [[0, 0], *offsets],
        "special": [True, *(False for _ in words)],
        "scores": [round(1 / total, 6), *scores],
        "errors": [0.001, *(round(score / 50, 6) for score in scores)],
        "special_share": round(1 / total, 6),
        "samples": 4,
        "flip_rate": 0.0,
        "evaluations": 12,
        "truncated": False,
        "windows": 1,
        **changes,
    }


def bad_record(ordinal: int) -> Record:
    """Return the record of a quarantined row."""
    return {
        "schema": SCHEMA,
        "status": "quarantined",
        "ordinal": ordinal,
        "id": None,
        "line": ordinal + 1,
        "reason": "text is missing",
        "excerpt": '{"txt": "<i>4</i>"}',
    }


def manifest(records: list[Record], **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the manifest of a finished run with these records and options."""
    summary = summarise(records, labels=("ham", "spam"))
    return {
        "schema": SCHEMA,
        "versions": {"saliency": "0", "torch": "0"},
        "model": {"name": "model.pt", "labels": ["ham", "spam"], "max_length": 64},
        "method": method_fields(Maths(reduction=options.get("reduction", "l2"))),
        "input": {"name": "texts.jsonl"},
        "options": {
            "html_rows": 5000,
            "noise": 0.01,
            "reduction": "l2",
            "single_file": False,
            "title": None,
            **options,
        },
        "seed": 0,
        "device": "cpu",
        "dtype": "float32",
        "attention": "sdpa",
        "matmul_backend": "torch",
        "dtype_error": 0.0,
        "batch_tokens": 1024,
        "hashes": {"input": "0" * 64, "model": {"model.pt": "1" * 64}, "tokenizer": {}},
        "counts": {name: getattr(summary, name) for name in summary.__slots__},
    }


def write_run(path: Path, records: list[Record], **changes: Any) -> Path:  # noqa: ANN401
    """Write a finished run and its pages, and return its folder.

    Args:
        path: The folder; an earlier run in it is replaced.
        records: The records, in input order.
        changes: Fields of `PageChoice`, `reduction`, `method` (with its parameters), or entries of
            the manifest, by name.
    """
    page_options = {key: changes.pop(key) for key in PageChoice.__slots__ if key in changes}
    manifest_options = {k: value for k, value in page_options.items() if k != "template_dir"}
    options = {"reduction": changes.pop("reduction", "l2"), **manifest_options}
    if "method" in changes:
        method = changes["method"]
        reduction = options["reduction"] = choose_reduction(method, None)
        changes["method"] = method_fields(Maths(method, reduction))
    folder = RunFolder(path)
    folder.clear()
    with folder.record_writer() as writer:
        for each in records:
            writer.write(each)
    folder.write_manifest({**manifest(records, **options), **changes})
    render(folder, PageChoice(**page_options))
    return path


def varied() -> list[Record]:
    """Return one record of each kind that a page can show."""
    return [
        record(0, "free call now", gold="spam"),
        record(1, "home is where the heart is", predicted="ham", probability=0.53, gold="spam"),
        record(2, HOSTILE, predicted=HOSTILE_LABEL, id=HOSTILE, gold="<u>y</u>"),
        bad_record(3),
        record(4, "won a prize and then was cut off", truncated=True, flip_rate=0.25)
        | cut_after(3, "won a prize and then was cut off"),
        record(5, "no errors here", errors=None, id=None, samples=1),
        pair_record(7),
        record(8, "two of three labels", gold="spam") | others(8, "two of three labels"),
        record(9, "as a number", predicted=None, probability=None, probabilities={}, value=-2.125)
        | {"target": "stars", "gold": "3", "windows": 3},
        record(6, "a line\nand a tab\there, \u202etricky\x07", gold="ham"),
    ]


def led(ordinal: int, text: str, word: str, **changes: Any) -> Record:  # noqa: ANN401
    """Return the record of a text in which `word`, which occurs once, has half of the saliency."""
    tokens = text.split()
    rest = 0.5 / len(tokens)
    scores = [rest, *(0.5 if token == word else rest for token in tokens)]
    scores = [score / sum(scores) for score in scores]
    return record(ordinal, text, scores=scores, **changes)


def planted(rows: int = 100) -> Iterator[Record]:
    """Yield records with a planted shortcut.

    In the first 40 the word "zap" has the highest score, and the prediction is "spam". The
    others do not contain it; their highest word and their prediction vary. A word that each text
    has alone keeps them from being near-duplicates.
    """
    words = "all of these words are in each text".split()
    for ordinal in range(rows):
        text = " ".join([*words, f"t{ordinal}"])
        if ordinal < 40:
            yield led(ordinal, f"{text} zap", "zap", predicted="spam")
        else:
            word = words[ordinal % len(words)]
            yield led(ordinal, text, word, predicted=("ham", "spam")[ordinal // 8 % 2])


def pair_record(ordinal: int) -> Record:
    """Return the record of a pair of texts, with the special tokens around both."""
    return record(ordinal, "x") | {
        "text": "a man eats",
        "pair": "a <i>man</i> sleeps",
        "tokens": ["[CLS]", "a", "man", "eats", "[SEP]", "a", "man", "sleeps", "[SEP]"],
        "offsets": [[0, 0], [0, 1], [2, 5], [6, 10], [0, 0], [0, 1], [5, 8], [13, 19], [0, 0]],
        "special": [True, False, False, False, True, False, False, False, True],
        "segments": [0, 0, 0, 0, 0, 1, 1, 1, 1],
        "scores": [0.05, 0.05, 0.05, 0.25, 0.05, 0.05, 0.05, 0.4, 0.05],
        "errors": [0.001] * 9,
    }


def others(ordinal: int, text: str) -> Record:
    """Return the field `others` for `record(ordinal, text)`, with one more target."""
    names = ("scores", "errors", "samples", "evaluations", "special_share")
    other = {name: record(ordinal, text)[name] for name in names}
    return {
        "others": [
            {**other, "scores": other["scores"][::-1], "target": "ham - <i>x</i>", "flip_rate": 0.5}
        ]
    }


def cut_after(words: int, text: str) -> Record:
    """Return the fields with one item per token of `record(0, text)`, for its first words."""
    whole = record(0, text)
    names = ("tokens", "offsets", "special", "scores", "errors")
    return {name: whole[name][: words + 1] for name in names}


def read_records(folder: Path) -> list[Record]:
    """Read all records of a run."""
    return [json.loads(line) for line in RunFolder(folder).records()]
