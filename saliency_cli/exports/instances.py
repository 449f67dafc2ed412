"""The dictionary of AllenNLP's saliency interpreters, with the fields that the article adds."""

import json
from collections.abc import Iterator

from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun


def instances(run: FinishedRun) -> Iterator[bytes]:
    """Write one JSON object with an instance for each explained row, named by its place from 1.

    A pair is one input, as the model reads it; of several targets the first is given.
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
