"""A small run in memory, which the user's templates are tried on."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from saliency_cli.analysis.findings import (
    Findings,
    collect_findings,
    with_checks,
    word_findings,
)
from saliency_cli.analysis.word_pairs import PairSuspect
from saliency_cli.gates import GateResult
from saliency_cli.records import SCHEMA, BadRow, Record
from saliency_cli.runs.summary import summarise

LABELS = ("ham", "spam")
_WORDS = ("home", "is", "where", "the", "heart", "free")
_REPEATS = 30
"""Rows that one word leads, and as many others: enough for the findings to have a suspect."""


def example_lines() -> list[str]:
    """Return the lines of its records: each kind of row, finding and mark that a page can show."""
    first = [_explained(each, leads=5, predicted="spam", gold="spam") for each in range(_REPEATS)]
    others = [_explained(_REPEATS + each, leads=each % 5) for each in range(_REPEATS)]
    last = [change(2 * _REPEATS + each) for each, change in enumerate(_CHANGES)]
    return [json.dumps(record) for record in (*first, *others, *last)]


def example_findings(lines: list[str], counts: Mapping[str, Any]) -> Findings:
    """Return its findings: a suspect that was checked, and a pair of words that was not.

    Args:
        lines: the lines of its records.
        counts: its summary.
    """
    findings = with_checks(collect_findings(lines, labels=LABELS, counts=counts), [_CHECK])
    pair = PairSuspect(("heart", "home"), "ham", 30, 4.5, 0.95, 0.5, (0, 1), evidence=20.0)
    return {**findings, "words": replace(word_findings(findings), pairs=(pair,))}


def example_manifest(lines: list[str], *, signed: bool) -> dict[str, Any]:
    """Return its manifest, with the keys that each run's manifest has.

    Args:
        lines: the lines of its records.
        signed: whether scores have signs.
    """
    summary = summarise(map(json.loads, lines), labels=LABELS)
    return {
        **_SETTINGS,
        "method": {**_METHOD, "is_signed": signed},
        "options": dict(_OPTIONS),
        "planned": len(lines),
        "counts": {name: getattr(summary, name) for name in summary.__slots__},
        "gates": _gates(),
    }


def _gates() -> list[dict[str, Any]]:
    """Return the results of gates that ended in each possible way."""
    sentence = "accuracy is 95.8 %, and must not be below 96 %"
    whole = GateResult(
        gate="accuracy<0.96",
        level="error",
        value=0.958,
        bound=0.96,
        baseline=None,
        is_share=True,
        outcome="failed",
        sentence=sentence,
    )
    unmeasured = replace(whole, value=None, bound=None, outcome="not measured")
    warned = replace(whole, level="warn", outcome="warned")
    results = (whole, unmeasured, warned, replace(whole, value=0.97, outcome="passed"))
    return [each.as_json() for each in results]


def _explained(ordinal: int, *, leads: int = 0, **changes: Any) -> Record:  # noqa: ANN401
    """Return the record of a text of seven words, of which the one at `leads` has most saliency.

    The last word is in no other text, so that the texts are no near-duplicates.
    """
    words = (*(_WORDS if leads == len(_WORDS) - 1 else _WORDS[:-1]), f"t{ordinal}")
    text, ends = " ".join(words), [len(" ".join(words[: at + 1])) for at in range(len(words))]
    share = 0.5 / len(words)
    scores = [share, *(0.5 if at == leads else share for at in range(len(words)))]
    label = "ham" if ordinal % 3 else "spam"
    return {
        "schema": SCHEMA,
        "status": "ok",
        "ordinal": ordinal,
        "id": str(ordinal),
        "text": text,
        "pair": None,
        "gold": "ham",
        "tokens": ["[CLS]", *words],
        "offsets": [[0, 0], *([end - len(w), end] for w, end in zip(words, ends, strict=True))],
        "special": [True, *(False for _ in words)],
        "truncated": False,
        "windows": 1,
        "predicted": label,
        "probability": 0.95,
        "probabilities": {name: 0.95 if name == label else 0.05 for name in LABELS},
        "target": label,
        "scores": scores,
        "errors": [0.1] * len(scores),
        "special_share": share,
        "samples": 16,
        "flip_rate": 0.0,
        "evaluations": 48,
        **changes,
    }


def _pair_with_two_targets(ordinal: int) -> Record:
    record = _explained(ordinal, pair="home free", windows=2)
    names = ("scores", "errors", "special_share", "samples", "flip_rate", "evaluations")
    other = {name: record[name] for name in names} | {"target": "spam", "flip_rate": 0.5}
    return record | {"segments": [0] * 7, "others": [other]}


def _cut_off(ordinal: int) -> Record:
    record = _explained(ordinal, special_share=0.75, flip_rate=0.5, truncated=True, gold="eggs")
    names = ("tokens", "offsets", "special", "scores", "errors")
    return record | {name: record[name][:4] for name in names}


def _without_noise(ordinal: int) -> Record:
    complete = {"sum": 1.5, "difference": 1.4, "gap": 0.1}
    record = _explained(ordinal, errors=None, samples=None, flip_rate=None, id=None, gold=None)
    return {**record, "completeness": complete}


def _regression(ordinal: int) -> Record:
    record = _explained(ordinal, target="score", predicted=None, probability=None, value=1.5)
    return record | {"probabilities": {}}


def _quarantined(ordinal: int) -> Record:
    return BadRow(ordinal, ordinal + 1, None, "text is missing", "{}").record()


_CHANGES = (_pair_with_two_targets, _cut_off, _without_noise, _regression, _quarantined)
_CHECK = {
    "alone": [],
    "control": {"texts": 40, "flipped": 1, "words": ["is"]},
    "inserted": {"texts": 40, "flipped": 30},
    "label": "spam",
    "removed": {"texts": 30, "flipped": 20},
    "words": ["free"],
}
_METHOD = {
    "name": "smoothgrad",
    "title": "SmoothGrad",
    "is_random": True,
    "has_flip_rate": True,
    "is_complete": True,
    "removed_by": "zero",
}
_SETTINGS: dict[str, Any] = {
    "schema": SCHEMA,
    "versions": dict.fromkeys(("saliency", "python", "torch", "transformers", "tokenizers"), "0"),
    "model": {
        "name": "model.pt",
        "architecture": "BertForSequenceClassification",
        "embedding_layer": "bert.embeddings.word_embeddings",
        "head": "single-label",
        "labels": list(LABELS),
        "max_length": 128,
        "operations_without_rule": [],
        "padding_blind": True,
        "parameters": 942210,
    },
    "input": {"name": "texts.jsonl", "encoding": "utf-8", "delimiter": None},
    "seed": 0,
    "device": "cpu",
    "dtype": "float32",
    "attention": "sdpa",
    "propagation": "conservative",
    "matmul_backend": "torch",
    "instruction_set": {
        "architecture": "x86_64",
        "gpu": None,
        "simd": ["avx"],
        "torch": "AVX2",
        "variables": {},
        "vendor": "AMD",
    },
    "deterministic": True,
    "dtype_error": 0.0,
    "batch_tokens": 1024,
    "hashes": {"input": "0" * 64, "model": {"model.pt": "1" * 64}, "tokenizer": {}},
    "shards": {"rows": 2000, "offsets": [0], "lines": [1], "sha256": ["2" * 64]},
}
_OPTIONS: dict[str, Any] = {
    "method": "smoothgrad",
    "reduction": "l2",
    "propagation": "conservative",
    "noise": 0.01,
    "samples": 16,
    "antithetic": True,
    "tolerance": 0.02,
    "preset": None,
    "check_words": 1,
    "check_suspects": True,
    "objective": "logit",
    "seed": 0,
    "target": "predicted",
    "contrast": None,
    "threshold": 0.5,
    "multi_label": False,
    "embeddings_block": False,
    "arch": None,
    "unsafe_pickle": False,
    "hypothesis": None,
    "special_tokens": "text",
    "input_format": None,
    "text_column": "text",
    "pair_column": None,
    "label_column": None,
    "id_column": None,
    "slice_column": [],
    "limit": None,
    "stride": None,
    "html_rows": 5000,
    "single_file": False,
    "title": None,
}
