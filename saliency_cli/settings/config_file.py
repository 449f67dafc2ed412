"""Options of the file that other options may stand in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from saliency_cli.settings.option import NOTHING, Option


@dataclass(frozen=True, slots=True)
class ConfigFileChoice:
    """Where options are read from that the command line does not give."""

    panel: ClassVar[str] = "Configuration"

    config_file: Annotated[
        Path | None,
        Option(
            "A TOML file with a table of options for each command; the command line comes first.",
            more="([more](gates.md#options-in-a-file))",
            metavar="FILE",
            default="`saliency.toml` in the working directory, if it is there",
            effect=NOTHING,
        ),
    ] = None
    no_config_file: Annotated[
        bool,
        Option("Read no such file, whether or not it is there.", effect=NOTHING),
    ] = False
