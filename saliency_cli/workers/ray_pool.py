"""The Ray executor: a pool of workers on a Ray cluster commits the shards.

Ray carries shard numbers and replies only. Rows, records, receipts and crash journals are files
that all nodes share, and the worker that explains a shard commits it there.
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
from saliency_cli.model.devices import usable_cores
from saliency_cli.safe_text import excerpt, visible
from saliency_cli.settings import ExecutionChoice
from saliency_cli.signals import STOP_SIGNALS, received
from saliency_cli.workers.interface import Executor, ShardWork
from saliency_cli.workers.worker import Failure, Worker, WorkerSpec
from saliency_cli.workers.worker_pool import POLL_INTERVAL, WorkerLostError, WorkerPool

CONNECT_TIMEOUT = 10.0
"""Seconds that a cluster has to accept a TCP connection."""
OBJECT_STORE_BYTES = 80 << 20
"""Size of the object store of a cluster that `--address local` starts. It is near Ray's minimum,
because only shard numbers and replies pass through it."""


@contextmanager
def open_ray(choice: ExecutionChoice) -> Iterator[Executor]:
    """Connect to a Ray cluster, or start one on this machine; yield an executor that uses it.

    At the end the process disconnects, and a cluster that was started here is stopped.

    Raises:
        UsageError: if Ray is not installed, no cluster can be reached, or no node is large enough.
    """
    ray = _import_ray()
    # Ray prints messages from its nodes to stdout, which must carry data only.
    with Path(os.devnull).open("w") as devnull, redirect_stdout(devnull):
        try:
            _connect(ray, choice.address or "auto")
            smallest = {"CPU": choice.cpus_per_worker or 1, "GPU": choice.gpus_per_worker or 0}
            worker_slots(ray, smallest)  # raises before the run writes any file
            yield partial(_explain_on_cluster, ray=ray, choice=choice)
        finally:
            ray.shutdown()


def _import_ray() -> Any:  # noqa: ANN401
    """Return the module `ray`, with its usage statistics off; raise `UsageError` without it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: PLC0415 - an optional dependency, which only this executor needs
    except ImportError:
        raise UsageError(
            "--engine ray needs ray, which is not installed", "pip install 'saliency-cli[ray]'"
        ) from None
    return ray


def _connect(ray: Any, address: str) -> None:  # noqa: ANN401
    """Connect to a cluster, or start one for "local", and restore our signal handlers.

    Ray replaces the handler of SIGTERM. If a signal arrived meanwhile, the default handlers are set
    instead, so that a second signal ends the process at once.

    Raises:
        UsageError: There is no cluster at the address.
        Interrupted: SIGTERM arrived while Ray connected; Ray turns it into SystemExit.
    """
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    _check_reachable(address)
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    options = (
        {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        if address == "local"
        else {}
    )
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **options)
    except SystemExit:
        raise Interrupted(signal.SIGTERM) from None
    except Exception as error:
        raise _no_cluster_error(address, str(error).strip().partition("\n")[0]) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if received() else handler)


