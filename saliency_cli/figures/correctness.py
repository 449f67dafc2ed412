"""Whether a prediction agrees with its gold label."""

from saliency_cli.records import Record


def prediction_is_correct(record: Record) -> bool | None:
    """Return whether an explained row's predicted label is its gold label, or one of several.

    None if the row has no gold label, or one that the model does not have.
    """
    named = record.get("gold_labels") or [record["gold"]]
    if not {*named} <= record["probabilities"].keys():
        return None
    return record["predicted"] in named
