"""Texts side by side: each stream has a thread, and a copy of the module, of its own.

The operations of a small model are too short to be divided among cores; whole batches are not.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

import torch

from saliency_cli.classifier import Classifier

Item = TypeVar("Item")


def replica(classifier: Classifier) -> Classifier:
    """Return the classifier with a copy of its module that shares the weights.

    Hooks, and whatever a module keeps of a pass, are then the copy's own.
    """
    module = classifier.module
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    copy = deepcopy(module, shared)
    embedding = copy.get_submodule(classifier.embedding_name)
    return replace(classifier, module=copy, embedding=embedding)


def replicable(classifier: Classifier) -> bool:
    """Say whether the module can be copied; one of a user's own may hold what cannot be."""
    try:
        replica(classifier)
    except Exception:  # noqa: BLE001 - copying runs the module's own code, which may raise anything
        return False
    return True


@contextmanager
def threads(streams: int) -> Iterator[ThreadPoolExecutor]:
    """Open a thread per stream; torch's own threads are divided among them."""
    each = max(1, torch.get_num_threads() // streams)
    pool = ThreadPoolExecutor(streams, initializer=torch.set_num_threads, initargs=(each,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def merged(sources: Sequence[Iterable[Item]], pool: ThreadPoolExecutor) -> Iterator[Item]:
    """Run through all `sources` at once, a thread each, and yield what comes as it comes.

    What one of them raises is raised here; the others then stop at their next item.
    """
    came: SimpleQueue[Item | Future[None]] = SimpleQueue()
    stopped = Event()

    def run(source: Iterable[Item]) -> None:
        for item in source:
            if stopped.is_set():
                return
            came.put(item)

    running = [pool.submit(run, source) for source in sources]
    for future in running:
        future.add_done_callback(came.put)
    try:
        while running:
            item = came.get()
            if isinstance(item, Future):
                item.result()
                running.remove(item)
            else:
                yield item
    finally:
        stopped.set()
