"""The engine that has the workers of a Ray cluster explain the shards.

The cluster carries shard numbers and nothing else: rows, records, receipts and journals are in
files that all nodes see, and a shard is committed there by whoever explains it.
"""

import logging
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from saliency_cli.engines.crew import Crew, check_room
from saliency_cli.engines.work import Explainer, Work
from saliency_cli.engines.worker import Errand, Worker
from saliency_cli.errors import Interrupted, UsageError
from saliency_cli.escapes import excerpt, visible
from saliency_cli.settings import EngineChoice
from saliency_cli.signals import STOPPING, caught
from saliency_cli.store import committed

REACHED = 10.0
"""Seconds that a cluster has to answer."""
STORE = 80 << 20
"""Bytes of the object store of a cluster of our own, near the least that Ray takes: what goes
through it are shard numbers."""


@contextmanager
def ray_engine(choice: EngineChoice) -> Iterator[Explainer]:
    """Connect to a Ray cluster, or start one of our own; it is left or stopped at the end.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    ray = _ray()
    # Ray prints what it hears from its nodes to stdout, which is for data.
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            _connect(ray, choice.address or "auto")
            check_room(
                ray, {"CPU": choice.cpus_per_worker or 1, "GPU": choice.gpus_per_worker or 0}
            )
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


def _explain(work: Work, *, ray: Any, choice: EngineChoice) -> None:  # noqa: ANN401
    """Have workers commit the shards."""
    needs = _needs(work, choice)
    room = check_room(ray, needs)
    errand = _errand(work)
    remote = ray.remote(Worker).options(
        num_cpus=needs["CPU"], num_gpus=needs["GPU"], scheduling_strategy="SPREAD"
    )
    size = min(choice.workers or room, len(work.job.plan.places))
    crew = Crew(ray, work, hire=lambda: remote.remote(errand), size=size, needs=needs)
    crew.explain()


def _needs(work: Work, choice: EngineChoice) -> dict[str, float]:
    """Return what of each resource a worker takes: threads and device follow from the plan."""
    manifest, gpus = work.job.manifest, choice.gpus_per_worker
    if gpus is None:
        gpus = float(manifest["device"] == "cuda")
    return {"CPU": choice.cpus_per_worker or manifest["threads"], "GPU": gpus}


def _errand(work: Work) -> Errand:
    """Put a token into the run's folder, and say what workers must find."""
    token = secrets.token_hex()
    with committed(work.job.folder.token) as stream:
        stream.write(token)
    return Errand(work.request, Path.cwd(), token, work.job.source.size)
