"""The export `instances`: AllenNLP's dictionary."""

import json

from tests.support.exports import exported
from tests.support.runs import bad_record, varied


def test_instances_hold_the_articles_four_fields_of_each_explained_row() -> None:
    records = varied()
    instances = json.loads(exported(records, "instances"))
    explained = [each for each in records if each["status"] == "ok"]
    assert list(instances) == [f"instance_{each['ordinal'] + 1}" for each in explained]
    for instance, each in zip(instances.values(), explained, strict=True):
        assert instance == {
            "grad_input_1": each["scores"],
            "tokens_input_1": each["tokens"],
            "label_input_1": each["predicted"],
            "prob_input_1": each["probability"],
        }


def test_run_without_explained_rows_gives_an_empty_object() -> None:
    assert json.loads(exported([bad_record(0)], "instances")) == {}
