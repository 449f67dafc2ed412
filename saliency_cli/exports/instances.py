"""The export `instances`: the dictionary that AllenNLP's saliency interpreters return.

`label_input_1` and `prob_input_1` are fields that the article adds to AllenNLP's two.
"""

import json
from collections.abc import Iterator

from saliency_cli.exports.interface import Export
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun


def instances(run: FinishedRun) -> Iterator[bytes]:
    """Yield one JSON object with an instance for each explained row, in pieces.

    The key of an instance is `instance_` and the row's ordinal plus one. A pair is one input, as
    the model reads it. If a row has several targets, its instance holds the first.
    """
    separator = "{\n"
    for record in run.records():
        if record["status"] == "ok":
            name = json.dumps(f"instance_{record['ordinal'] + 1}")
            value = json.dumps(_instance(record), ensure_ascii=False, allow_nan=False)
            yield f"{separator}{name}: {value}".encode()
            separator = ",\n"
    yield b"{}\n" if separator == "{\n" else b"\n}\n"


def _instance(record: Record) -> dict[str, object]:
    return {
        "grad_input_1": record["scores"],
        "tokens_input_1": record["tokens"],
        "label_input_1": record["predicted"],
        "prob_input_1": record["probability"],
    }


EXPORT = Export(
    "instances",
    "one JSON object with the keys of AllenNLP Interpret",
    instances,
    includes_quarantined=False,
)
