"""The expected shape of what records and manifests hold about gold labels and slices."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from saliency_cli.records import Record

_LABEL = {"rows", "precision", "recall", "f1", "threshold"}
_SLICE = {"rows", "gold_rows", "gold_known", "accuracy", "ece", "mae", "p_value"}
_BIN = {"rows", "probability", "accuracy"}
_COUNTS = {"rows", "gold_rows", "gold_known"}
_LARGEST_COUNT = 2**53


def figures_problem(counts: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the figures of labels and slices in a summary, or None.

    Args:
        counts: The summary in a manifest; `calibration` is a list, `labels` and `slices` objects.
    """
    if not all(_has_figures(each, _BIN) for each in counts["calibration"]):
        return "counts.calibration is damaged"
    if not all(_has_figures(each, _LABEL) for each in counts["labels"].values()):
        return "counts.labels is damaged"
    columns = counts["slices"].values()
    if not all(type(column) is dict for column in columns):
        return "counts.slices is damaged"
    if not all(_is_slice(each) for column in columns for each in column.values()):
        return "counts.slices is damaged"
    return None


def _has_figures(value: object, names: set[str]) -> bool:
    """Whether a value is an object in which each of these names has a number, or none."""
    if type(value) is not dict or not names <= value.keys():
        return False
    return all(_is_figure(name, value[name]) for name in names)


def _is_slice(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a value has the figures of a slice."""
    if not _has_figures(value, _SLICE) or type(value.get("recall")) is not dict:
        return False
    interval = value.get("interval")
    if interval is not None and (type(interval) is not list or len(interval) != 2):
        return False
    return all(map(_is_number, (*(interval or ()), *value["recall"].values())))


def _is_figure(name: str, value: object) -> bool:
    if name in _COUNTS:
        return type(value) is int and 0 <= value <= _LARGEST_COUNT
    return value is None or _is_number(value)


def _is_number(value: object) -> bool:
    """Whether a value is a finite number; an integer may have more bits than a float takes."""
    if type(value) is int:
        return abs(value) <= _LARGEST_COUNT
    return type(value) is float and isfinite(value)


def gold_problem(record: Record) -> str | None:
    """Return what is wrong with the gold labels or the slices of an explained row, or None."""
    named, slices = record.get("gold_labels", []), record.get("slices", {})
    if type(named) is not list or {*map(type, named)} - {str}:
        return "gold_labels is damaged"
    if not {*named} <= record["probabilities"].keys():
        return "gold_labels is damaged"
    if type(slices) is not dict or {*map(type, slices.values())} - {str}:
        return "slices is damaged"
    return None
