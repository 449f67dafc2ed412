"""What the parts of a site were made from, as `site.json` holds it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from saliency_cli import __version__

SCHEMA = 1
START = '{\n  "comparisons": '
"""How `site.json` begins."""


@dataclass(frozen=True, slots=True)
class RunState:
    """What was computed of a run.

    Attributes:
        sha256: SHA-256 of the run, as `run_sha256` returns it.
        suspects: word and label of each shortcut suspect.
    """

    sha256: str
    suspects: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ComparisonState:
    """What a comparison was made from.

    Attributes:
        before: SHA-256 of the first run.
        after: SHA-256 of the second run.
        refused: why they cannot be compared; None if they were.
        files: name -> SHA-256 of each file of the comparison; none if it was refused.
    """

    before: str
    after: str
    refused: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SiteState:
    """What all parts of a site were made from, by their names in the site."""

    runs: dict[str, RunState] = field(default_factory=dict)
    comparisons: dict[str, ComparisonState] = field(default_factory=dict)

    def as_text(self) -> str:
        """Return what `site.json` holds."""
        state = {**asdict(self), "schema": SCHEMA, "versions": {"saliency": __version__}}
        return json.dumps(state, ensure_ascii=False, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the state that a file holds; an empty one if another version wrote it.

        Raises:
            ValueError: The file is damaged.
        """
        try:
            state: dict[str, Any] = json.loads(text)
            if (state["schema"], state["versions"]) != (SCHEMA, {"saliency": __version__}):
                return cls()
            runs = {
                part: RunState(str(each["sha256"]), tuple(map(_pair, each["suspects"])))
                for part, each in state["runs"].items()
            }
            comparisons = {part: _comparison(**each) for part, each in state["comparisons"].items()}
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError("it is damaged") from error
        return cls(runs, comparisons)


def _comparison(
    before: str, after: str, refused: str | None, files: Mapping[str, str]
) -> ComparisonState:
    if refused is not None and type(refused) is not str:
        raise TypeError("a reason is a text")
    return ComparisonState(before, after, refused, files)


def _pair(entry: Any) -> tuple[str, str]:  # noqa: ANN401 - any JSON value
    word, label = entry
    return str(word), str(label)
