"""Options of the processes that explain the shards."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from saliency_cli.errors import UsageError
from saliency_cli.settings.names import EngineName
from saliency_cli.settings.option import NOTHING, RESOLVED, Option

MAX_LOCAL_WORKERS = 1024
"""More processes than the largest machines have cores; each of them has a model of its own."""


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
        ),
    ] = None
    # Workers divide threads and memory of this machine: the plan has `threads`, `batch_tokens`.
    workers: Annotated[
        int | None,
        Option(
            "Worker processes, each with a model of its own.",
            metavar="N",
            default="1 on this machine; as many as a cluster has room for",
            minimum=1,
            maximum=10_000,
            effect=RESOLVED,
        ),
    ] = None
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
            "CPUs of a worker, which are also its threads.",
            metavar="C",
            default="its part of this machine's; on a cluster as many as a run on this machine has",
            minimum=1,
            maximum=1024,
            effect=RESOLVED,
        ),
    ] = None

    def __post_init__(self) -> None:
        given = [n for n in ("address", "gpus_per_worker") if getattr(self, n) is not None]
        if self.name == "local" and given:
            option = given[0].replace("_", "-")
            raise UsageError(f"--{option} is for workers on a cluster", "add --engine ray")
        if self.processes > MAX_LOCAL_WORKERS:
            raise UsageError(
                f"--workers {self.processes}: this machine can have {MAX_LOCAL_WORKERS} at most",
                "each worker loads the model; give as many as there are cores, or fewer",
            )
        gpus = self.gpus_per_worker or 0
        if gpus > 1 and gpus != int(gpus):
            raise UsageError(f"--gpus-per-worker {gpus:g}: give a share of one, or whole ones")

    @property
    def processes(self) -> int:
        """Number of processes on this machine that explain."""
        return self.workers or 1 if self.name == "local" else 1

    @property
    def device_share(self) -> float:
        """Share of a device that each process has to itself, above 0 and at most 1."""
        return min(1.0, self.gpus_per_worker or 1.0) / self.processes

    def threads(self, available: int) -> int:
        """Return the threads of a process; workers on this machine divide those available."""
        return self.cpus_per_worker or max(1, available // self.processes)
