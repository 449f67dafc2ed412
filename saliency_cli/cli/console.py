"""Everything that is printed on stderr: progress, warnings, the closing table, errors.

Texts, labels and paths are printed as plain text: control characters are shown as escapes.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.control import Control
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
from rich.segment import ControlType
from rich.text import Text

from saliency_cli.gates import GateResult
from saliency_cli.percentages import percent_number
from saliency_cli.progress import Advance
from saliency_cli.runs.summary import FLIP_RATE_WARNING, Summary
from saliency_cli.safe_text import excerpt, message_line, visible

SLICES_SHOWN = 3
"""Weak slices that the closing table names."""

MOST_SUSPECTS = 5
"""Suspects in the closing table; the page lists all."""


class _Rows(ProgressColumn):
    """The column of a progress bar with the rows that are done and the rows per second."""

    def render(self, task: Task) -> Text:
        """Return the column's text; it has no rate until Rich can compute one."""
        speed = task.finished_speed or task.speed
        rate = f", {speed:.1f} rows/s" if speed else ""
        return Text(f"{task.completed:.0f} rows{rate}")


class Console:
    """Prints progress, warnings and the closing table of a run on stderr.

    A quiet console prints none of them; errors are printed by `show_error`, which is never quiet.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._rich = RichConsole(stderr=True, highlight=False, quiet=quiet)

    @contextmanager
    def progress(self, what: str, *, rows: int) -> Iterator[Advance]:
        """Show a progress bar while the block runs, if stderr is a terminal.

        Args:
            what: What is done, as the bar's label.
            rows: The number of rows in all.

        Yields:
            A function that moves the bar forward by a number of rows.
        """
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            _Rows(),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=self._rich, transient=True, disable=not self._animated)
        with bar:
            task = bar.add_task(visible(what), total=rows)
            yield lambda count: bar.advance(task, count)

    @property
    def _animated(self) -> bool:
        """Whether stderr is a terminal, where a bar or spinner can be drawn, and not quiet."""
        return self._rich.is_terminal and not self._rich.quiet

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show a spinner with a label while the block runs, if stderr is a terminal."""
        if not self._animated:
            yield
            return
        with self._rich.status(Text(visible(what))):
            yield

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Show "loading …" while the block imports libraries, if stderr is a terminal.

        It is a line without a spinner: a signal may end the process during an import, and a spinner
        would leave the cursor hidden.
        """
        shown = self._animated and not self._rich.is_dumb_terminal
        if shown:
            self._rich.print("loading …", end="\r", style="dim")
        yield
        if shown:
            self._rich.control(Control((ControlType.ERASE_IN_LINE, 2)))

    def warn(self, message: str) -> None:
        """Print a warning in one line."""
        self._rich.print(
            Text.assemble(("warning: ", "bold yellow"), message_line(message)), soft_wrap=True
        )

    def note(self, message: str | None) -> None:
        """Print in one line what is worth knowing but needs no change; nothing if it is None."""
        if message is not None:
            self._rich.print(
                Text.assemble(("note: ", "bold"), message_line(message)), soft_wrap=True
            )

    def closing(
        self,
        summary: Summary,
        *,
        report: str,
        suspects: Sequence[str] = (),
        gates: Sequence[GateResult] = (),
    ) -> None:
        """Print the closing table of a run.

        Args:
            summary: The numbers of the run.
            report: The path of the report.
            suspects: A line for each shortcut suspect that was checked.
            gates: How the gates ended, in the order in which they are shown.
        """
        self._table(
            summary,
            *(("gate", f"{each.outcome}: {each.sentence}") for each in gates),
            *(("suspect", each) for each in suspects[:MOST_SUSPECTS]),
            ("report", visible(report)),
        )

    def closing_share(self, summary: Summary, *, shards: int, of: int) -> None:
        """Print the closing table of a run with `--shard`, and how to complete the report.

        Args:
            summary: The numbers of this process's shards.
            shards: The number of this process's shards.
            of: The number of shards of the whole run.
        """
        next_step = "saliency report DIR writes the report once all shards are explained"
        self._table(summary, ("shards", f"{shards} of {of}; {next_step}"))

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines of text as they are."""
        for line in lines:
            self._rich.print(Text(visible(line)), soft_wrap=True)

    def _table(self, summary: Summary, *more: tuple[str, str]) -> None:
        """Print the summary's lines, and more lines of a name and a value."""
        for label, text in (*_lines(summary), *more):
            self._rich.print(Text.assemble((f"{label:<20} ", "dim"), text), soft_wrap=True)


