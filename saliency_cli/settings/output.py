"""Options of the run folder, the pages, the shards and the console."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from saliency_cli.errors import UsageError
from saliency_cli.settings.option import NOTHING, PAGES, RESOLVED, Option


@dataclass(frozen=True, slots=True)
class PageChoice:
    """How the pages are written.

    Templates in `template_dir` replace those of the same name.
    """

    panel: ClassVar[str] = "Output"

    title: Annotated[
        str | None,
        Option(
            "Title of the pages.",
            metavar="TEXT",
            default="from the model's name",
            effect=PAGES,
        ),
    ] = None
    html_rows: Annotated[
        int,
        Option(
            "Rows on the pages: those that the summary names, then an even sample.",
            more="The [summary](report.md) counts all rows, and the records hold them; 0 gives the "
            "summary alone.",
            metavar="N",
            minimum=0,
            effect=PAGES,
        ),
    ] = 5000
    single_file: Annotated[
        bool,
        Option(
            "Write all rows on the pages into index.html, however many.",
            default="pages of 500",
            effect=PAGES,
        ),
    ] = False
    template_dir: Annotated[
        Path | None,
        Option(
            "A folder of templates that replace those of the same name. They run in a sandbox, "
            "and are tried on an example first.",
            more="([browsing](browsing.md#templates))",
            metavar="DIR",
            default="none",
            effect=NOTHING,
            trusted_only=True,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class OutputChoice:
    """Where the run is written, and what happens to an earlier run there."""

    panel: ClassVar[str] = "Output"

    folder: Annotated[
        Path,
        Option(
            "Folder that the run is written to.",
            flag="--out",
            metavar="DIR",
            effect=NOTHING,
        ),
    ] = Path("saliency-report")
    overwrite: Annotated[
        bool,
        Option(
            "Replace the earlier run in --out.",
            more="Files that no run wrote are never touched.",
            default="refuse",
            effect=NOTHING,
            trusted_only=True,
        ),
    ] = False
    resume: Annotated[
        bool,
        Option(
            "Resume the unfinished run in --out, or start one if there is none.",
            more="([how](runs.md))",
            default="refuse",
            effect=NOTHING,
        ),
    ] = False
    pages: PageChoice = PageChoice()


@dataclass(frozen=True, slots=True)
class ShardSelection:
    """A process's part of the shards: every `count`-th, from the `index`-th on, counted from 1."""

    index: int
    count: int

    def of(self, numbers: range) -> range:
        """Return the shard numbers that are part of the selection."""
        return numbers[self.index - 1 :: self.count]


def parse_shard_selection(text: str) -> ShardSelection:
    """Return the selection that `--shard I/N` names, as 2/8 does.

    Raises:
        UsageError: the text is no such pair of numbers.
    """
    index, _, count = text.partition("/")
    if all(part.isascii() and part.isdecimal() and len(part) < 10 for part in (index, count)):
        selection = ShardSelection(int(index), int(count))
        if 1 <= selection.index <= selection.count:
            return selection
    raise UsageError(f"--shard {text!r}: give I/N, such as 2/8 for the second of eight parts")


@dataclass(frozen=True, slots=True)
class Sharding:
    """How the rows are divided into shards, and which of those this process explains."""

    panel: ClassVar[str] = "Output"

    selection: Annotated[
        ShardSelection | None,
        Option(
            "Explain only every N-th shard, from the I-th on, while other processes or "
            "machines explain the others.",
            more="([how](runs.md#sharing-a-run-between-processes))",
            flag="--shard",
            metavar="I/N",
            default="all",
            parse=parse_shard_selection,
            effect=NOTHING,
        ),
    ] = None
    shard_rows: Annotated[
        int | None,
        Option(
            "Rows that are committed together, and computed again where a run stopped.",
            metavar="N",
            default="follows from the number of rows: 125 to 2048",
            minimum=1,
            effect=RESOLVED,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ConsoleChoice:
    """What is printed beside the data."""

    panel: ClassVar[str] = "Output"

    quiet: Annotated[bool, Option("Print nothing but errors.", effect=NOTHING)] = False
    debug: Annotated[bool, Option("Print the traceback of an error.", effect=NOTHING)] = False
