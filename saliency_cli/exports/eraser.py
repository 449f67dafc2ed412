"""Rationales as ERASER's scorer reads them (`rationale_benchmark/metrics.py --results`).

Its documents are words between blanks, line by line, and its scores one number a word.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun

HALF = 0.5
"""Share of a row's evidence that the words of a hard rationale hold together."""
_LINE = re.compile(r"[^\r\n]+")
_WORD = re.compile(r"[^ ]+")
_ENDINGS = ("_premise", "_hypothesis")


@dataclass(frozen=True, slots=True)
class _Document:
    """One text of a row: where its words begin and end, and the share of each."""

    docid: str
    spans: Sequence[tuple[int, int]]
    shares: Sequence[float]


def eraser(run: FinishedRun) -> Iterator[bytes]:
    """Write one JSON object a line for each explained row, of its first target.

    Annotation and document are known by the row's id, or without one by its ordinal; the documents
    of a pair by that with `_premise` and `_hypothesis`, as in the benchmark's e-SNLI.
    """
    for record in run.records():
        if record["status"] == "ok":
            line = json.dumps(_instance(record), ensure_ascii=False, allow_nan=False)
            yield f"{line}\n".encode()


def _instance(record: Record) -> dict[str, Any]:
    name = str(record["ordinal"]) if record["id"] is None else record["id"]
    documents = [*_documents(record, name)]
    chosen = _evidence(documents)
    instance: dict[str, Any] = {
        "annotation_id": name,
        "rationales": [
            _rationale(document, words) for document, words in zip(documents, chosen, strict=True)
        ],
    }
    if record["predicted"] is not None:
        instance["classification"] = record["predicted"]
        instance["classification_scores"] = record["probabilities"]
    return instance


def _rationale(document: _Document, words: set[int]) -> dict[str, Any]:
    return {
        "docid": document.docid,
        "soft_rationale_predictions": document.shares,
        "hard_rationale_predictions": [
            {"start_token": start, "end_token": end} for start, end in _stretches(words)
        ],
    }


def _documents(record: Record, name: str) -> Iterator[_Document]:
    if record["pair"] is None:
        yield _document(record, name, segment=0)
        return
    for segment, ending in enumerate(_ENDINGS):
        yield _document(record, name + ending, segment=segment)


def _document(record: Record, docid: str, *, segment: int) -> _Document:
    """Add up the shares of the tokens that begin in each word; special tokens lie in none."""
    text: str = record["pair"] if segment else record["text"]
    spans = [*document_words(text)]
    starts = [start for start, _end in spans]
    shares = [0.0] * len(spans)
    segments = record.get("segments") or [0] * len(record["tokens"])
    for (start, end), special, of, score in zip(
        record["offsets"], record["special"], segments, record["scores"], strict=True
    ):
        stretch = text[start:end]
        first = start + len(stretch) - len(stretch.lstrip())
        word = bisect_right(starts, first) - 1
        if of == segment and not special and word >= 0:
            shares[word] += score
    return _Document(docid, spans, [float(f"{share:.7g}") for share in shares])


def document_words(text: str) -> Iterator[tuple[int, int]]:
    """Find the words of a text as the scorer does: lines, stripped, and divided at each blank."""
    for line in _LINE.finditer(text):
        stripped = line[0].strip()
        start = line.start() + line[0].find(stripped) if stripped else line.start()
        for word in _WORD.finditer(stripped):
            yield start + word.start(), start + word.end()


def _evidence(documents: Sequence[_Document]) -> list[set[int]]:
    """Choose the fewest words, of all documents together, that hold half of what speaks for."""
    ranked = sorted(
        (-share, number, word)
        for number, document in enumerate(documents)
        for word, share in enumerate(document.shares)
        if share > 0
    )
    wanted = HALF * -sum(share for share, _number, _word in ranked)
    chosen: list[set[int]] = [set() for _ in documents]
    for share, number, word in ranked:
        if wanted <= 0:
            break
        chosen[number].add(word)
        wanted += share
    return chosen


def _stretches(words: set[int]) -> Iterator[tuple[int, int]]:
    """Yield the runs of neighbours among word numbers, their ends excluded."""
    for first in sorted(word for word in words if word - 1 not in words):
        end = first
        while end in words:
            end += 1
        yield first, end
