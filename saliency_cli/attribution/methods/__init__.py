"""Attribution methods, one file each, by the name that `--method` takes.

To add a method, write its file (copy `gradient.py`, or `smoothgrad.py` if it draws at random) and
add its class to `METHODS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from saliency_cli.attribution.methods.attention import Attention
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.attribution.methods.integrated_gradients import IntegratedGradients
from saliency_cli.attribution.methods.lime import Lime
from saliency_cli.attribution.methods.occlusion import Occlusion
from saliency_cli.attribution.methods.random_scores import RandomScores
from saliency_cli.attribution.methods.shapley import Shapley
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.attribution.methods.smoothgrad_squared import SmoothGradSquared
from saliency_cli.attribution.methods.vargrad import VarGrad
from saliency_cli.errors import UsageError
from saliency_cli.settings import Setting, settings_of

METHODS: dict[str, type[Method]] = {
    each.name: each
    for each in (
        SmoothGrad,
        Gradient,
        IntegratedGradients,
        SmoothGradSquared,
        VarGrad,
        Occlusion,
        Lime,
        Shapley,
        Attention,
        RandomScores,
    )
}


def method_parameters() -> dict[str, Setting]:
    """Return the parameters of all methods by name, each once.

    Where defaults differ, the option's `default` says which method has which.

    Raises:
        TypeError: Two methods declare a parameter of one name with another type, help or bounds.
    """
    parameters: dict[str, Setting] = {}
    defaults: dict[str, dict[object, list[str]]] = {}
    for method in METHODS.values():
        for setting in settings_of(method):
            known = parameters.setdefault(setting.name, setting)
            if (known.option, known.type) != (setting.option, setting.type):
                raise TypeError(f"methods differ in what their parameter {setting.name} is")
            defaults.setdefault(setting.name, {}).setdefault(setting.default, []).append(
                method.name
            )
    return {
        name: _with_defaults(setting, defaults[name]) if len(defaults[name]) > 1 else setting
        for name, setting in parameters.items()
    }


def _with_defaults(setting: Setting, defaults: Mapping[object, Sequence[str]]) -> Setting:
    """Return a setting whose default says which methods have which."""
    return replace(setting, option=replace(setting.option, default=shown_defaults(defaults)))


def shown_defaults(defaults: Mapping[Any, Sequence[str]]) -> str:
    """Return as text which default the methods have: "`dot` of gradient; `l2` of others".

    Args:
        defaults: Default -> the names of the methods that have it.
    """
    return "; ".join(f"`{value}` of {', '.join(names)}" for value, names in defaults.items())


def build_method(name: str, given: Mapping[str, Any]) -> Method:
    """Return a method with the parameters that were given, and its own defaults for the others.

    Args:
        name: A key of `METHODS`.
        given: Parameter -> value; None where it was not given.

    Raises:
        UsageError: A parameter was given that the method does not have, or that it refuses.
    """
    method = METHODS[name]
    values = {parameter: value for parameter, value in given.items() if value is not None}
    own = [field.name for field in fields(method)]  # type: ignore[arg-type]
    for parameter in values:
        if parameter not in own:
            having_it = [each.name for each in METHODS.values() if parameter in _names(each)]
            raise UsageError(
                f"--method {name} has no --{parameter.replace('_', '-')}",
                f"leave it out, or choose --method {' or '.join(having_it)}",
            )
    return method(**values)


def _names(method: type[Method]) -> list[str]:
    return [field.name for field in fields(method)]  # type: ignore[arg-type]
