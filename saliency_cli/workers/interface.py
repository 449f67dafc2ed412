"""The interface of an executor: what it is given and what it does."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from saliency_cli.runs.folder_lock import Lock
from saliency_cli.runs.request import Request
from saliency_cli.runs.shard_runner import RunContext
from saliency_cli.settings import ExecutionChoice
from saliency_cli.workers.launchers import Launcher


@dataclass(frozen=True, slots=True)
class ShardWork:
    """The shards of a run that are not committed yet, and what is needed to commit them.

    Attributes:
        context: The run: its folder, manifest, plan, source and engine.
        lock: The lock of the run folder. This process holds it for the executor and its workers.
        request: The request that started or resumed the run.
        numbers: Numbers of the shards to commit. An iterator, because a run may have millions.
        advance: Reports progress. Its argument is a number of rows; a negative one takes rows back.
        launcher: Starts worker processes on this machine; None if none is known to be needed.
    """

    context: RunContext
    lock: Lock
    request: Request
    numbers: Iterator[int]
    advance: Callable[[int], None]
    launcher: Launcher | None = None


Executor: TypeAlias = Callable[[ShardWork], None]
"""Commits all shards of a `ShardWork`, or raises `SaliencyError` if one cannot be committed."""
OpenExecutor: TypeAlias = Callable[[ExecutionChoice], AbstractContextManager[Executor]]
"""Opens an executor before the run writes any file; leaving the context releases its resources."""