def _check_reachable(address: str) -> None:
    """Raise `UsageError` if nothing accepts connections at HOST:PORT.

    `ray.init` would try for minutes. Addresses without a port, such as `local`, are not checked.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isascii() and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster_error(address, str(error)) from error


def _no_cluster_error(address: str, reason: str) -> UsageError:
    return UsageError(
        f"--address {visible(address)}: no Ray cluster can be reached: {excerpt(reason)}",
        "start one with ray start --head, or use this machine only with --address local",
    )


@dataclass(frozen=True, slots=True)
class RayBackend:
    """A `WorkerBackend` whose workers are Ray actors. A handle is an object reference of Ray.

    Attributes:
        ray: The module `ray`.
        actor_class: `RayWorker` as a Ray actor class, with its resources.
        spec: What each worker needs in order to open the run.
        resources: Amount of each resource of a node that a worker occupies.
    """

    ray: Any
    actor_class: Any
    spec: WorkerSpec
    resources: Mapping[str, float]

    def start(self) -> tuple[Any, Any]:
        """Ask Ray for a worker; it starts when a node has the resources free."""
        worker = self.actor_class.remote(self.spec)
        return worker, worker.prepare.remote()

    def submit(self, worker: Any, number: int) -> Any:  # noqa: ANN401
        """Ask a worker to commit a shard.

        Args:
            worker: The actor.
            number: Number of the shard.

        Returns:
            The handle of the reply.
        """
        return worker.explain_shard.remote(number)

    def wait(self, handles: Sequence[Any]) -> Sequence[Any]:
        """Wait up to `POLL_INTERVAL` seconds; return the first handle whose reply has arrived."""
        ready, _ = self.ray.wait([*handles], timeout=POLL_INTERVAL)
        return [*ready]

    def result(self, handle: Any) -> object:  # noqa: ANN401
        """Return the reply of a worker. An exception that the worker raised is raised here.

        Raises:
            WorkerLostError: if Ray reports that the worker, or its node, is gone.
        """
        errors = self.ray.exceptions
        try:
            return self.ray.get(handle)
        except errors.RayTaskError:
            raise
        except errors.RayError as error:
            reason = f"Ray reports {excerpt(str(error).strip().splitlines()[-1])}"
            died = isinstance(error, errors.ActorDiedError)
            raise WorkerLostError(reason, worker_died=died) from error

    def is_alive(self, node_id: str) -> bool:
        """Return whether a node is part of the cluster."""
        return any(node["Alive"] and node["NodeID"] == node_id for node in self.ray.nodes())

    def check_capacity(self) -> None:
        """Raise `UsageError` if no node has the resources for a worker, even when it is idle."""
        worker_slots(self.ray, self.resources)

    def terminate(self, workers: Sequence[Any]) -> None:
        """Kill actors, also in the middle of a shard."""
        for worker in workers:
            with suppress(self.ray.exceptions.RayError):
                self.ray.kill(worker)


class RayWorker(Worker):
    """A worker that runs as an actor on a node of the cluster."""

    def prepare(self) -> str | Failure:
        """Open the run and load the model.

        Returns:
            The ID of the node, or the error; its message names the machine.
        """
        import ray  # noqa: PLC0415 - an optional dependency; the module must import without it

        failure = super().prepare()
        if isinstance(failure, SaliencyError):
            return _with_host_name(failure)
        return failure or str(ray.get_runtime_context().get_node_id())


def _with_host_name(error: SaliencyError) -> SaliencyError:
    """Return the same error with this machine's name in front of the message."""
    kinds = (UsageError, CheckpointError, OutputError)
    kind = next((each for each in kinds if isinstance(error, each)), SaliencyError)
    return kind(f"on {visible(platform.node())}: {error.message}", error.hint)


def _explain_on_cluster(work: ShardWork, *, ray: Any, choice: ExecutionChoice) -> None:  # noqa: ANN401
    """Commit all shards with workers on the cluster."""
    resources = _worker_resources(work, choice)
    wanted = worker_slots(ray, resources) if choice.workers == "auto" else choice.workers
    size = min(wanted, len(work.context.plan.positions))
    actor_class = ray.remote(RayWorker).options(
        num_cpus=resources["CPU"], num_gpus=resources["GPU"], scheduling_strategy="SPREAD"
    )
    backend = RayBackend(ray, actor_class, _worker_spec(work), resources)
    WorkerPool(work, backend, size=size).explain_shards()


def worker_slots(ray: Any, resources: Mapping[str, float]) -> int:  # noqa: ANN401
    """Return how many workers fit on the cluster when all its nodes are idle.

    Args:
        ray: The module `ray`, connected to a cluster.
        resources: Amount of each resource that a worker occupies, such as `{"CPU": 1, "GPU": 0.5}`.

    Raises:
        UsageError: if no node has the resources for one worker.
    """
    nodes = (node["Resources"] for node in ray.nodes() if node["Alive"])
    count = sum(
        min(int(node.get(name, 0) / amount) for name, amount in resources.items() if amount)
        for node in nodes
    )
    if count:
        return count
    wanted = " and ".join(f"{amount:g} {name}" for name, amount in resources.items() if amount)
    raise UsageError(
        f"no node of the Ray cluster has {wanted} for a worker",
        "lower --cpus-per-worker or --gpus-per-worker, or add larger nodes",
    )


def _worker_resources(work: ShardWork, choice: ExecutionChoice) -> dict[str, float]:
    """Return the CPUs and GPUs that a worker occupies.

    By default it has as many CPUs as a run on this machine, and one GPU if the device is CUDA.
    """
    gpus = choice.gpus_per_worker
    if gpus is None:
        gpus = float(work.context.manifest["device"] == "cuda")
    return {"CPU": choice.cpus_per_worker or usable_cores(), "GPU": gpus}


def _worker_spec(work: ShardWork) -> WorkerSpec:
    """Return what workers need, after writing a new random ID into the run folder.

    The device is "auto": the manifest fixes its type, and Ray chooses the GPU of each worker.
    """
    folder_id = secrets.token_hex()
    with open_atomic(work.context.folder.identity) as stream:
        stream.write(folder_id)
    request = replace(work.request, compute=replace(work.request.compute, device="auto"))
    replicas = work.request.execution.cpus_per_worker
    return WorkerSpec(request, Path.cwd(), work.context.source.identity, folder_id, replicas)
