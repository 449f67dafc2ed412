"""From the text of `--fail-on` to a `Gate`.

[warn:|error:] NAME [ "[" COLUMN "=" VALUE "]" ] ("<"|">") BOUND
BOUND is a number, or "baseline" and then nothing, + or - or * and a number without a sign
"""

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from math import isfinite
from typing import cast

from saliency_cli.errors import UsageError
from saliency_cli.gates.gate import BASELINE, Gate, GateNames, Level, Part, Relation, Sign
from saliency_cli.safe_text import excerpt, listed

LABEL = "label"
"""In `recall[label=spam]` it stands for the labels of the model, whatever columns there are."""
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_NUMBER = r"[-+.\w]+"
_EXPRESSION = re.compile(
    r"\s*(?:(?P<level>warn|error)\s*:\s*)?(?P<name>[^\s<>\[\]]+)\s*"
    rf"(?:\[\s*(?P<column>{_QUOTED}|[^\]=\"]+?)\s*=\s*(?P<value>{_QUOTED}|[^\]\"]*?)\s*\]\s*)?"
    rf"(?P<sign>[<>])\s*"
    rf"(?:(?P<baseline>{BASELINE})(?:\s*(?P<relation>[-+*])\s*(?P<change>(?![-+]){_NUMBER}))?"
    rf"|(?P<bound>{_NUMBER}))\s*",
    re.DOTALL,
)


def parse_gates(expressions: Iterable[str], *, names: GateNames) -> tuple[Gate, ...]:
    """Return the gates that `--fail-on` was given as.

    Args:
        expressions: The values of the option.
        names: The names of the numbers that there are.

    Raises:
        UsageError: An expression has another form, or a name that is not one of `names`.
    """
    return tuple(_parse(each, names) for each in expressions)


def _parse(expression: str, names: GateNames) -> Gate:
    match = _EXPRESSION.fullmatch(expression)
    bound = None if match is None else _bound(match)
    part = None if match is None else _part(match)
    unreadable = match is not None and match["column"] is not None and part is None
    if match is None or bound is None or unreadable:
        raise UsageError(
            f"--fail-on {excerpt(expression)}: not a name, < or >, and a number",
            f"--fail-on '{names.example}', with quotes for the shell",
        )
    number, relation = bound
    if relation and not names.has_baseline:
        raise UsageError(
            f"--fail-on {excerpt(expression)}: {names.owner} is compared with no baseline",
            f"give a number, as in '{names.example}'",
        )
    _check_name(expression, match["name"], part, names=names)
    level = cast("Level", match["level"] or "error")
    return Gate(match["name"], cast("Sign", match["sign"]), number, relation, part, level)


def _bound(match: re.Match[str]) -> tuple[float, Relation] | None:
    """Return the bound and what it does to the baseline; None if it is no finite number."""
    if match["baseline"] is None:
        number = finite_number(match["bound"])
        return None if number is None else (number, "")
    if match["relation"] is None:
        return 0.0, "+"
    number = finite_number(match["change"])
    if number is None:
        return None
    if match["relation"] == "*":
        return number, "*"
    return (-number if match["relation"] == "-" and number else number), "+"


def _part(match: re.Match[str]) -> Part | None:
    """Return the slice or the label; None if there is none, or if its quotes hold no JSON."""
    if match["column"] is None:
        return None
    try:
        return Part(_unquoted(match["column"]), _unquoted(match["value"]))
    except ValueError:
        return None


def _unquoted(text: str) -> str:
    """Return what is between quotes, as in a JSON string; else the text itself.

    Raises:
        ValueError: What is between the quotes is no JSON string.
    """
    return str(json.loads(text, strict=False)) if text.startswith('"') else text


def _check_name(expression: str, name: str, part: Part | None, *, names: GateNames) -> None:
    """Raise an error that names the nearest known name, unless there is a number of this name."""
    is_label = part is not None and part.column == LABEL and name in names.of_labels
    allowed = names.whole if part is None else names.of_slices
    if is_label or name in allowed:
        return
    if name in names.of_labels:
        raise UsageError(
            f"--fail-on {excerpt(expression)}: {name} is the number of a label",
            f"name the label, as in {name}[{LABEL}=NAME]",
        )
    known = [*allowed, *(names.of_labels if part is not None else ())]
    near = get_close_matches(name, known, n=1)
    raise UsageError(
        f"--fail-on {excerpt(expression)}: {names.owner} has no such name"
        + (" for a part of the rows" if part is not None else ""),
        (f"did you mean {near[0]}? It takes " if near else "use one of ") + listed(known, most=40),
    )


def finite_number(text: str) -> float | None:
    """Return the number, or None if the text is none; `float` alone takes nan, inf and 1_0."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and "_" not in text else None
