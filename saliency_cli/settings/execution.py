"""Options of the processes that explain the shards."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from saliency_cli.errors import UsageError
from saliency_cli.settings.names import EngineName
from saliency_cli.settings.option import NOTHING, RESOLVED, Option

WorkerCount: TypeAlias = int | Literal["auto"]

MAX_LOCAL_WORKERS = 1024
"""More processes than the largest machines have cores."""


def parse_workers(text: str) -> WorkerCount:
    """Return the number that `--workers` gives, or "auto".

    Raises:
        UsageError: The text is neither.
    """
    if text == "auto":
        return "auto"
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 10 and int(text)):
        raise UsageError(f"--workers {text!r}: give a number of processes, or auto")
    return int(text)


@dataclass(frozen=True, slots=True)
class ExecutionChoice:
    """Which processes explain the shards, how many, and what each may use."""

    panel: ClassVar[str] = "Workers"

    name: Annotated[
        EngineName,
        Option(
            "Where shards are explained: on this machine (local), or by workers on a Ray "
            "cluster (ray).",
            more="([local](scale.md#one-machine), [Ray](scale.md#a-ray-cluster)) A run may be "
            "resumed with the other.",
            flag="--engine",
            effect=NOTHING,
        ),
    ] = "local"
    address: Annotated[
        str | None,
        Option(
            "The Ray cluster: auto, the one that this machine is a node of; local, one for "
            "this run and machine alone; or HOST:PORT.",
            more="`ray://HOST:PORT` goes through Ray's client.",
            metavar="auto|local|[ray://]HOST:PORT",
            default="`auto`",
            effect=NOTHING,
            trusted_only=True,
        ),
    ] = None
    # Workers on CUDA divide the memory of the device: the plan has `batch_tokens`.
    workers: Annotated[
        WorkerCount,
        Option(
            "Worker processes: a number, or auto.",
            more="([how](scale.md#one-machine)) 10,000 at most.",
            metavar="N|auto",
            default="`auto`: on a CPU one for each core, if there are shards for all; on CUDA 1; "
            "as many as a cluster has room for",
            maximum=10_000,
            parse=parse_workers,
            effect=RESOLVED,
        ),
    ] = "auto"
    gpus_per_worker: Annotated[
        float | None,
        Option(
            "GPUs of a worker, or a share of one, such as 0.5.",
            metavar="G",
            default="1 where the device is CUDA, else 0",
            minimum=0,
            maximum=128,
            effect=RESOLVED,
        ),
    ] = None
    cpus_per_worker: Annotated[
        int | None,
        Option(
            "CPUs of a worker, which computes as many batches at the same time.",
            metavar="C",
            default="its part of this machine's; on a cluster as many as this machine has",
            minimum=1,
            maximum=1024,
            effect=NOTHING,
        ),
    ] = None

    def __post_init__(self) -> None:
        given = [n for n in ("address", "gpus_per_worker") if getattr(self, n) is not None]
        if self.name == "local" and given:
            option = given[0].replace("_", "-")
            raise UsageError(f"--{option} is for workers on a cluster", "add --engine ray")
        if self.name == "local" and self.workers != "auto" and self.workers > MAX_LOCAL_WORKERS:
            raise UsageError(
                f"--workers {self.workers}: this machine can have {MAX_LOCAL_WORKERS} at most",
                "give as many as there are cores, or fewer, or auto",
            )
        gpus = self.gpus_per_worker or 0
        if gpus > 1 and gpus != int(gpus):
            raise UsageError(f"--gpus-per-worker {gpus:g}: give a share of one, or whole ones")

    def processes(self, device: str, *, cores: int, shards: int) -> int:
        """Return the number of processes on this machine that explain, at most one for each shard.

        Args:
            device: The type of the device that the model runs on.
            cores: The number of cores that the run may use.
            shards: The number of shards.
        """
        wanted = self.workers
        if wanted == "auto":
            wanted = cores // (self.cpus_per_worker or 1) if device == "cpu" else 1
        return max(1, min(wanted, shards)) if self.name == "local" else 1

    def cores_per_worker(self, processes: int, *, cores: int) -> int:
        """Return the number of cores of each process.

        Args:
            processes: The number of processes, which divide the cores.
            cores: The number of cores that the run may use.
        """
        return self.cpus_per_worker or max(1, cores // processes)

    @property
    def device_share(self) -> float:
        """Share of a CUDA device that each process has to itself, above 0 and at most 1."""
        share = min(1.0, self.gpus_per_worker or 1.0)
        return share if self.name != "local" or self.workers == "auto" else share / self.workers
