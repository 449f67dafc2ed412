"""The expected shape of the gates' results in a manifest."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

_KEYS = {"gate", "level", "value", "bound", "baseline", "is_share", "outcome", "sentence"}
_LEVELS = {"error", "warn"}
_OUTCOMES = {"passed", "failed", "warned", "not measured"}
_LARGEST_INTEGER = 2**53


def gates_problem(manifest: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the results of a manifest's gates, or None.

    A manifest of an earlier version has none.
    """
    results = manifest.get("gates", [])
    if type(results) is not list or not all(map(is_gate_result, results)):
        return "gates is damaged"
    return None


def is_gate_result(entry: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a JSON value is what `gates.GateResult.as_json` returns."""
    if type(entry) is not dict or entry.keys() != _KEYS:
        return False
    texts = [entry[name] for name in ("gate", "level", "outcome", "sentence")]
    if not all(type(each) is str for each in texts):
        return False
    if entry["level"] not in _LEVELS or entry["outcome"] not in _OUTCOMES:
        return False
    numbers = [entry[name] for name in ("value", "bound", "baseline")]
    measured = entry["outcome"] == "not measured" or None not in numbers[:2]
    return type(entry["is_share"]) is bool and measured and all(map(_is_number, numbers))


def _is_number(value: object) -> bool:
    """Whether a value is None or a finite number that a float can hold."""
    if type(value) is int:
        return abs(value) <= _LARGEST_INTEGER
    return value is None or (type(value) is float and isfinite(value))
