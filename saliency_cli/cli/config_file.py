"""`saliency.toml`: options that the command line does not give, by command and name.

    [explain]
    samples = 16
    fail-on = ["accuracy<0.9"]

The values become Typer's defaults of the command, so they pass the same checks as typed ones. A
file that was merely found beside the call may come with the data that is explained: it may not set
an option that runs code, opens a connection or chooses a file to replace (`Option.trusted_only`).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand

from saliency_cli.cli.console import Console
from saliency_cli.cli.error_boundary import boundary
from saliency_cli.cli.suggestions import nearest_or_all
from saliency_cli.errors import UsageError
from saliency_cli.safe_text import excerpt, listed, visible
from saliency_cli.settings import Setting

FOUND = Path("saliency.toml")
"""The file that is read if it is in the working directory."""
LARGEST_BYTES = 2**20
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}
_LIST = "a list of texts in quotes"


class ConfiguredCommand(TyperCommand):
    """A command whose options may stand in a file."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's context
        """Parse the arguments, with the file's values as defaults; see `TyperCommand`."""
        given, _, _ = self.make_parser(ctx).parse_args([*args])
        if not ctx.resilient_parsing and not given.get("help"):
            with boundary(debug=bool(given.get("debug"))):
                ctx.default_map = _defaults(ctx, given)
        return super().parse_args(ctx, args)


def _defaults(ctx: Any, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Return the values of the file for one command, and say on stderr which are taken.

    Args:
        ctx: Typer's context of the command.
        given: The options of the command line, by parameter name.

    Raises:
        UsageError: The file cannot be read, or holds what is refused.
    """
    named = given.get("config_file")
    if named is not None and given.get("no_config_file"):
        raise UsageError("--config-file and --no-config-file exclude each other", "give one")
    if given.get("no_config_file"):
        return {}
    path = FOUND if named is None else Path(named)
    if named is None and not path.exists():
        return {}
    tables = _read(path)
    commands = ctx.parent.command.commands
    _check_names(tables, commands, path, what="table")
    defaults = {
        name: _checked(table, commands[name], path, where=name, trusted=named is not None)
        for name, table in tables.items()
    }.get(ctx.info_name, {})
    console = Console(quiet=bool(given.get("quiet") or defaults.get("quiet")))
    for note in _notes(defaults, given, file=visible(str(path))):
        console.note(note)
    return defaults


def _notes(defaults: Mapping[str, Any], given: Mapping[str, Any], *, file: str) -> Iterator[str]:
    """Yield which options of the file are taken, and which lists the command line replaces.

    A list is named because a gate that is typed would else switch off those of the file unseen.
    """
    taken = [_flag(name) for name in defaults if name not in given]
    if taken:
        yield f"{file} sets {listed(sorted(taken), most=40)}"
    for name, values in defaults.items():
        if name in given and isinstance(values, list) and values:
            yield f"{_flag(name)} of the command line replaces that of {file}: {listed(values)}"


def _read(path: Path) -> dict[str, Any]:
    """Return the tables of a file.

    Raises:
        UsageError: It is missing, no plain file, too large, or no TOML.
    """
    import tomllib  # noqa: PLC0415 - a command without a file does not need it

    shown = visible(str(path))
    hint = "--no-config-file reads none"
    if not path.is_file():
        kind = "is not a plain file" if path.exists() else "there is no such file"
        raise UsageError(f"--config-file {shown}: {kind}", hint)
    with path.open("rb") as stream:
        content = stream.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise UsageError(f"{shown} is larger than {LARGEST_BYTES:,} bytes", hint)
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError as well
        reason = excerpt(str(error)) if isinstance(error, ValueError) else "it is nested too deeply"
        raise UsageError(f"{shown} is not valid TOML: {reason}", hint) from None


def _checked(
    table: Any,  # noqa: ANN401 - any TOML value
    command: Any,  # noqa: ANN401 - Typer's command
    path: Path,
    *,
    where: str,
    trusted: bool,
) -> dict[str, Any]:
    """Return the values of a table by parameter name, each of the option's type.

    Args:
        table: The table.
        command: The command of its name.
        path: The file, for messages.
        where: The table's name.
        trusted: Whether `--config-file` named the file.

    Raises:
        UsageError: An option is unknown or refused, or its value has another type.
    """
    file = visible(str(path))
    if type(table) is not dict:
        raise UsageError(f"{file}: {excerpt(where)} is no table", f"write [{excerpt(where)}]")
    settings = {
        each.flag.removeprefix("--"): each
        for each in command.callback.settings
        if not each.option.argument and each.name not in {"config_file", "no_config_file"}
    }
    _check_names(table, settings, path, what=f"option of [{where}]")
    for name, value in table.items():
        _check_value(settings[name], value, where=f"{file}: {name} of [{where}]")
        if settings[name].option.trusted_only and not trusted:
            raise UsageError(
                f"{file}: {name} of [{where}] is not taken from a file that was found beside the "
                "call",
                f"type --{name}, or name the file with --config-file if you trust its author",
            )
    return {settings[name].name: _as_typed(settings[name], each) for name, each in table.items()}


def _check_names(given: Iterable[str], known: Iterable[str], path: Path, *, what: str) -> None:
    """Raise an error that names the nearest known name, unless all names are known."""
    names = [*known]
    for name in given:
        if name not in names:
            raise UsageError(
                f"{visible(str(path))}: there is no {what} called {excerpt(name)}",
                nearest_or_all(name.replace("_", "-"), names, most=60),
            )


def _check_value(setting: Setting, value: object, *, where: str) -> None:
    kinds = _kinds(setting)
    if list in kinds:
        if type(value) is list and all(type(each) is str for each in value):
            return
        name = setting.flag.removeprefix("--")
        raise UsageError(f"{where} is not {_LIST}", f'write {name} = ["…"], also for one value')
    if type(value) not in kinds:
        wanted = " or ".join(_KINDS[kind] for kind in _KINDS if kind in kinds)
        raise UsageError(f"{where} is not {wanted}", "as on the command line")


def _kinds(setting: Setting) -> set[type]:
    """Return the types of TOML that an option takes."""
    if setting.option.parse is not None:
        return {str, int, float}
    members = get_args(setting.type) or (setting.type,)
    if get_origin(setting.type) in {list, Literal}:
        members = (setting.type,)
    kinds: set[type] = set()
    for each in members:
        if get_origin(each) is list:
            kinds.add(list)
        elif each in {bool, int}:
            kinds.add(each)
        elif each is float:
            kinds |= {int, float}
        elif each is not type(None):
            kinds.add(str)
    return kinds


def _as_typed(setting: Setting, value: Any) -> Any:  # noqa: ANN401 - a value of TOML
    """Return a value as the command line would give it: text where the option parses text."""
    return str(value) if setting.option.parse is not None else value


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def add_command(app: typer.Typer, function: Any, name: str | None = None) -> None:  # noqa: ANN401
    """Add a command that reads its options from the file, too.

    Args:
        app: The group of commands.
        function: What `options.command` returned.
        name: The command's name, where it is not the function's.
    """
    app.command(name, cls=ConfiguredCommand)(function)
