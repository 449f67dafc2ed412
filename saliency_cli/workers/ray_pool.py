"""The engine that has the workers of a Ray cluster explain the shards.

The cluster carries shard numbers and nothing else: rows, records, receipts and journals are in
files that all nodes see, and a shard is committed there by whoever explains it.
"""

import logging
import os
import platform
import secrets
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from saliency_cli.atomic_files import open_atomic
from saliency_cli.errors import CheckpointError, Interrupted, OutputError, SaliencyError, UsageError
from saliency_cli.safe_text import excerpt, visible
from saliency_cli.settings import ExecutionChoice
from saliency_cli.signals import STOPPING, caught
from saliency_cli.workers.interface import Executor, ShardWork
from saliency_cli.workers.worker import Errand, Failure, Worker
from saliency_cli.workers.worker_pool import POLL, Crew, WorkerLostError

REACHED = 10.0
"""Seconds that a cluster has to answer."""
STORE = 80 << 20
"""Bytes of the object store of a cluster of our own, near the least that Ray takes: what goes
through it are shard numbers."""


@contextmanager
def open_ray(choice: ExecutionChoice) -> Iterator[Executor]:
    """Connect to a Ray cluster, or start one of our own; it is left or stopped at the end.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    ray = _ray()
    # Ray prints what it hears from its nodes to stdout, which is for data.
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            _connect(ray, choice.address or "auto")
            room(ray, {"CPU": choice.cpus_per_worker or 1, "GPU": choice.gpus_per_worker or 0})
            yield partial(_explain, ray=ray, choice=choice)
        finally:
            ray.shutdown()


def _ray() -> Any:  # noqa: ANN401
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: PLC0415 - an extra, which only this engine needs
    except ImportError:
        raise UsageError(
            "--engine ray needs ray, which is not installed", "pip install 'saliency-cli[ray]'"
        ) from None
    return ray


def _connect(ray: Any, address: str) -> None:  # noqa: ANN401
    """Connect, and keep the handlers of our signals, one of which Ray replaces.

    Raises:
        UsageError: there is no such cluster.
    """
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    _reach(address)
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    ours = {"include_dashboard": False, "object_store_memory": STORE} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **ours)
    except SystemExit:
        raise Interrupted(signal.SIGTERM) from None
    except Exception as error:
        raise _no_cluster(address, str(error).strip().partition("\n")[0]) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if caught() else handler)


def _reach(address: str) -> None:
    """See that something listens where a cluster should: Ray would try for minutes.

    Raises:
        UsageError: nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isascii() and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=REACHED).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, reason: str) -> UsageError:
    return UsageError(
        f"--address {visible(address)}: there is no Ray cluster: {excerpt(reason)}",
        "start one with ray start --head, or give --address local for one of this machine alone",
    )


@dataclass(frozen=True, slots=True)
class Nodes:
    """The agency of a cluster: workers are actors, each of whom needs so much of a node."""

    ray: Any
    actor: Any
    errand: Errand
    needs: Mapping[str, float]

    def hire(self) -> tuple[Any, Any]:
        """Have Ray start a worker wherever there is room, now or later."""
        worker = self.actor.remote(self.errand)
        return worker, worker.ready.remote()

    def ask(self, worker: Any, number: int) -> Any:  # noqa: ANN401
        """Have a worker commit a shard."""
        return worker.explain.remote(number)

    def answered(self, calls: Sequence[Any]) -> Sequence[Any]:
        """Wait for the first answer."""
        done, _ = self.ray.wait([*calls], timeout=POLL)
        return [*done]

    def answer(self, call: Any) -> object:  # noqa: ANN401
        """Return an answer; what a worker raises is raised here.

        Raises:
            WorkerLostError: Ray says that the worker, or its node, is gone.
        """
        errors = self.ray.exceptions
        try:
            return self.ray.get(call)
        except errors.RayTaskError:
            raise
        except errors.RayError as error:
            reason = f"Ray says {excerpt(str(error).strip().splitlines()[-1])}"
            raise WorkerLostError(
                reason, itself=isinstance(error, errors.ActorDiedError)
            ) from error

    def stands(self, place: str) -> bool:
        """Say whether a node is alive."""
        return any(node["Alive"] and node["NodeID"] == place for node in self.ray.nodes())

    def check_room(self) -> None:
        """See that a node has room for a worker."""
        room(self.ray, self.needs)

    def dismiss(self, workers: Sequence[Any]) -> None:
        """Kill actors."""
        for worker in workers:
            with suppress(self.ray.exceptions.RayError):
                self.ray.kill(worker)


class Actor(Worker):
    """A worker that is somewhere on a cluster."""

    def ready(self) -> str | Failure:
        """Load the model; return the id of the node that this is, or what is amiss there."""
        import ray  # noqa: PLC0415 - an extra; who runs this has it

        failure = super().ready()
        if isinstance(failure, SaliencyError):
            return _located(failure)
        return failure or str(ray.get_runtime_context().get_node_id())


def _located(error: SaliencyError) -> SaliencyError:
    """Return the error with the name of the machine in front."""
    kinds = (UsageError, CheckpointError, OutputError)
    kind = next((each for each in kinds if isinstance(error, each)), SaliencyError)
    return kind(f"on {visible(platform.node())}: {error.message}", error.hint)


def _explain(work: ShardWork, *, ray: Any, choice: ExecutionChoice) -> None:  # noqa: ANN401
    """Have workers commit the shards."""
    needs = _needs(work, choice)
    size = min(choice.workers or room(ray, needs), len(work.context.plan.positions))
    actor = ray.remote(Actor).options(
        num_cpus=needs["CPU"], num_gpus=needs["GPU"], scheduling_strategy="SPREAD"
    )
    Crew(work, Nodes(ray, actor, _errand(work), needs), size=size).explain()


def room(ray: Any, needs: Mapping[str, float]) -> int:  # noqa: ANN401
    """Return how many workers the nodes have room for, whoever uses them now.

    Raises:
        UsageError: none has room for one.
    """
    alive = (node["Resources"] for node in ray.nodes() if node["Alive"])
    count = sum(
        min(int(has.get(name, 0) / amount) for name, amount in needs.items() if amount)
        for has in alive
    )
    if count:
        return count
    wanted = " and ".join(f"{amount:g} {name}" for name, amount in needs.items() if amount)
    raise UsageError(
        f"no node of the Ray cluster has {wanted} for a worker",
        "give fewer with --cpus-per-worker or --gpus-per-worker, or add nodes",
    )


def _needs(work: ShardWork, choice: ExecutionChoice) -> dict[str, float]:
    """Return what of each resource a worker takes: threads and device follow from the plan."""
    manifest, gpus = work.context.manifest, choice.gpus_per_worker
    if gpus is None:
        gpus = float(manifest["device"] == "cuda")
    return {"CPU": choice.cpus_per_worker or manifest["threads"], "GPU": gpus}


def _errand(work: ShardWork) -> Errand:
    """Put a token into the run's folder, and say what workers must find.

    The plan says which device; which one of several is for the cluster to say.
    """
    token = secrets.token_hex()
    with open_atomic(work.context.folder.identity) as stream:
        stream.write(token)
    request = replace(work.request, compute=replace(work.request.compute, device="auto"))
    return Errand(request, Path.cwd(), work.context.source.size, token)
