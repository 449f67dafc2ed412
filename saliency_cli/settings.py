"""What a person chose, parsed and frozen: the only thing that `cli` hands to `run`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from saliency_cli.errors import UsageError

FormatName: TypeAlias = Literal["csv", "tsv", "jsonl"]
MethodName: TypeAlias = Literal["smoothgrad"]
ReductionName: TypeAlias = Literal["l2", "dot", "sum"]
ObjectiveName: TypeAlias = Literal["logit", "loss"]
DtypeName: TypeAlias = Literal["auto", "float32", "bfloat16"]
MatmulBackend: TypeAlias = Literal["torch", "onednn"]
HeadName: TypeAlias = Literal["single-label", "multi-label", "regression"]
AttentionName: TypeAlias = Literal["auto", "eager", "sdpa"]
PresetName: TypeAlias = Literal["allennlp"]
EngineName: TypeAlias = Literal["local", "ray"]
ExportName: TypeAlias = Literal[
    "csv", "parquet", "instances", "eraser", "github", "github-summary", "junit"
]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Where the classifier comes from, and at which of its layers the noise goes in."""

    checkpoint: Path
    tokenizer: Path | None = None
    config: Path | None = None
    arch: str | None = None
    labels: Path | None = None
    base_model: Path | None = None
    unsafe_pickle: bool = False
    embedding_layer: str | None = None
    embeddings_block: bool = False
    multi_label: bool = False


@dataclass(frozen=True, slots=True)
class Compute:
    """What the passes run on, and how much of it at a time; None and "auto" follow rules.

    `rounding` is no choice: what the number format moves, where a plan says it.
    """

    device: str = "auto"
    dtype: DtypeName = "auto"
    attention: AttentionName = "auto"
    batch_tokens: int | None = None
    max_length: int | None = None
    stride: int | None = None
    dtype_error: float | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a row keeps its parts; None takes the usual name, and does without it if absent."""

    text: str = "text"
    pair: str | None = None
    label: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class TextsChoice:
    """Which texts are explained: a path, or "-" for standard input."""

    path: str
    format: FormatName | None = None
    columns: Columns = Columns()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the noise is drawn: S, the seed, pairs or not, and passes per text.

    Without `samples` they go on until every error is below `tolerance` of the largest score.
    """

    samples: int | None = None
    antithetic: bool = True
    noise: float = 0.01
    seed: int = 0
    tolerance: float = 0.02

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise UsageError("--tolerance must be above 0")
        if self.samples is not None and self.samples < 1:
            raise UsageError("--samples must be at least 1")
        if self.samples is not None and self.samples % self.passes_per_draw:
            raise UsageError(
                f"--samples {self.samples} is odd, and antithetic passes come in pairs",
                "give an even number, or add --no-antithetic",
            )

    @property
    def passes_per_draw(self) -> int:
        """Passes that share one ε: two (ε and −ε), or one without noise, pairs or a partner."""
        return 2 if self.antithetic and self.noise > 0 and self.samples != 1 else 1

    @property
    def draws(self) -> int | None:
        """Independent draws per text, or None for as many as the errors need."""
        if self.noise == 0:
            return 1
        return None if self.samples is None else self.samples // self.passes_per_draw


@dataclass(frozen=True, slots=True)
class TargetChoice:
    """What is explained: "predicted", "gold", "all" or a label, by itself or against `contrast`.

    Of a multi-label head, "predicted" is every label whose probability reaches the threshold.
    """

    name: str = "predicted"
    contrast: str | None = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UsageError("--threshold must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class Maths:
    """The attribution itself: each name is a key of the dict that its room keeps."""

    method: MethodName = "smoothgrad"
    reduction: ReductionName = "l2"
    objective: ObjectiveName = "logit"
    sampling: Sampling = Sampling()
    target: TargetChoice = TargetChoice()


@dataclass(frozen=True, slots=True)
class PageChoice:
    """What the pages are to be: their title, how many rows they show, in one file or in several.

    Templates in `template_dir` take the place of those with the same names.
    """

    title: str | None = None
    html_rows: int = 5000
    single_file: bool = False
    template_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class ShardSelection:
    """A process's part of the shards: every `count`-th, from the `index`-th on, counted from 1."""

    index: int
    count: int

    def of(self, numbers: range) -> range:
        """Return those of the shards that are part of it."""
        return numbers[self.index - 1 :: self.count]


@dataclass(frozen=True, slots=True)
class OutputChoice:
    """Where the run goes, in place of what or on top of it, and what its pages are to be."""

    folder: Path
    overwrite: bool = False
    resume: bool = False
    pages: PageChoice = PageChoice()


@dataclass(frozen=True, slots=True)
class Sharding:
    """How the rows are divided into shards, and which of those are this process's: None for all."""

    shard_rows: int = 2000
    share: ShardSelection | None = None


@dataclass(frozen=True, slots=True)
class ExecutionChoice:
    """Who explains the shards; on a cluster, where that is; how many do and what each may use."""

    name: EngineName = "local"
    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    cpus_per_worker: int | None = None

    def __post_init__(self) -> None:
        given = [n for n in ("address", "gpus_per_worker") if getattr(self, n) is not None]
        if self.name == "local" and given:
            option = given[0].replace("_", "-")
            raise UsageError(f"--{option} is for workers on a cluster", "add --engine ray")
        gpus = self.gpus_per_worker or 0
        if gpus > 1 and gpus != int(gpus):
            raise UsageError(f"--gpus-per-worker {gpus:g}: give a share of one, or whole ones")

    @property
    def processes(self) -> int:
        """How many processes on this machine explain."""
        return self.workers or 1 if self.name == "local" else 1

    @property
    def device_share(self) -> float:
        """What part of a device each process has to itself."""
        return min(1.0, self.gpus_per_worker or 1.0) / self.processes

    def threads(self, available: int) -> int:
        """Return the threads of a process; workers on this machine divide what it has."""
        return self.cpus_per_worker or max(1, available // self.processes)


@dataclass(frozen=True, slots=True)
class Request:
    """One whole run, as asked for."""

    model: ModelChoice
    texts: TextsChoice
    compute: Compute
    maths: Maths
    output: OutputChoice
    preset: PresetName | None = None
    division: Sharding = Sharding()
    engine: ExecutionChoice = ExecutionChoice()


@dataclass(frozen=True, slots=True)
class Question:
    """One text, or pair, to be explained by itself."""

    model: ModelChoice
    compute: Compute
    maths: Maths
    text: str
    pair: str | None = None
