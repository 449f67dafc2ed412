"""Command lines drawn at random from the declarations of the options."""

import inspect
import random
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

from saliency_cli.cli import app, commands
from saliency_cli.cli.options import parameters_of
from saliency_cli.settings import Setting
from tests.support.fuzz_materials import HOSTILE_NAME

OUT, OUTPUT = "run", "export.out"
COMMANDS: dict[str, Callable[..., None]] = {
    "explain": app.explain,
    "report": commands.report,
    "export": commands.export,
    "inspect": commands.inspect_model,
    "show": commands.show,
}
WEIGHTS = (8, 5, 5, 2, 3)
HOSTILE = (
    *("", " ", "-", "--", "-1", "\x1b[31mred", "\u202eabc", "a\nb", "a" * 300, "a" * 5000, "/"),
    *("../../x", "[bold]x[/bold]", "[/]", "{{ 7*7 }}", "%s%n", "\udcff", "null", "$(id)", "'", '"'),
    *("💥", "<script>alert(1)</script>", "~", "/proc/self/mem", "/dev/null", "/dev/zero", "nan"),
)
NUMBERS = (
    *("0", "1", "2", "3", "5", "1000", "-1", "1.5", "x", "", " 1", "1_000", "٣", "1e3", "0x10"),
    *("9223372036854775807", "9223372036854775808", "9" * 400, "9" * 5000, "nan", "inf", "-inf"),
    *("1e400", "1e-300", "-0.0", "0.5", "128", "1024", "10000", "10001"),
)
GOOD_TEXTS = ("good.jsonl", "good.csv", "good.tsv", "good.jsonl.gz", "many.jsonl", "pairs.jsonl")
OTHER_TEXTS = (
    *(HOSTILE_NAME, "good.csv.gz", "gold.jsonl", "ids.jsonl", "broken.jsonl", "broken.csv"),
    *("all_bad.jsonl", "bom.csv", "latin1.csv", "utf16.csv", "binary.jsonl", "binary.csv"),
    *("nul.csv", "empty.jsonl", "empty.csv", "header.csv", "blank.jsonl", "twice.csv", "huge.csv"),
    *("letters.jsonl", "long_line.jsonl.gz", "deep.jsonl", "cut.jsonl.gz", "not.jsonl.gz"),
    *("noname", "folder.jsonl", "dangling.jsonl", "linked.jsonl", "sparse.jsonl", "missing.jsonl"),
)
STREAMS = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_NET = ("--embedding-layer", "embedding", "--arch")
MODELS = (
    *((name,) for name in ("bert", "bert", "bert", "bert", "multi", "regression")),
    ("net/net.pt", *_NET, "../m/net/net.py:Net"),
    ("net/net.pt", *_NET, "../m/net/fails.py:Net"),
)
OTHER_MODELS = (
    *((name,) for name in ("cut", "no_weights", "no_tokenizer", "bad_config", "other_head")),
    *(
        (name,)
        for name in ("no_folder", "broken.pt", "empty.pt", "good.jsonl", "nope", HOSTILE_NAME)
    ),
    *(
        ("net/net.pt", *_NET, f"../m/net/{name}:Net")
        for name in ("raises.py", "exits.py", "syntax.py", "prints.py", "nope.py")
    ),
    ("net/net.pt",),
)
SHOWN_TEXTS = (
    *(
        "free call now",
        "free call now",
        "ok",
        "",
        "  ",
        "\x1b[31m",
        "💥" * 50,
        "a" * 3000,
        "\udcff",
    ),
    *("word " * 500, "\u202ea\u0300", "a\nb\tc", "\u200b", "[bold]x", "-x", "--", "\u2028"),
)
_TEMPLATES = ("plain", "syntax", "undefined", "unsafe", "division", "outside", "bytes", "nope")
NAMED: dict[str, tuple[str, ...]] = {
    "tokenizer": ("../m/bert", "../m/net", "../m/no_folder", "../m/nope", "../m/good.jsonl"),
    "config": ("../m/bert/config.json", "../m/bert", "../m/good.jsonl", "../m/broken.pt"),
    "arch": (
        *("../m/net/net.py:Net", "../m/net/net.py:Nope", "../m/net/net.py", ":", "json:loads"),
        *("nope:Net", "torch.nn:Linear", "../m/net/raises.py:Net", "../m/net/exits.py:Net"),
    ),
    "labels": tuple(
        f"../m/{name}"
        for name in (
            *("labels.txt", "labels.json", "three.txt", "labels_broken.json"),
            *("labels_hostile.txt", "empty.csv", "binary.csv", "bert", "nope"),
        )
    ),
    "base_model": ("../m/bert", "../m/nope", "../m/good.jsonl"),
    "embedding_layer": (
        *("bert.embeddings.word_embeddings", "bert.embeddings", "embedding", "classifier"),
        *("bert", "bert.nope", "dropout", "bert.encoder.layer.0"),
    ),
    "device": (
        "cpu",
        "cpu",
        "cpu",
        "cpu",
        "auto",
        "cuda",
        "cuda:0",
        "cuda:99",
        "meta",
        "mps",
        "cpu:1",
    ),
    "target": ("predicted", "gold", "all", "spam", "ham", "a", "LABEL_0", "nope"),
    "contrast": ("spam", "ham", "a", "nope"),
    "samples": ("2", "4", "auto", "2", "1", "0", "-1", "3", "1e3", "x", "²", "٣", "9999999999"),
    "threshold": ("0.5", "0.9", "0.1", "0", "1", "-1", "nan", "x"),
    "tolerance": ("0.02", "1", "0.5", "0", "-1", "nan", "1e400", "x"),
    "workers": ("1", "1", "0", "-1", "10001", "5000", "x"),
    "cpus_per_worker": ("1", "2", "0", "-1", "1025", "x"),
    "gpus_per_worker": ("0", "1", "0.5", "-1", "129", "nan", "x"),
    "engine": ("local", "local", "rya", ""),
    "address": ("", "auto", "local", "127.0.0.1:1", "ray://x"),
    "shard": ("1/2", "2/2", "1/1", "0/1", "3/2", "1/999999999", "1/9999999999", "x", "/", "١/٢"),
    "shard_rows": ("1", "2", "3", "2000", "0", "-1", "9223372036854775807", "9223372036854775808"),
    "limit": ("1", "2", "3", "9223372036854775807", "9223372036854775808", "0", "-1"),
    "template_dir": (*(f"../m/templates/{name}" for name in _TEMPLATES), "../m/bert", "../m/nope"),
    "output": (
        *(OUTPUT, OUTPUT, "new.csv", "kept.csv", f"{OUT}/x.csv", f"{OUT}/index.html"),
        *("../m/good.jsonl", "../m/bert/config.json", "copy.jsonl", "link.csv", "dangling.csv"),
        *("hard.csv", "nowhere/x.csv", "kept", "/dev/full", "/dev/null", "link/x.csv"),
    ),
    "fail_on": (
        *("accuracy<0.9", "flip_rate>0", "rows<1", "rows>0", "quarantined>0", "ok<2", "nope<1"),
        *("accuracy<nan", "", "x", "accuracy<", "accuracy < 1 ", "rows>1_0", "rows>-1e400"),
        *("warn:rows>0", "suspects>0", "recall[label=a]<1", "rows>baseline", "rows<baseline*0"),
    ),
    "baseline_run": (OUT, OUT, "kept", "../m/nope", "link"),
    "out": (
        OUT,
        OUT,
        OUT,
        OUT,
        OUT,
        OUT,
        OUT,
        "kept",
        "nowhere/deep/run",
        "../m/bert",
        "../m/good.jsonl",
        "link",
    ),
}
"""Values of options whose type does not say which are worth a try.

The numbers that cost time (passes, workers, threads) are small: the time limit is for hangs.
"""
_COLUMNS = ("text", "text", "label", "id", "pair", "body", "", "té")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line, and what it reads from standard input.

    Attributes:
        arguments: The arguments of `saliency`.
        stdin: The name of a text of `fuzz_materials`, or None for an empty input.
        outs: The run folders that it may write.
        outputs: The files of `export` that it may write.
    """

    arguments: list[str]
    stdin: str | None
    outs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def is_stream(self) -> bool:
        """Whether it may read texts as a stream, for which an earlier run is removed first."""
        return any(each in STREAMS for each in self.arguments)

    @property
    def resumes(self) -> bool:
        """Whether it may fail in the middle of a run that it resumes, and leave a journal."""
        return any(each.startswith(("--resume", "--shard")) for each in self.arguments)


def draw_command_line(rng: random.Random) -> CommandLine:
    """Return a command line drawn at random."""
    if rng.random() < 0.01:
        junk = [rng.choice((*HOSTILE, "--help", "--version", *COMMANDS)) for _ in range(2)]
        return CommandLine(junk, None, (), ())
    (name,) = rng.choices([*COMMANDS], WEIGHTS)
    settings = [each for p in parameters_of(inspect.unwrap(COMMANDS[name])) for each in p.settings]
    if name == "explain" and rng.random() < 0.1:
        return CommandLine([*RESUMED, *rng.choice([[], ["--shard", "2/2"]])], None, (OUT,), ())
    arguments = _positional(name, rng)
    options = [each for each in settings if not each.option.argument]
    for setting in rng.sample(options, min(len(options), rng.choice([0, 0, 1, 1, 2, 3, 5]))):
        arguments += _drawn(setting, rng)
    if name == "export" and rng.random() < 0.97:
        arguments += ["--format", rng.choice(_choices(options, "--format"))]
    if name == "explain":
        arguments += _usual_of_explain(arguments, rng)
    if name in {"explain", "show"} and rng.random() < 0.8:
        arguments += rng.choice([["--samples", "2"], ["--method", "gradient"]])
    if rng.random() < 0.01:
        arguments.append(rng.choice((*HOSTILE, "--help", "--nope")))
    outs = (OUT, *_given(arguments, "--out"), "saliency-report")
    outputs = _given(arguments, "--output")
    stdin = rng.choice([None, "good.jsonl", "broken.jsonl", "empty.jsonl", "binary.jsonl"])
    return CommandLine([name, *arguments], stdin, outs if name in _WRITERS else (), outputs)


def _given(arguments: list[str], flag: str) -> tuple[str, ...]:
    """Return the values that an option may have, whether given as two words or as one with `=`."""
    joined = [each.removeprefix(f"{flag}=") for each in arguments if each.startswith(f"{flag}=")]
    return (*joined, *(value for name, value in pairwise(arguments) if name == flag))


RESUMED = (
    *("explain", "../m/bert", "../m/good.jsonl", "--device", "cpu", "--samples", "2"),
    *("--shard-rows", "2", "--out", OUT, "--resume"),
)
"""What resumes the unfinished run of the fuzzer."""
_WRITERS = ("explain", "report")


def _positional(name: str, rng: random.Random) -> list[str]:
    """Return the arguments without a flag, and the options that a model needs."""
    if name in {"report", "export"}:
        return [OUT if rng.random() < 0.92 else rng.choice(("link", "kept", "nowhere", *HOSTILE))]
    model = rng.choice(MODELS if rng.random() < 0.8 else OTHER_MODELS)
    arguments = [f"../m/{model[0]}", *model[1:]]
    if rng.random() < 0.02:
        arguments[0] = rng.choice(HOSTILE)
    if name == "show":
        arguments += [rng.choice(SHOWN_TEXTS) for _ in range(rng.choice([1, 1, 1, 2]))]
    if name == "explain":
        arguments.append(_texts(rng))
    return arguments


def _texts(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.08:
        return rng.choice(STREAMS)
    if kind < 0.1:
        return rng.choice([each for each in HOSTILE if each != "/dev/zero"])
    return f"../m/{rng.choice(GOOD_TEXTS if kind < 0.7 else OTHER_TEXTS)}"


def _usual_of_explain(arguments: list[str], rng: random.Random) -> list[str]:
    """Return `--out`, and what an earlier run in it needs."""
    out = [] if "--out" in arguments and rng.random() < 0.9 else ["--out", OUT]
    more = rng.choice([[], [], ["--overwrite"], ["--overwrite"], ["--resume"], ["--shard", "1/2"]])
    rows = ["--shard-rows", rng.choice(["1", "2"])] if rng.random() < 0.3 else []
    return [*out, *more, *rows]


def _choices(options: list[Setting], flag: str) -> tuple[str, ...]:
    return next(each.option.choices for each in options if each.flag == flag)


def _drawn(setting: Setting, rng: random.Random) -> list[str]:
    """Return an option with a value: mostly a sound one, else one out of bounds or of no sense."""
    if setting.type is bool:
        negated = f"--no-{setting.flag.removeprefix('--')}"
        return [negated if rng.random() < 0.08 else setting.flag]
    value = rng.choice(HOSTILE) if rng.random() < 0.04 else _early(_values(setting), rng)
    return [f"{setting.flag}={value}"] if rng.random() < 0.03 else [setting.flag, value]


def _early(values: tuple[str, ...], rng: random.Random) -> str:
    """Return one of the values, mostly one of the first."""
    return values[int(len(values) * rng.random() ** 4)]


def _values(setting: Setting) -> tuple[str, ...]:
    """Return values of an option, from sound ones to those out of bounds or of no sense."""
    option = setting.option
    if setting.name in NAMED:
        return NAMED[setting.name]
    if setting.name.endswith("_column"):
        return _COLUMNS
    known = option.choices or _literals(setting.type)
    if known:
        return (*known, *known, *known, "nope")
    if setting.type in {int, float} or {int, float} & {*get_args(setting.type)}:
        bounds = [each for each in (option.minimum, option.maximum) if each is not None]
        near = [str(bound + step) for bound in bounds for step in (0, 1, -1)]
        default = [] if setting.default in {None, MISSING} else [str(setting.default)] * 5
        return (*default, "3", "20", *near, *NUMBERS)
    return ("a title", *HOSTILE)


def _literals(kind: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names that a type lists, alone or beside None."""
    if get_origin(kind) is Literal:
        return tuple(map(str, get_args(kind)))
    found = (_literals(each) for each in get_args(kind) if get_origin(each) is Literal)
    return next(found, ())
