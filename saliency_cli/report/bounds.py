"""Bounds on what a page holds of one row; the records hold all of it."""

import hashlib
from dataclasses import dataclass
from itertools import islice
from typing import Any

from saliency_cli.records import Record

WHOLE_LINE = 256 * 1024
"""Characters of a record that a page holds whole: a text of some 5,000 tokens."""

CUT_CHARACTERS = 2_000
"""Characters of each text that are kept of a longer record."""

CUT_TOKENS = 400
"""Tokens that are kept of a longer record, over all its texts and targets."""

CUT_SPECIAL = 20
"""Special tokens that are kept of a longer record beside those."""

CUT_TARGETS = 5
"""Targets that are kept of a longer record."""

LABELS_KEPT = 200
"""Labels, the most probable ones, whose probabilities a page holds."""

NAME_CHARACTERS = 200
"""Characters of a label, an id or a reason that a page shows."""


@dataclass(frozen=True, slots=True)
class Omitted:
    """How much of a row is only in the records.

    Attributes:
        characters: characters of the text, and of its pair.
        tokens: its tokens.
        targets: targets with their scores.
        labels: labels with their probabilities.
    """

    characters: tuple[int, int] = (0, 0)
    tokens: int = 0
    targets: int = 0
    labels: int = 0


NOTHING_OMITTED = Omitted()


def cut_name(name: str) -> str:
    """Return a name; of a long one its start, with its length and hash, which keep it unique."""
    if len(name) <= NAME_CHARACTERS:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    rest = len(name) - NAME_CHARACTERS
    return f"{name[:NAME_CHARACTERS]}… ({rest:,} more characters, SHA-256 {digest})"


def bounded(record: Record, *, size: int) -> tuple[Record, Omitted]:
    """Return the part of a record that a page holds, and how much that leaves out.

    Args:
        record: the record; it is returned unchanged if it is within the bounds.
        size: characters of its line.
    """
    if record["status"] != "ok":
        return (record if size <= WHOLE_LINE else _cut_values(record)), NOTHING_OMITTED
    is_long = size > WHOLE_LINE
    kept = _cut_record(record) if is_long else record
    if is_long or len(record["probabilities"]) > LABELS_KEPT:
        probabilities = _most_probable(record)
        names = map(cut_name, probabilities) if is_long else probabilities
        kept = {**kept, "probabilities": dict(zip(names, probabilities.values(), strict=True))}
    if kept is record:
        return record, NOTHING_OMITTED
    return kept, Omitted(
        characters=(_shorter(record, kept, "text"), _shorter(record, kept, "pair")),
        tokens=_shorter(record, kept, "tokens"),
        targets=_shorter(record, kept, "others"),
        labels=_shorter(record, kept, "probabilities"),
    )


def _shorter(record: Record, kept: Record, name: str) -> int:
    return len(record.get(name) or ()) - len(kept.get(name) or ())


def _most_probable(record: Record) -> dict[str, float]:
    """Return the probabilities of the predicted and the gold label, and of the largest others."""
    first = {record["predicted"], record["gold"], record["target"]}
    ranked = sorted(
        record["probabilities"].items(), key=lambda item: (item[0] not in first, -item[1])
    )
    kept = {name for name, _ in ranked[:LABELS_KEPT]}
    return {name: value for name, value in record["probabilities"].items() if name in kept}


def _cut_values(record: Record) -> Record:
    """Return a record whose strings, and those of its lists, are cut."""
    return {name: _cut_value(value) for name, value in record.items()}


def _cut_value(value: Any) -> Any:  # noqa: ANN401 - any value of a record
    if isinstance(value, list):
        return [cut_name(each) if isinstance(each, str) else each for each in value]
    return cut_name(value) if isinstance(value, str) else value


LEFT_OUT = {"text", "pair", "others", "checks"}
"""Fields of a long record that a page holds in another way, or, as the spans of checks, not."""


def _cut_record(record: Record) -> Record:
    """Return the start of each text of a record, with the tokens that begin there."""
    others = record.get("others", [])[: CUT_TARGETS - 1]
    tokens = CUT_TOKENS // (1 + len(others))
    own = tokens if record["pair"] is None else tokens // 2
    limits = [_limit(record, segment, tokens=own) for segment in (0, 1)]
    segments = record.get("segments") or [0] * len(record["tokens"])
    triples = zip(record["offsets"], record["special"], segments, strict=True)
    inside = (at for at, (o, special, s) in enumerate(triples) if special or o[0] < limits[s])
    kept = list(islice(inside, tokens + CUT_SPECIAL))
    offsets = [[min(edge, limits[segments[at]]) for edge in record["offsets"][at]] for at in kept]
    names = {"tokens", "special", *({"segments"} & record.keys())}
    result = {
        **_cut_values({name: record[name] for name in record.keys() - LEFT_OUT}),
        **_cut_values({name: [record[name][at] for at in kept] for name in names}),
        **_cut_scores(record, kept),
        "text": record["text"][: limits[0]],
        "pair": None if record["pair"] is None else record["pair"][: limits[1]],
        "offsets": offsets,
    }
    if others:
        result["others"] = [{**_cut_values(each), **_cut_scores(each, kept)} for each in others]
    return {name: result[name] for name in record if name in result}


def _limit(record: Record, segment: int, *, tokens: int) -> int:
    """Return the position at which a text is cut: before a token, at a blank where there is one."""
    segments = record.get("segments") or [0] * len(record["tokens"])
    starts = (
        start
        for (start, _), special, own in zip(
            record["offsets"], record["special"], segments, strict=True
        )
        if own == segment and not special
    )
    limit = min(CUT_CHARACTERS, next(islice(starts, tokens, None), CUT_CHARACTERS))
    text = record["pair" if segment else "text"] or ""
    blank = text.rfind(" ", limit // 2, limit)
    return blank if blank > 0 and limit < len(text) else limit


def _cut_scores(target: Record, kept: list[int]) -> Record:
    scores, errors = target["scores"], target["errors"]
    return {
        "scores": [scores[at] for at in kept],
        "errors": None if errors is None else [errors[at] for at in kept],
    }
