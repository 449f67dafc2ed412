"""The commands beside `explain`: parse, call, exit code."""

from saliency_cli import options
from saliency_cli.archive import open_run
from saliency_cli.boundary import boundary
from saliency_cli.console import Console


def report(
    folder: options.RunPath,
    html_rows: options.RerenderedRows = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write the pages of DIR again, from its records and manifest alone."""
    with boundary(debug=debug):
        from saliency_cli.report import render  # noqa: PLC0415 - brings Jinja
        from saliency_cli.store import INDEX  # noqa: PLC0415

        console = Console(quiet=quiet)
        run = open_run(folder)
        with console.waiting("reading the records"):
            run.check()
        with console.waiting("writing the pages"):
            run.folder.clear_pages()
            render(run.folder, html_rows=html_rows)
        console.closing(run.summary, report=str(folder / INDEX))


def export(
    folder: options.RunPath,
    format_name: options.ExportFormat,
    output: options.ExportOutput = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write the records of DIR in another format, to stdout or a file."""
    with boundary(debug=debug):
        from saliency_cli.exports.writing import left_out, write  # noqa: PLC0415 - csv, XML, heaps

        run = open_run(folder)
        write(run, format_name, output=output)
        missing = left_out(run, format_name)
        if missing:
            Console(quiet=quiet).warn(
                f"--format {format_name} has no place for the {missing} quarantined rows"
            )
