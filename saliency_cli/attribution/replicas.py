"""Batches side by side: each replica of the module has a thread of its own.

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
"""What is run on one replica: a function of the classifier."""


def replica(classifier: Classifier) -> Classifier:
    """Return the classifier with a copy of its module that shares the weights.

    Hooks, and whatever a module stores during a pass, then belong to the copy alone.
    """
    module = classifier.module
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    copy = deepcopy(module, shared)
    embedding = copy.get_submodule(classifier.embedding_name)
    return replace(classifier, module=copy, embedding=embedding)


def can_replicate(classifier: Classifier) -> bool:
    """Whether the module can be copied; a user's own module may hold something that cannot."""
    try:
        replica(classifier)
    except Exception:  # noqa: BLE001 - copying runs the module's own code, which may raise anything
        return False
    return True


@dataclass(frozen=True, slots=True)
class ReplicaPool:
    """Runs jobs on replicas of a classifier.

    Attributes:
        count: Number of replicas.
        free: The replicas that run no job.
        pool: The threads; None for a single replica, whose jobs run at once in the caller's thread.
    """

    count: int
    free: SimpleQueue[Classifier]
    pool: ThreadPoolExecutor | None = None

    @property
    def ahead(self) -> int:
        """Jobs to keep submitted: one that runs on each replica, and one that follows it."""
        return 1 if self.pool is None else 2 * self.count

    def submit(self, job: BatchJob[Result]) -> Future[Result]:
        """Run a job on the replica that is free next; jobs start in the order of submission."""
        if self.pool is not None:
            return self.pool.submit(self._run, job)
        future: Future[Result] = Future()
        try:
            future.set_result(self._run(job))
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)
        return future

    def _run(self, job: BatchJob[Result]) -> Result:
        classifier = self.free.get()
        try:
            return job(classifier)
        except Exception as error:
            # The traceback would keep the job's tensors alive until its error is read, and the
            # jobs behind it would run out of memory, too.
            clear_frames(error.__traceback__)
            raise
        finally:
            self.free.put(classifier)


@contextmanager
def open_replicas(classifier: Classifier, count: int) -> Iterator[ReplicaPool]:
    """Yield a pool of replicas that divide torch's threads among them.

    On early exit, running jobs finish and queued jobs are cancelled.

    Args:
        classifier: The model; used itself where there is one replica.
        count: Number of replicas.
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
    torch.set_num_threads(each)  # the scores that this thread computes must not crowd the replicas
    try:
        yield ReplicaPool(count, free, pool)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
