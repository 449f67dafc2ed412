"""Which rows the exports for GitHub show: those that a reader should look at first."""

from heapq import nlargest

from saliency_cli.figures.correctness import prediction_is_correct
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun


def rows_to_read_first(run: FinishedRun, *, most: int) -> list[Record]:
    """Return the wrong predictions, most confident first, then the quarantined rows in order.

    Args:
        run: The finished run.
        most: The maximum number of records; this many are in memory at a time.
    """
    records = (
        each
        for each in run.records()
        if each["status"] != "ok" or prediction_is_correct(each) is False
    )
    return nlargest(most, records, key=_urgency)


def _urgency(record: Record) -> tuple[float, int]:
    """Return a sort key: the probability of the prediction, below all of them if quarantined."""
    probability = record["probability"] if record["status"] == "ok" else -1.0
    return probability, -record["ordinal"]
