"""How a field of a dataclass is declared as an option of the command line."""

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, fields, is_dataclass
from enum import Enum, auto
from math import isfinite
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from saliency_cli.errors import UsageError
from saliency_cli.safe_text import excerpt

MAX_INTEGER = 2**63 - 1
"""The largest integer of an option without a maximum: what Python takes as an index or a length."""


class Effect(Enum):
    """What a setting changes, and so whether two processes that write one run may differ in it."""

    NUMBERS = auto()
    """Recorded in the manifest's options and compared there: processes that differ are refused."""
    RESOLVED = auto()
    """Changes numbers through something that the manifest records and compares under another name:
    the SHA-256 of the files that a path names, the device that was chosen for `auto`."""
    PAGES = auto()
    """Changes the pages and what is found on records that are complete: recorded for `saliency
    report`, never compared."""
    NOTHING = auto()
    """Neither recorded nor compared: it changes no number, as where output is written or what is
    printed. (`--template-dir` changes the pages, but is a path, which no output may hold.)"""


@dataclass(frozen=True, slots=True)
class Option:
    """How a field is given on the command line, described in the docs and treated in the manifest.

    Attributes:
        help: One sentence for `--help` and the docs.
        more: Markdown that the docs add to the sentence.
        flag: The long option, where it is not the field's name with hyphens; of an argument its
            name in `--help`. Empty: derived from the field.
        metavar: What stands for the value in `--help`.
        default: What the docs say of the default. Empty: the field's default.
        minimum: Smallest value that is accepted.
        maximum: Largest value that is accepted; `MAX_INTEGER` if it is None.
        choices: The values that are accepted, where a registry lists them.
        parse: Turns the text that was given into the field's value; raises UsageError.
        effect: Whether the manifest records and compares the value; NUMBERS unless stated.
        record: Turns the value into what the manifest holds, where that is not the value itself.
        argument: Whether it is an argument without a flag.
        internal: Whether the program sets the field and no option does.
        trusted_only: Whether it runs code, opens a connection or chooses a file to replace: then a
            configuration file that was only found beside the call may not set it.
    """

    help: str = ""
    _: KW_ONLY
    more: str = ""
    flag: str = ""
    metavar: str | None = None
    default: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    effect: Effect = Effect.NUMBERS
    record: Callable[[Any], Any] | None = None
    argument: bool = False
    internal: bool = False
    trusted_only: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a group of options, as the command line, the docs and the manifest need it.

    Attributes:
        path: Names of the attributes that lead from the group to the value.
        type: The value's type.
        option: The field's declaration.
        default: The field's default, or `dataclasses.MISSING`.
        panel: The heading of the group in `--help`.
    """

    path: tuple[str, ...]
    type: Any
    option: Option
    default: Any
    panel: str

    @property
    def flag(self) -> str:
        """The long option, as in `--text-column`; of an argument its name."""
        return self.option.flag or f"--{self.path[-1].replace('_', '-')}"

    @property
    def name(self) -> str:
        """The name in signatures and in the manifest, as in `text_column`."""
        return self.flag.removeprefix("--").replace("-", "_").lower()

    def check_number(self, value: object) -> None:
        """Raise an error if a value is a number that is not finite or out of the option's bounds.

        Typer compares with the bounds too, but NaN and infinity pass a bound that is not declared.

        Raises:
            UsageError: The number is refused; the message names the option.
        """
        if not isinstance(value, int | float) or isinstance(value, bool):
            return
        shown = excerpt(f"{self.flag} {value}")
        if isinstance(value, float) and not isfinite(value):
            raise UsageError(f"{shown}: the number is not finite")
        largest = MAX_INTEGER if self.option.maximum is None else self.option.maximum
        if isinstance(value, int) and value > largest:
            raise UsageError(f"{shown}: give {largest:,} at most")


def settings_of(group: Any) -> Iterator[Setting]:  # noqa: ANN401 - a dataclass or a method's class
    """Yield the settings of a group of options, those of the groups inside it included.

    A field without an `Option` counts as one that changes numbers and that no option sets.
    """
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        declared = hints[field.name]
        if is_dataclass(declared):
            for inner in settings_of(declared):
                yield Setting(
                    (field.name, *inner.path), inner.type, inner.option, inner.default, inner.panel
                )
            continue
        options = [each for each in get_args(declared)[1:] if isinstance(each, Option)]
        annotated = get_origin(declared) is Annotated
        yield Setting(
            (field.name,),
            get_args(declared)[0] if annotated else declared,
            options[0] if annotated and options else Option(internal=True),
            field.default,
            getattr(group, "panel", ""),
        )


NUMBERS, RESOLVED, PAGES, NOTHING = Effect  # in the order of their declaration
