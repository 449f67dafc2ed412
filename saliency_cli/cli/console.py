"""Everything that a person sees on stderr: progress, warnings, the closing table, errors.

Texts, labels and paths reach the terminal as plain text, their control characters made visible.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from saliency_cli.runs.summary import FLIP_RATE_WARNING, Summary
from saliency_cli.safe_text import visible

Advance = Callable[[int], None]


class _Rows(ProgressColumn):
    """Rows explained, and rows a second."""

    def render(self, task: Task) -> Text:
        """Write both, once there is a rate to speak of."""
        speed = task.finished_speed or task.speed
        rate = f", {speed:.1f} rows/s" if speed else ""
        return Text(f"{task.completed:.0f} rows{rate}")


class Console:
    """The person's side of a run; a quiet one says nothing but errors."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._rich = RichConsole(stderr=True, highlight=False, quiet=quiet)

    @contextmanager
    def progress(self, what: str, *, rows: int) -> Iterator[Advance]:
        """Show a bar by rows, on a terminal; yields what to call with how many more are done."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            _Rows(),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=self._rich, transient=True, disable=not self._live)
        with bar:
            task = bar.add_task(visible(what), total=rows)
            yield lambda count: bar.advance(task, count)

    @property
    def _live(self) -> bool:
        return self._rich.is_terminal and not self._rich.quiet

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something without a length is under way."""
        if not self._live:
            yield
            return
        with self._rich.status(Text(visible(what))):
            yield

    def warn(self, message: str) -> None:
        """Say what a person should know before trusting the result."""
        self._rich.print(
            Text.assemble(("warning: ", "bold yellow"), visible(message)), soft_wrap=True
        )

    def closing(self, summary: Summary, *, report: str) -> None:
        """Show the run in a few numbers, and where its report is."""
        self._table(summary, "report", visible(report))

    def closing_share(self, summary: Summary, *, shards: int, of: int) -> None:
        """Show a part of a run in a few numbers, and what makes it a whole."""
        rest = "saliency report DIR makes the report once all are there"
        self._table(summary, "shards", f"{shards} of {of}; {rest}")

    def _table(self, summary: Summary, name: str, value: str) -> None:
        for each, number in (*_lines(summary), (name, value)):
            self._rich.print(Text.assemble((f"{each:<20} ", "dim"), number), soft_wrap=True)


def show_error(message: str, hint: str | None) -> None:
    """Write an error in one line, and the way out in a second where there is one."""
    console = RichConsole(stderr=True, highlight=False)
    console.print(Text.assemble(("error: ", "bold red"), visible(message)), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("hint: ", "bold"), visible(hint)), soft_wrap=True)


def show_failure(message: str) -> None:
    """Write which gate a run fails, in one line."""
    console = RichConsole(stderr=True, highlight=False)
    console.print(Text.assemble(("failed: ", "bold red"), visible(message)), soft_wrap=True)


def warnings(summary: Summary, *, unconverged: int) -> Iterator[str]:
    """Say what in a summary should give pause."""
    if summary.quarantined:
        yield f"{summary.quarantined} of {summary.rows} rows were not explained; see the report"
    if summary.flip_rate is not None and summary.flip_rate > FLIP_RATE_WARNING:
        yield (
            f"the noise changes the prediction in {summary.flip_rate:.1%} of passes, "
            "and with it what is explained; take less --noise"
        )
    if unconverged:
        yield (
            f"{unconverged} rows did not settle within the passes that --samples auto allows; "
            "their errors tell how far to trust them"
        )


def _lines(summary: Summary) -> Iterator[tuple[str, str]]:
    yield "rows", f"{summary.rows} ({summary.ok} explained, {summary.quarantined} quarantined)"
    if summary.accuracy is not None:
        yield "accuracy", f"{summary.accuracy:.1%}"
    if summary.ok:
        yield "special-token share", f"{summary.special_share:.1%}"
        yield "flip rate", f"{summary.flip_rate:.1%}"
        yield "passes a text", f"{summary.samples:.1f}"
    if summary.truncated:
        yield "texts cut", f"{summary.truncated}, to what the model takes"
