"""The commands beside `explain`: parse, call, exit code. Only `show` brings torch."""

from saliency_cli import signals
from saliency_cli.cli import options
from saliency_cli.cli.choices import MathsGiven, choose_maths
from saliency_cli.cli.console import Console
from saliency_cli.cli.error_boundary import boundary
from saliency_cli.runs.finished_run import open_run
from saliency_cli.safe_text import escape_json
from saliency_cli.settings import Compute, ModelChoice, Question, TargetChoice
from saliency_cli.stdout import write_data


def report(
    folder: options.RunPath,
    html_rows: options.RerenderedRows = None,
    title: options.RerenderedTitle = None,
    single_file: options.RerenderedSingleFile = None,
    template_dir: options.TemplateDir = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write the pages of DIR again, from its records and manifest alone."""
    with boundary(debug=debug):
        from saliency_cli.report import check_templates, render  # noqa: PLC0415 - brings Jinja
        from saliency_cli.runs.finalize import finish_if_unfinished  # noqa: PLC0415 - brings torch
        from saliency_cli.runs.run_folder import INDEX, RunFolder  # noqa: PLC0415

        signals.unwind()
        console = Console(quiet=quiet)
        finish_if_unfinished(RunFolder(folder))
        run = open_run(folder)
        given = {"html_rows": html_rows, "title": title, "single_file": single_file}
        pages = run.page_choice(given, template_dir=template_dir)
        check_templates(pages.template_dir)
        with console.waiting("reading the records"):
            run.check_records()
        with console.waiting("writing the pages"):
            run.folder.clear_pages()
            render(run.folder, pages)
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
        from saliency_cli.exports.writer import left_out, write  # noqa: PLC0415 - csv, XML, heaps

        signals.unwind()
        run = open_run(folder)
        write(run, format_name, output=output)
        missing = left_out(run, format_name)
        if missing:
            Console(quiet=quiet).warn(
                f"--format {format_name} has no place for the {missing} quarantined rows"
            )


def show(
    model: options.ModelPath,
    text: options.OneText,
    pair: options.OnePair = None,
    as_json: options.RecordAsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
    tokenizer: options.Tokenizer = None,
    config: options.Config = None,
    arch: options.Arch = None,
    labels: options.Labels = None,
    base_model: options.BaseModel = None,
    unsafe_pickle: options.UnsafePickle = False,
    embedding_layer: options.EmbeddingLayer = None,
    max_length: options.MaxLength = None,
    stride: options.Stride = None,
    multi_label: options.MultiLabel = False,
    method: options.Method = "smoothgrad",
    reduction: options.Reduction = None,
    target: options.Target = "predicted",
    contrast: options.Contrast = None,
    threshold: options.Threshold = 0.5,
    samples: options.Samples = None,
    tolerance: options.Tolerance = None,
    antithetic: options.Antithetic = None,
    noise: options.Noise = None,
    preset: options.Preset = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    attention: options.Attention = "auto",
    batch_tokens: options.BatchTokens = None,
) -> None:
    """Explain one text, or a pair, and shade it in the terminal."""
    with boundary(debug=debug):
        question = Question(
            model=ModelChoice(
                checkpoint=model,
                tokenizer=tokenizer,
                config=config,
                arch=arch,
                labels=labels,
                base_model=base_model,
                unsafe_pickle=unsafe_pickle,
                embedding_layer=embedding_layer,
                multi_label=multi_label,
                embeddings_block=preset is not None and embedding_layer is None,
            ),
            compute=Compute(
                device=device,
                dtype=dtype,
                attention=attention,
                batch_tokens=batch_tokens,
                max_length=max_length,
                stride=stride,
            ),
            maths=choose_maths(
                MathsGiven(reduction, samples, antithetic, noise, tolerance),
                method=method,
                preset=preset,
                seed=seed,
                target=TargetChoice(name=target, contrast=contrast, threshold=threshold),
            ),
            text=text,
            pair=pair,
        )
        from saliency_cli.cli.pipeline import answer  # noqa: PLC0415 - brings torch, which --help does not need
        from saliency_cli.cli.terminal import shaded  # noqa: PLC0415
        from saliency_cli.runs.run_folder import record_line  # noqa: PLC0415

        signals.unwind()
        record = answer(question, Console(quiet=quiet))
        shown = escape_json(record_line(record)) if as_json else shaded(record)
        write_data([shown.encode()])
