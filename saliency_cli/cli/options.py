"""From groups of settings to the signature that Typer reads, and from parsed values to the groups.

A command is a function whose parameters are annotated with what it takes:

- a dataclass of `settings`, for all options of that group;
- `Annotated[Group, Only("a", "b")]`, for some of them;
- `Given[Group]`, for the options of the group that the user gave; the others are None;
- `Annotated[type, Option(...)]`, for one option of this command alone.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer

from saliency_cli import signals
from saliency_cli.attribution.methods import method_parameters
from saliency_cli.cli.error_boundary import boundary
from saliency_cli.settings import ConfigFileChoice, Setting, settings_of

Group = TypeVar("Group")


@dataclass(frozen=True, slots=True)
class Only:
    """Restricts a group to some of its options; the others keep their defaults."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


class MethodParameters:
    """The parameters of all attribution methods, as a group of options."""


@dataclass(frozen=True, slots=True)
class Given(Generic[Group]):
    """The options of a group as they were given, by name; None where an option was not given."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a command, with the settings that it is built from.

    Attributes:
        name: The parameter's name in the command's function.
        settings: The options that it takes.
        optional: Whether options that are not given are None, whatever their default.
        build: From parsed values, by the settings' names, to the parameter's value.
    """

    name: str
    settings: tuple[Setting, ...]
    optional: bool
    build: Callable[[Mapping[str, Any]], Any]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function that Typer can read: one parameter an option, errors turned into messages.

    The options are declared by the annotations of `function`; see the module's docstring.
    """
    parameters = parameters_of(function)
    config = [*_options_of(ConfigFileChoice)]  # `config_file.ConfiguredCommand` has read them

    @wraps(function)
    def run(**values: Any) -> None:  # noqa: ANN401 - what Typer parsed
        with boundary(debug=bool(values.get("debug"))):
            built = {each.name: each.build(values) for each in parameters}
            signals.raise_from_now_on()
            function(**built)

    typer_parameters = [
        _typer_parameter(setting, optional=each.optional)
        for each in parameters
        for setting in each.settings
    ]
    typer_parameters += [_typer_parameter(setting, optional=False) for setting in config]
    # Required ones first, as signatures have it; Typer takes the order for its help.
    typer_parameters.sort(key=lambda each: each.default is not inspect.Parameter.empty)
    run.__signature__ = inspect.Signature(typer_parameters)  # type: ignore[attr-defined]
    run.settings = [*(each for p in parameters for each in p.settings), *config]  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in typer_parameters}
    return run


def parameters_of(function: Callable[..., None]) -> list[Parameter]:
    """Return the parameters of a command's function, in their order."""
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function).parameters.values()
    return [_parameter(each.name, hints[each.name], each.default) for each in signature]


def _parameter(name: str, hint: Any, default: Any) -> Parameter:  # noqa: ANN401
    if get_origin(hint) is Given:
        (group,) = get_args(hint)
        settings = tuple(_options_of(group))
        return Parameter(name, settings, optional=True, build=lambda v: Given(_own(settings, v)))
    if get_origin(hint) is not Annotated:
        return _group_parameter(name, hint, tuple(_options_of(hint)))
    kind, extra = get_args(hint)[:2]
    if isinstance(extra, Only):
        kept = tuple(each for each in _options_of(kind) if each.path[-1] in extra.names)
        return _group_parameter(name, kind, kept)
    default = MISSING if default is inspect.Parameter.empty else default
    single = Setting((name,), kind, extra, default, "Output")
    return Parameter(name, (single,), optional=False, build=lambda v: _parsed(single, v))


