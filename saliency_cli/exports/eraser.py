"""The export `eraser`: rationales as the scorer of the ERASER benchmark reads them.

The scorer is `rationale_benchmark/metrics.py --results` (DeYoung et al. 2020). Its documents are
lists of words, split at spaces line by line, and its rationales have one number for each word.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from saliency_cli.exports.erased_texts import ErasedTexts
from saliency_cli.exports.interface import Export
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun

EVIDENCE_SHARE = 0.5
"""Share of a row's positive scores that the words of its hard rationale hold together."""
_LINE = re.compile(r"[^\r\n]+")
_WORD = re.compile(r"[^ ]+")
_PAIR_SUFFIXES = ("_premise", "_hypothesis")
"""Added to the id of a pair for its two documents, as in the benchmark's e-SNLI."""


@dataclass(frozen=True, slots=True)
class _Document:
    """One text of a row.

    Attributes:
        docid: The scorer's name of the document.
        shares: The score of each word: the sum of its tokens' scores.
    """

    docid: str
    shares: Sequence[float]


def eraser(run: FinishedRun) -> Iterator[bytes]:
    """Yield one JSON object per line for each explained row, of its first target.

    The id of an annotation and of its document is the row's id, or its ordinal if it has none.
    """
    erased = ErasedTexts.of(run)
    for record in run.records():
        if record["status"] == "ok":
            measured = erased.fields(record["ordinal"]) if erased else None
            instance = _instance(record) | (measured or {})
            line = json.dumps(instance, ensure_ascii=False, allow_nan=False)
            yield f"{line}\n".encode()


def problems(run: FinishedRun) -> Iterator[str]:
    """Yield what the scorer will not read: ids that several rows have, or that are no file names.

    It reads documents from files that are named after their ids.
    """
    seen: set[str] = set()
    twice, slashes, unmeasured = 0, 0, 0
    erased = ErasedTexts.of(run)
    for record in run.records():
        if record["status"] != "ok":
            continue
        annotation_id = _annotation_id(record)
        twice += annotation_id in seen
        slashes += "/" in annotation_id
        seen.add(annotation_id)
        unmeasured += erased is not None and not erased.has(record["ordinal"])
    if twice:
        yield f"{twice} rows have the id of an earlier row; the scorer wants each id once"
    if slashes:
        yield f"{slashes} ids have a /, and the scorer reads each document from a file of that name"
    if unmeasured:
        yield (
            f"{unmeasured} rows have no comprehensiveness and sufficiency, since another method of "
            "the evaluation did not explain them; the scorer wants them of every row"
        )


def _annotation_id(record: Record) -> str:
    return str(record["ordinal"]) if record["id"] is None else str(record["id"])


def _instance(record: Record) -> dict[str, Any]:
    """Return the object that the scorer reads for one row."""
    annotation_id = _annotation_id(record)
    documents = [*_documents(record, annotation_id)]
    evidence = _evidence(documents)
    instance: dict[str, Any] = {
        "annotation_id": annotation_id,
        "rationales": [
            _rationale(document, words) for document, words in zip(documents, evidence, strict=True)
        ],
    }
    if record["predicted"] is not None:
        instance["classification"] = record["predicted"]
        instance["classification_scores"] = record["probabilities"]
    return instance


def _rationale(document: _Document, evidence: set[int]) -> dict[str, Any]:
    """Return the soft and the hard rationale of a document; `evidence` holds word indices."""
    return {
        "docid": document.docid,
        "soft_rationale_predictions": document.shares,
        "hard_rationale_predictions": [
            {"start_token": start, "end_token": end} for start, end in _ranges(evidence)
        ],
    }


def _documents(record: Record, annotation_id: str) -> Iterator[_Document]:
    if record["pair"] is None:
        yield _document(record, annotation_id, segment=0)
        return
    for segment, suffix in enumerate(_PAIR_SUFFIXES):
        yield _document(record, annotation_id + suffix, segment=segment)


def _document(record: Record, docid: str, *, segment: int) -> _Document:
    """Return a text with the sum of the scores of the tokens that begin in each of its words.

    Special tokens belong to no word. A token that begins with white space counts from its first
    other character, since byte-level tokenizers put the space before a word into its first token.
    """
    text: str = record["pair"] if segment else record["text"]
    word_starts = [start for start, _end in document_words(text)]
    shares = [0.0] * len(word_starts)
    segments = record.get("segments") or [0] * len(record["tokens"])
    for (start, end), special, token_segment, score in zip(
        record["offsets"], record["special"], segments, record["scores"], strict=True
    ):
        token = text[start:end]
        first = start + len(token) - len(token.lstrip())
        word = bisect_right(word_starts, first) - 1
        if token_segment == segment and not special and word >= 0:
            shares[word] += score
    return _Document(docid, [float(f"{share:.7g}") for share in shares])


def document_words(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each word, found as the scorer does.

    It strips each line and splits it at spaces, and at nothing else.
    """
    for line in _LINE.finditer(text):
        stripped = line[0].strip()
        start = line.start() + line[0].find(stripped) if stripped else line.start()
        for word in _WORD.finditer(stripped):
            yield start + word.start(), start + word.end()


def _evidence(documents: Sequence[_Document]) -> list[set[int]]:
    """Return the evidence of each document, as word indices.

    It is the smallest set of words, over all documents of the row, that holds `EVIDENCE_SHARE` of
    the positive scores.
    """
    ranked = sorted(
        (-share, number, word)
        for number, document in enumerate(documents)
        for word, share in enumerate(document.shares)
        if share > 0
    )
    missing = EVIDENCE_SHARE * -sum(negated for negated, _number, _word in ranked)
    evidence: list[set[int]] = [set() for _ in documents]
    for negated, number, word in ranked:
        if missing <= 0:
            break
        evidence[number].add(word)
        missing += negated
    return evidence


def _ranges(words: set[int]) -> Iterator[tuple[int, int]]:
    """Yield start and end (exclusive) of each range of consecutive word indices."""
    for first in sorted(word for word in words if word - 1 not in words):
        end = first
        while end in words:
            end += 1
        yield first, end


EXPORT = Export(
    "eraser",
    "one JSON object per row, for the scorer of the ERASER benchmark",
    eraser,
    includes_quarantined=False,
    problems=problems,
)
