"""What every engine is handed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from saliency_cli.runs.folder_lock import Lock
from saliency_cli.runs.request import Request
from saliency_cli.runs.shard_runner import RunContext
from saliency_cli.settings import ExecutionChoice


@dataclass(frozen=True, slots=True)
class ShardWork:
    """The shards that are left of a run; the folder is locked for who commits them.

    `advance` hears of rows as they are explained. The numbers come one by one, for there may be
    millions.
    """

    context: RunContext
    lock: Lock
    request: Request
    numbers: Iterator[int]
    advance: Callable[[int], None]


Executor: TypeAlias = Callable[[ShardWork], None]
"""Commits all shards of some work; raises a SaliencyError where one cannot be."""
OpenExecutor: TypeAlias = Callable[[ExecutionChoice], AbstractContextManager[Executor]]
"""Gets ready before anything is on the disk, and cleans up behind its explainer."""
