"""The methods of an evaluation, read from `--methods`: a name, and options of its own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Union, get_args, get_origin

from saliency_cli.attribution.maths import (
    Maths,
    MathsChoice,
    choose_objective,
    choose_propagation,
    choose_reduction,
)
from saliency_cli.attribution.methods import METHODS, build_method, method_parameters
from saliency_cli.errors import UsageError
from saliency_cli.safe_text import excerpt
from saliency_cli.settings import Setting, settings_of

_CHOICES = ("reduction", "propagation", "objective")
_VALUE = re.compile(r"[\w.+-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Variant:
    """A method with its options, under the name that `--methods` gives it."""

    name: str
    maths: Maths

    @property
    def folder(self) -> str:
        """The name of the folder of its run."""
        return re.sub("[:,]", "_", self.name)


def parse_variants(text: str, *, seed: int) -> list[Variant]:
    """Return the methods that `--methods` names.

    Args:
        text: Names separated by commas, each with its options: `name:option=value,option=value`.
        seed: The seed of methods that draw at random, unless an option of theirs says otherwise.

    Raises:
        UsageError: There is no such method or option, or a method is named twice.
    """
    names = _names(text)
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--methods names {excerpt(name)} twice", "name each method once")
    return [Variant(name, _maths(name, seed=seed)) for name in names]


def _names(text: str) -> list[str]:
    """Return the names; what follows a comma and has a value but no method is an option."""
    names: list[str] = []
    for piece in filter(None, map(str.strip, text.split(","))):
        if names and "=" in piece and ":" not in piece:
            names[-1] += f",{piece}"
        else:
            names.append(piece)
    if not names:
        raise UsageError("--methods names no method", f"give some of {', '.join(METHODS)}")
    return names


def _maths(name: str, *, seed: int) -> Maths:
    method_name, _, options = name.partition(":")
    if method_name not in METHODS:
        raise UsageError(
            f"--methods {excerpt(name)}: there is no such method",
            f"give some of {', '.join(METHODS)}",
        )
    given = dict(_option(name, each) for each in options.split(",") if each)
    chosen = {each: given.pop(each, None) for each in _CHOICES}
    own = {field.name for field in fields(METHODS[method_name])}  # type: ignore[arg-type]
    if "seed" in own:
        given = {"seed": seed, **given}
    method = build_method(method_name, given)
    return Maths(
        method,
        reduction=choose_reduction(method, chosen["reduction"]),
        propagation=choose_propagation(method, chosen["propagation"]),
        objective=choose_objective(method, chosen["objective"]),
    )


def _option(name: str, text: str) -> tuple[str, Any]:
    """Return the name and the value of an option of a method.

    Raises:
        UsageError: No method has such an option, or it has not such a value.
    """
    option, _, value = text.partition("=")
    known = _known_options()
    if option not in known or not _VALUE.fullmatch(value):
        raise UsageError(
            f"--methods {excerpt(name)}: {excerpt(text)} is not an option and its value",
            f"give one of {', '.join(known)}, as in gradient:reduction=l2",
        )
    setting = known[option]
    try:
        return option, _value(setting, value)
    except ValueError:
        raise UsageError(
            f"--methods {excerpt(name)}: {option} has no value {excerpt(value)}",
            "saliency explain --help lists what it takes",
        ) from None


def _known_options() -> Mapping[str, Setting]:
    choices = {each.name: each for each in settings_of(MathsChoice) if each.name in _CHOICES}
    return {**choices, **method_parameters()}


def _value(setting: Setting, text: str) -> Any:  # noqa: ANN401 - whatever the option holds
    """Return the value of an option; ValueError if the text is none, or out of bounds."""
    option = setting.option
    if option.parse is not None:
        return option.parse(text)
    value = _of_type(_alternatives(setting.type), text)
    setting.check_number(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        smallest, largest = option.minimum, option.maximum
        if (smallest is not None and value < smallest) or (largest is not None and value > largest):
            raise ValueError(text)
    return value


def _alternatives(declared: Any) -> Sequence[Any]:  # noqa: ANN401 - a type
    """Return the types, or the literals, that a value may be of."""
    if get_origin(declared) in {Union, UnionType}:
        return [each for part in get_args(declared) for each in _alternatives(part)]
    return get_args(declared) or (declared,)


def _of_type(kinds: Sequence[Any], text: str) -> Any:  # noqa: ANN401
    if text in kinds:
        return text
    if bool in kinds and text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        if kind in kinds:
            return kind(text)
    raise ValueError(text)
