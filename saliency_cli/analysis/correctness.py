"""Whether a prediction agrees with its gold label."""

from saliency_cli.records import Record


def prediction_is_correct(record: Record) -> bool | None:
    """Return whether an explained row's predicted label equals its gold label.

    None if the row has no gold label, or one that the model does not have.
    """
    if record["gold"] not in record["probabilities"]:
        return None
    return bool(record["gold"] == record["predicted"])
