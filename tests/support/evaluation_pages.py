"""What `evaluation.json` holds and the records of its methods, made without a model."""

from pathlib import Path
from typing import Any

from saliency_cli.records import Record
from saliency_cli.report.evaluation import write_evaluation_page
from tests.support.runs import HOSTILE, HOSTILE_LABEL, pair_record, record

SIGNED, UNSIGNED, FLOOR = "smoothgrad", "vargrad:noise=0.1", "random"
HOSTILE_METHOD = f"gradient:{HOSTILE}"
NAMES = (SIGNED, UNSIGNED, HOSTILE_METHOD, FLOOR)
SHARES = [1, 5, 10, 20, 50]


def figure(mean: float | None, error: float = 0.02, *, reason: str | None = None) -> dict[str, Any]:
    """Return a figure.

    Args:
        mean: The mean.
        error: Its standard error.
        reason: Why there is none.
    """
    if mean is None:
        return {"mean": None, "se": None, "reason": reason}
    return {"mean": mean, "se": error}


def result(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the result of an evaluation of four methods, one of them with a hostile name.

    Args:
        changes: Entries to replace, by name.
    """
    described = {
        name: {
            "title": f"title of {name}",
            "source": "Author 2020",
            "pitfall": f"{name} may mislead.",
            "better": better,
        }
        for name, better in (
            ("agreement", None),
            ("comprehensiveness", "higher"),
            ("mosaic", "higher"),
            ("planted", "higher"),
            ("randomisation", "lower"),
        )
    }
    settings = {
        "model": HOSTILE,
        "input": "texts.jsonl",
        "hashes": {"model": {"model.pt": "1" * 64}, "tokenizer": {}},
        "versions": {"saliency": "0"},
        "device": "cpu",
        "seed": 0,
        "planted_steps": None,
        "methods": {
            name: {"name": name.partition(":")[0], "is_signed": name != UNSIGNED} for name in NAMES
        },
        "folders": {name: name.replace(":", "_") for name in NAMES},
    }
    return {
        "schema": 1,
        "texts": 8,
        "methods": {name: _figures(name, place) for place, name in enumerate(NAMES)},
        "agreement": {name: _others(name) for name in NAMES},
        "curves": {name: _curves() for name in ("comprehensiveness", "sufficiency")},
        "shares": SHARES,
        "metrics": described,
        "settings": settings,
        "verdict": [f"{SIGNED} leads.", f"Doubt {HOSTILE_METHOD}: it is no better than random."],
        **changes,
    }


def _figures(name: str, place: int) -> dict[str, Any]:
    halves = None if name == UNSIGNED else 0.8
    return {
        "comprehensiveness": figure((0.7, 0.4, None, -0.01)[place], reason=HOSTILE),
        "mosaic": figure(halves, 0.004, reason="its scores have no sign"),
        "randomisation": figure(-0.1),
        "planted": {**figure(0.96), "kinds": {kind: _found(place) for kind in ("order", "token")}},
        "evaluations": (13.5, 30, 3, 0)[place],
    }


def _found(place: int) -> dict[str, Any]:
    return {
        "words": ["zap", "yew"],
        "label": HOSTILE_LABEL,
        "texts": 48,
        "accuracy_with": 1.0,
        "accuracy_without": 0.9375,
        "explained": 50,
        "first": figure(0.96 - place / 5),
        "mrr": figure(0.98 - place / 5),
    }


def _others(name: str) -> dict[str, Any]:
    others = [other for other in NAMES if other != name]
    return {
        other: {"spearman": figure(0.1 * place - 0.1), "top5": figure(0.5 + 0.2 * place)}
        for place, other in enumerate(others)
    }


def _curves() -> dict[str, Any]:
    def both(height: float) -> dict[str, Any]:
        curve = [figure(height * share / 100, 0.01) for share in SHARES]
        return {removal: {"probability": curve, "logit": curve} for removal in ("mask", "delete")}

    heights = zip(NAMES, (0.8, 0.78, 0.5, 0.1), strict=True)
    return {
        "methods": {name: both(height) for name, height in heights},
        "references": {"random": both(0.1), "best": both(1)},
    }


def records() -> dict[str, dict[int, Record]]:
    """Return the records of each method, by ordinal; on text 3 they disagree most."""
    texts = [record(ordinal, f"one two three four five {ordinal}") for ordinal in range(7)]
    hostile = {"predicted": HOSTILE_LABEL, "probabilities": {HOSTILE_LABEL: 0.875, "ham": 0.125}}
    texts[2] = record(2, f"a b c {HOSTILE} d", id=HOSTILE, gold="ham", **hostile)
    rows = [*texts, pair_record(7), record(8, "too short")]
    found = {name: {each["ordinal"]: each for each in rows} for name in NAMES}
    for ordinal, name in ((3, UNSIGNED), (4, HOSTILE_METHOD), *((n, FLOOR) for n in range(7))):
        scores = rows[ordinal]["scores"]
        found[name][ordinal] = {**rows[ordinal], "scores": [scores[0], *scores[:0:-1]]}
    found[SIGNED][3]["scores"][1] *= -1
    return found


def write_page(path: Path, **changes: Any) -> Path:  # noqa: ANN401
    """Write the page and return its path.

    Args:
        path: The file.
        changes: Entries of the result to replace, by name.
    """
    write_evaluation_page(path, result(**changes), records())
    return path