def show_error(message: str, hint: str | None) -> None:
    """Print an error on stderr in one line, and its hint, if it has one, in a second line.

    Args:
        message: What is wrong.
        hint: What the user can type next, or None.
    """
    console = RichConsole(stderr=True, highlight=False)
    console.print(Text.assemble(("error: ", "bold red"), message_line(message)), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("hint: ", "bold"), message_line(hint)), soft_wrap=True)


def show_failure(message: str) -> None:
    """Print one line on stderr: which bound of `--fail-on` the run does not meet."""
    console = RichConsole(stderr=True, highlight=False)
    console.print(Text.assemble(("failed: ", "bold red"), message_line(message)), soft_wrap=True)


def warnings(summary: Summary, *, unconverged: int, repeats: bool) -> Iterator[str]:
    """Yield warnings about a run whose results need care.

    Args:
        summary: The numbers of the run.
        unconverged: The number of rows whose errors did not fall below the tolerance.
        repeats: Whether the model gives a text the same logits again; else the noise is not to
            blame for changed predictions.
    """
    if summary.quarantined:
        yield f"{summary.quarantined} of {summary.rows} rows were not explained; see the report"
    if summary.flip_rate is not None and summary.flip_rate > FLIP_RATE_WARNING:
        cause = (
            "the noise changes" if repeats else "the noise or the model's own randomness changes"
        )
        remedy = "; use a smaller --noise" if repeats else ""
        yield (
            f"{cause} the prediction in {percent_number(summary.flip_rate)}% of passes, "
            f"so the explanations are unreliable{remedy}"
        )
    if unconverged:
        yield (
            f"{unconverged} rows did not converge within the passes that --samples auto allows; "
            "their standard errors show how reliable they are"
        )


def _weak_lines(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield the lines about weak slices and rows whose gold label may be wrong."""
    weak = summary.weak_slices()
    shown = [
        f"{excerpt(column)} {excerpt(value)}: {of['accuracy']:.1%} of {of['gold_known']} right"
        for column, value, of in weak[:SLICES_SHOWN]
    ]
    if weak:
        yield "weak slices", "; ".join(shown + ["…"] * (len(weak) > SLICES_SHOWN))
    if summary.mislabelled:
        yield "gold to check", f"{summary.mislabelled} rows may be mislabelled; see the report"


def _lines(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield label and text of each line of the closing table."""
    yield "rows", f"{summary.rows} ({summary.ok} explained, {summary.quarantined} quarantined)"
    if summary.accuracy_text is not None:
        wrong, known = summary.wrong or 0, summary.gold_known
        yield "accuracy", summary.accuracy_text
        yield "wrong", f"{wrong} of {known} prediction{'s' if known != 1 else ''}"
    yield from _weak_lines(summary)
    if summary.special_share is not None:
        yield "on special tokens", f"{percent_number(summary.special_share)}% of the shares"
    if summary.flip_rate is not None:
        share = percent_number(summary.flip_rate)
        yield "overturned", f"{share}% of predictions, by tiny changes"
    if summary.samples is not None:
        yield "samples per text", f"{summary.samples:.1f}"
    if summary.truncated:
        yield "truncated texts", f"{summary.truncated}, to the model's maximum length"
