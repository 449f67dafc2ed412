"""Options of the input; its formats are those of the registry."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from saliency_cli.inputs.dialect import parse_delimiter, parse_encoding
from saliency_cli.inputs.formats import FORMATS, STDIN_FORMAT, known_suffixes
from saliency_cli.safe_text import visible
from saliency_cli.settings import Effect, Option


def _visible_names(names: list[str] | None) -> list[str]:
    return [*map(visible, names or ())]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a row's parts; None takes the usual name where the input has it."""

    panel: ClassVar[str] = "Texts"

    text: Annotated[str, Option("Column of the text.", flag="--text-column", metavar="NAME")] = (
        "text"
    )
    pair: Annotated[
        str | None,
        Option(
            "Column of the second text of a pair, for models that read two.",
            flag="--pair-column",
            metavar="NAME",
            default="none",
        ),
    ] = None
    label: Annotated[
        str | None,
        Option(
            "Column of the gold label: a name, or an index.",
            flag="--label-column",
            metavar="NAME",
            default="`label`, where there is one",
        ),
    ] = None
    id: Annotated[
        str | None,
        Option(
            "Column of the row's id.",
            flag="--id-column",
            metavar="NAME",
            default="`id`, where there is one",
        ),
    ] = None
    slices: Annotated[
        list[str] | None,
        Option(
            "A column whose values are slices: each has figures of its own.",
            more="May be given several times. ([the figures](report.md#where-it-is-weak))",
            flag="--slice-column",
            metavar="NAME",
            default="none; length and script are always slices",
            record=_visible_names,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class TextsChoice:
    """Which texts are explained: a path, or "-" for standard input."""

    panel: ClassVar[str] = "Texts"

    path: Annotated[
        str,
        Option(
            f"A {' '.join(known_suffixes())} file, those of text also .gz, or - for "
            "standard input.",
            flag="TEXTS",
            argument=True,
            effect=Effect.RESOLVED,
        ),
    ]
    format: Annotated[
        str | None,
        Option(
            f"Format of TEXTS: {', '.join(FORMATS)}.",
            choices=tuple(FORMATS),
            flag="--input-format",
            default=f"from the suffix; `-` is `{STDIN_FORMAT}`",
        ),
    ] = None
    delimiter: Annotated[
        str | None,
        Option(
            "The character between two cells of CSV and TSV; tab for a tab.",
            metavar="CHAR",
            default="found in the header: a comma, a semicolon, a tab or \\|",
            parse=parse_delimiter,
            effect=Effect.RESOLVED,
        ),
    ] = None
    encoding: Annotated[
        str | None,
        Option(
            "Encoding of TEXTS, as Python names it: utf-8, cp1252, mac-roman.",
            metavar="NAME",
            default="UTF-8; of CSV and TSV Windows-1252 where the first lines can be nothing else",
            parse=parse_encoding,
            effect=Effect.RESOLVED,
        ),
    ] = None
    columns: Columns = Columns()
    limit: Annotated[
        int | None, Option("Stop after N rows.", metavar="N", default="all rows", minimum=1)
    ] = None
