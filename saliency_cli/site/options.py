"""Options of `saliency site`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from saliency_cli.settings import Effect, Option


@dataclass(frozen=True, slots=True)
class SiteChoice:
    """Where the site is written."""

    panel: ClassVar[str] = "Output"

    folder: Annotated[
        Path,
        Option(
            "Folder that the site is written to.",
            flag="--out",
            metavar="DIR",
            effect=Effect.NOTHING,
        ),
    ] = Path("saliency-site")
    overwrite: Annotated[
        bool,
        Option(
            "Update the earlier site in --out.",
            more="What has not changed is not computed again; files that no site wrote are never "
            "touched.",
            default="refuse",
            effect=Effect.NOTHING,
            trusted_only=True,
        ),
    ] = False
