"""The options of the command line, each declared once for all commands that take it."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from saliency_cli.settings import (
    AttentionName,
    DtypeName,
    EngineName,
    ExportName,
    FormatName,
    MethodName,
    PresetName,
    ReductionName,
)

MODEL = "Model"
TEXTS = "Texts"
MATHS = "Maths"
COMPUTE = "Compute"
OUTPUT = "Output"
ENGINE = "Engine"

ModelPath: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A Hugging Face or adapter folder, or a .safetensors .pt .pth .bin .ckpt file.",
    ),
]
TextsPath: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="TEXTS",
        help="A .csv .tsv .jsonl .ndjson file, each also .gz, or - for standard input.",
    ),
]
RunPath: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DIR", help="A folder that saliency explain left with --out.")
]
OneText: TypeAlias = Annotated[
    str, typer.Argument(metavar="TEXT", help="The text that is explained.")
]
OnePair: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="PAIR", help="The second text of a pair, for models that read two."),
]
Out: TypeAlias = Annotated[
    Path, typer.Option(metavar="DIR", help="Where the run goes.", rich_help_panel=OUTPUT)
]
Overwrite: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace the report that is in --out.", rich_help_panel=OUTPUT
    ),
]
Resume: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the unfinished run that is in --out, if there is one.",
        rich_help_panel=OUTPUT,
    ),
]
ShardRows: TypeAlias = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Rows that are committed at once, and done again where a run broke off.",
        rich_help_panel=OUTPUT,
    ),
]
Shard: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Explain only every N-th shard, from the I-th on; others may do the rest meanwhile.",
        rich_help_panel=OUTPUT,
    ),
]
HtmlRows: TypeAlias = Annotated[
    int,
    typer.Option(
        min=0,
        help="Rows that the pages show: those that the summary names, then an even sample.",
        rich_help_panel=OUTPUT,
    ),
]
RerenderedRows: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--html-rows",
        min=0,
        help="Rows that the pages show, evenly sampled, if not as many as the run was asked for.",
        rich_help_panel=OUTPUT,
    ),
]
RerenderedTitle: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--title", metavar="TEXT", help="Title of the pages, if another.", rich_help_panel=OUTPUT
    ),
]
RerenderedSingleFile: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--single-file/--no-single-file",
        help="Put all rows that are shown into index.html, or not, if not as the run had it.",
        rich_help_panel=OUTPUT,
    ),
]
FailOn: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="EXPR",
        help="Exit with 1 where a number of the summary is too low or too high: 'accuracy<0.9'. "
        "May be given several times.",
        rich_help_panel=OUTPUT,
    ),
]
ExportFormat: TypeAlias = Annotated[
    ExportName,
    typer.Option("--format", help="What the records are written as.", rich_help_panel=OUTPUT),
]
ExportOutput: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FILE",
        help="The file to write, in place of stdout; a binary format needs one.",
        rich_help_panel=OUTPUT,
    ),
]
RecordAsJson: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the record on stdout, as explain writes it.", rich_help_panel=OUTPUT
    ),
]
Title: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Title of the pages.", rich_help_panel=OUTPUT),
]
SingleFile: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--single-file",
        help="Put all rows that are shown into index.html, however many.",
        rich_help_panel=OUTPUT,
    ),
]
TemplateDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="A folder of templates that replace those of the same name.",
        rich_help_panel=OUTPUT,
    ),
]
AsJson: TypeAlias = Annotated[
    bool,
    typer.Option("--json", help="Print the run's summary on stdout.", rich_help_panel=OUTPUT),
]
InspectionAsJson: TypeAlias = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object instead of lines.", rich_help_panel=OUTPUT),
]
Quiet: TypeAlias = Annotated[
    bool,
    typer.Option("--quiet", help="Say nothing but errors.", rich_help_panel=OUTPUT),
]
Debug: TypeAlias = Annotated[
    bool,
    typer.Option("--debug", help="Show the traceback behind an error.", rich_help_panel=OUTPUT),
]
Tokenizer: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="The tokenizer's folder, if it is not MODEL or the folder that MODEL lies in.",
        rich_help_panel=MODEL,
    ),
]
Config: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE_OR_DIR",
        help="The config.json of a state dict, if it is not beside it or the tokenizer.",
        rich_help_panel=MODEL,
    ),
]
Arch: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="WHERE:NAME",
        help="Your own nn.Module: a class or a factory in a .py file or a module. Its code is run.",
        rich_help_panel=MODEL,
    ),
]
Labels: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The labels' names in the order of the logits: one a line, or JSON.",
        rich_help_panel=MODEL,
    ),
]
BaseModel: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="The model that an adapter was trained on, if not where the adapter says.",
        rich_help_panel=MODEL,
    ),
]
UnsafePickle: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--unsafe-pickle",
        help="Open MODEL as a pickle that may run any code: only if you trust who made it.",
        rich_help_panel=MODEL,
    ),
]
EmbeddingLayer: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Dotted name of the layer whose output is perturbed, if not the token embedding.",
        rich_help_panel=MODEL,
    ),
]
MaxLength: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Tokens after which a text is cut, if fewer than the model takes.",
        rich_help_panel=MODEL,
    ),
]
Stride: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        help="Read longer texts in windows that overlap by N tokens, instead of cutting them.",
        rich_help_panel=MODEL,
    ),
]
MultiLabel: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--multi-label",
        help="Each label has a probability of its own, whatever the config says.",
        rich_help_panel=MODEL,
    ),
]
InputFormat: TypeAlias = Annotated[
    FormatName | None,
    typer.Option(
        help="How TEXTS is written, if its suffix does not tell; - is jsonl.",
        rich_help_panel=TEXTS,
    ),
]
TextColumn: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Where the text is.", rich_help_panel=TEXTS)
]
PairColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where the second text of a pair is, for models that read two.",
        rich_help_panel=TEXTS,
    ),
]
LabelColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where the gold label is; without it, label where there is one.",
        rich_help_panel=TEXTS,
    ),
]
IdColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where the row's id is; without it, id where there is one.",
        rich_help_panel=TEXTS,
    ),
]
Limit: TypeAlias = Annotated[
    int | None,
    typer.Option(min=1, help="Stop after that many rows.", rich_help_panel=TEXTS),
]
Method: TypeAlias = Annotated[
    MethodName, typer.Option(help="Attribution method.", rich_help_panel=MATHS)
]
Reduction: TypeAlias = Annotated[
    ReductionName | None,
    typer.Option(
        help="Gradient to one number a token: l2 (the default) its length, dot its product "
        "with the embedding, with a sign, sum the article's.",
        rich_help_panel=MATHS,
    ),
]
Target: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="predicted|gold|all|LABEL",
        help="Which label is explained.",
        rich_help_panel=MATHS,
    ),
]
Contrast: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="LABEL",
        help="Explain why the target rather than this label: the difference of their logits.",
        rich_help_panel=MATHS,
    ),
]
Threshold: TypeAlias = Annotated[
    float,
    typer.Option(
        help="Probability from which on a label of a multi-label model is predicted.",
        rich_help_panel=MATHS,
    ),
]
Samples: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Noisy passes a text; auto (the default) goes on until the errors are small.",
        rich_help_panel=MATHS,
    ),
]
Tolerance: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="When --samples auto has enough: the largest error, as a share of the text's largest "
        "score (default: 0.02).",
        rich_help_panel=MATHS,
    ),
]
Antithetic: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--antithetic/--no-antithetic",
        help="Draw noise in pairs ε and −ε (the default), or independently.",
        rich_help_panel=MATHS,
    ),
]
Noise: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=10,
        help="Standard deviation, as a share of the text's embedding range (default: 0.01).",
        rich_help_panel=MATHS,
    ),
]
Preset: TypeAlias = Annotated[
    PresetName | None,
    typer.Option(help="allennlp: the article's maths to the letter.", rich_help_panel=MATHS),
]
Seed: TypeAlias = Annotated[
    int,
    typer.Option(min=0, max=2**63 - 1, help="Seed of the noise.", rich_help_panel=MATHS),
]
Device: TypeAlias = Annotated[
    str,
    typer.Option(
        "--device",  # Typer 0.27 loses an option whose metavar is its name in capitals
        metavar="DEVICE",
        help="auto, cpu, cuda or cuda:0.",
        rich_help_panel=COMPUTE,
    ),
]
Dtype: TypeAlias = Annotated[
    DtypeName, typer.Option(help="What the model computes in.", rich_help_panel=COMPUTE)
]
Attention: TypeAlias = Annotated[
    AttentionName,
    typer.Option(
        help="How attention is computed, if not as suits model and machine.",
        rich_help_panel=COMPUTE,
    ),
]
BatchTokens: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Tokens in a batch, if not what suits the device.",
        rich_help_panel=COMPUTE,
    ),
]
Engine: TypeAlias = Annotated[
    EngineName,
    typer.Option(
        help="Who explains: this machine, or workers on a Ray cluster.", rich_help_panel=ENGINE
    ),
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="auto|local|[ray://]HOST:PORT",
        help="The Ray cluster: auto (the default), the one that this machine is a node of; local, "
        "one for this run and machine alone.",
        rich_help_panel=ENGINE,
    ),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Processes that explain, if not one on this machine, or as many as a cluster has "
        "room for.",
        rich_help_panel=ENGINE,
    ),
]
GpusPerWorker: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="G",
        help="GPUs of a worker, or a share of one, if not one where there is CUDA.",
        rich_help_panel=ENGINE,
    ),
]
CpusPerWorker: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="C",
        help="CPUs of a worker, and threads that it uses, if not its part of this machine's; on a "
        "cluster, if not as many as this machine has.",
        rich_help_panel=ENGINE,
    ),
]
