"""Runs `saliency explain`, and writes down the seconds that its rows took, without start and pages.

    python timed_explain.py FILE clock|cpu explain MODEL TEXTS ...

FILE gets the seconds from the start of the first shard until the run's rows are counted.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

from saliency_cli.cli import pipeline
from saliency_cli.cli.app import app
from saliency_cli.runs.finalize import finish
from saliency_cli.settings import ExecutionChoice
from saliency_cli.workers import EXECUTORS
from saliency_cli.workers.in_process import open_local
from saliency_cli.workers.interface import Executor, ShardWork

CLOCKS = {"clock": perf_counter, "cpu": process_time}


def main() -> None:
    """Run the command line with a timer around its shards."""
    target, clock, *arguments = sys.argv[1:]
    now = CLOCKS[clock]
    started: list[float] = []

    @contextmanager
    def open_timed(choice: ExecutionChoice) -> Iterator[Executor]:
        def execute(work: ShardWork) -> None:
            started.append(now())
            local(work)

        with open_local(choice) as local:
            yield execute

    def finish_timed(*arguments: Any) -> Any:  # noqa: ANN401 - those of `finish`
        result = finish(*arguments)
        Path(target).write_text(str(now() - started[0]), encoding="ascii")
        return result

    with patch.dict(EXECUTORS, local=open_timed), patch.object(pipeline, "finish", finish_timed):
        app(arguments)


if __name__ == "__main__":
    main()