def _group_parameter(name: str, group: type, settings: tuple[Setting, ...]) -> Parameter:
    def build(values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an instance of the group
        paths = {each.path: _parsed(each, values) for each in settings}
        return _instance(group, paths)

    return Parameter(name, settings, optional=False, build=build)


def _options_of(group: type) -> Iterator[Setting]:
    if group is MethodParameters:
        yield from method_parameters().values()
    else:
        yield from (each for each in settings_of(group) if not each.option.internal)


def _own(settings: tuple[Setting, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    return {each.path[-1]: _parsed(each, values) for each in settings}


def _parsed(setting: Setting, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the value of an option, read by its own `parse` where it has one, and checked."""
    value = values[setting.name]
    if setting.option.parse is not None and isinstance(value, str):
        value = setting.option.parse(value)
    setting.check_number(value)
    return value


def _instance(group: type, paths: Mapping[tuple[str, ...], Any]) -> Any:  # noqa: ANN401
    """Return an instance of a group, with the groups inside it, from values by their paths."""
    hints = get_type_hints(group)
    values = {path[0]: value for path, value in paths.items() if len(path) == 1}
    for field in fields(group):
        if is_dataclass(hints[field.name]):
            inner = {path[1:]: v for path, v in paths.items() if path[0] == field.name}
            values[field.name] = _instance(hints[field.name], inner)
    return group(**values)


def _typer_parameter(setting: Setting, *, optional: bool) -> inspect.Parameter:
    """Return the parameter of a signature that declares an option or an argument to Typer."""
    option = setting.option
    kind: Any = setting.type
    if option.parse is not None:
        kind = str
    elif option.choices:
        kind = Literal[option.choices]
    default = None if optional else setting.default
    if default is None:
        kind = kind | None
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[kind, _typer_info(setting, optional=optional)],
        default=inspect.Parameter.empty if default is MISSING else default,
    )


def _typer_info(setting: Setting, *, optional: bool) -> Any:  # noqa: ANN401 - Typer's classes
    option = setting.option
    if option.argument:
        return typer.Argument(metavar=setting.flag, help=option.help, show_default=False)
    return typer.Option(
        # Named explicitly: Typer 0.27 loses an option whose metavar is its name in capitals.
        _flag(setting, optional=optional),
        help=option.help,
        metavar=option.metavar,
        min=option.minimum,
        max=option.maximum,
        rich_help_panel=setting.panel,
        show_default=_shown_default(setting),
    )


def _flag(setting: Setting, *, optional: bool) -> str:
    """Return the flag; of a switch that can be on or off, both."""
    if setting.type is bool and (optional or setting.default is not False):
        return f"{setting.flag}/--no-{setting.flag.removeprefix('--')}"
    return setting.flag


def _shown_default(setting: Setting) -> str | bool:
    """Return what `--help` says of the default: nothing of a plain flag."""
    if setting.option.default:
        return setting.option.default.replace("`", "")
    if setting.default in {None, MISSING} or setting.default is False:
        return False
    if setting.type is bool:
        return "on"
    return str(setting.default)


def option_table(
    function: Callable[..., None], *, beside: Callable[..., None] | None = None
) -> str:
    """Return the options of a command as Markdown, for docs/command-line.md.

    Args:
        function: The command.
        beside: A command that is described elsewhere; options that both have are only named.
    """
    known = {} if beside is None else _described(beside)
    found = _described(function).items()
    shared = [setting for setting, optional in found if known.get(setting) is optional]
    own = [_row(each, optional=optional) for each, optional in found if each not in shared]
    lines = ["| option | meaning | default |", "| --- | --- | --- |", *own]
    if shared:
        lines += ["", f"Same as for `explain`: {', '.join(f'`{each.flag}`' for each in shared)}."]
    return "\n".join(lines)


def _described(function: Callable[..., None]) -> dict[Setting, bool]:
    """Return the options of a command, each with whether it is None if it is not given."""
    own = {
        setting: each.optional
        for each in parameters_of(inspect.unwrap(function))
        for setting in each.settings
        if not setting.option.argument
    }
    return own | dict.fromkeys(_options_of(ConfigFileChoice), False)


def _row(setting: Setting, *, optional: bool) -> str:
    option = setting.option
    names = [_flag(setting, optional=optional).replace("/", "`, `")]
    if option.metavar is not None:
        names.append(option.metavar.replace("|", "\\|"))
    default = option.default
    if not default and setting.default not in {None, MISSING} and setting.default is not False:
        default = f"`{setting.default}`"
    meaning = f"{option.help} {option.more}".strip()
    return f"| `{' '.join(names)}` | {meaning} | {default} |"
