"""Example texts: those on which the methods disagree most, shaded by each of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from saliency_cli.analysis.rank_correlation import rank_correlations
from saliency_cli.records import Record
from saliency_cli.report.evaluation.figures import Method
from saliency_cli.report.row_view import RowView, row_view

EXAMPLES = 6
FLOOR = "random"
"""The method whose order says nothing, so that nothing agrees with it."""

LEAST_TOKENS = 5
"""Tokens of a text below which even orders at random agree, or disagree, often."""

Records = Mapping[str, Mapping[int, Record]]
"""The records of each method, by ordinal."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text with its row for each method.

    Attributes:
        row: the row of the first method.
        shaded: each method with its row.
        agreement: the mean rank correlation between the methods.
    """

    row: RowView
    shaded: tuple[tuple[Method, RowView], ...]
    agreement: float


def disputed_examples(methods: Sequence[Method], records: Records) -> list[Example]:
    """Return the texts on which the methods disagree most, least agreement first.

    Args:
        methods: the methods, in the order in which a text shows them.
        records: their records.
    """
    compared = [records[each.name] for each in methods if each.kind != FLOOR]
    if len(compared) < 2:
        return []
    common = set.intersection(*(set(each) for each in records.values()))
    agreements = sorted(
        (agreement([each[ordinal] for each in compared]), ordinal)
        for ordinal in common
        if compared[0][ordinal]["special"].count(False) >= LEAST_TOKENS
    )
    return [_example(methods, records, ordinal, value) for value, ordinal in agreements[:EXAMPLES]]


def agreement(records: Sequence[Record]) -> float:
    """Return the mean rank correlation of each two methods' absolute scores of a text's tokens.

    A pair of which one puts all tokens level counts as 0.

    Args:
        records: the records of one text, one a method.
    """
    of_text = ~torch.tensor(records[0]["special"])
    scores = torch.tensor([each["scores"] for each in records]).abs()[:, of_text]
    above = torch.ones(len(records), len(records)).triu(1).bool()
    return round(float(rank_correlations(scores).nan_to_num()[above].mean()), 6)


def _example(methods: Sequence[Method], records: Records, ordinal: int, value: float) -> Example:
    rows = [row_view(json.dumps(_first_target(records[each.name][ordinal]))) for each in methods]
    return Example(rows[0], tuple(zip(methods, rows, strict=True)), value)


def _first_target(record: Record) -> Record:
    return {**record, "others": []}
