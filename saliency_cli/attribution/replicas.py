"""Batches side by side: each stream has a thread, and a copy of the module, of its own.

The operations of a small model are too short to be divided among cores; whole batches are not.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from queue import SimpleQueue
from traceback import clear_frames
from typing import TypeAlias, TypeVar

import torch

from saliency_cli.model.classifier import Classifier

Result = TypeVar("Result")
BatchJob: TypeAlias = Callable[[Classifier], Result]


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


@dataclass(frozen=True, slots=True)
class ReplicaPool:
    """What runs jobs on a classifier; without a pool, each at once in the thread that asks."""

    count: int
    free: SimpleQueue[Classifier]
    pool: ThreadPoolExecutor | None = None

    @property
    def ahead(self) -> int:
        """Jobs to have started: one in each stream, and one for each to go on with."""
        return 1 if self.pool is None else 2 * self.count

    def start(self, job: BatchJob[Result]) -> Future[Result]:
        """Start a job on whichever replica is free next; jobs are started in order."""
        if self.pool is not None:
            return self.pool.submit(self._run, job)
        made: Future[Result] = Future()
        try:
            made.set_result(self._run(job))
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for
            made.set_exception(error)
        return made

    def _run(self, job: BatchJob[Result]) -> Result:
        classifier = self.free.get()
        try:
            return job(classifier)
        except Exception as error:
            # Else what the job had in memory stays there until its error has been heard of, and
            # the jobs behind it run out of memory, too.
            clear_frames(error.__traceback__)
            raise
        finally:
            self.free.put(classifier)


@contextmanager
def open_replicas(classifier: Classifier, count: int) -> Iterator[ReplicaPool]:
    """Open so many streams; torch's own threads are divided among them.

    Who leaves early waits for the jobs that run, and for no other.
    """
    free: SimpleQueue[Classifier] = SimpleQueue()
    if count == 1:
        free.put(classifier)
        yield ReplicaPool(count, free)
        return
    for _ in range(count):
        free.put(replica(classifier))
    threads = torch.get_num_threads()
    each = max(1, threads // count)
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(each,))
    torch.set_num_threads(each)  # what this thread adds up must not get in the streams' way
    try:
        yield ReplicaPool(count, free, pool)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
