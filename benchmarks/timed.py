"""`saliency explain`, which writes down what its rows took, without start and pages.

    python timed.py FILE clock|cpu explain MODEL TEXTS ...

FILE gets the seconds from when the first shard is begun until all are counted.
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
    """Run the command line with a watch on it."""
    target, clock, *arguments = sys.argv[1:]
    now = CLOCKS[clock]
    started: list[float] = []

    @contextmanager
    def watched(choice: ExecutionChoice) -> Iterator[Executor]:
        def explain(work: ShardWork) -> None:
            started.append(now())
            explainer(work)

        with open_local(choice) as explainer:
            yield explain

    def finished(*folder: Any) -> Any:  # noqa: ANN401 - as `finish` has it
        found = finish(*folder)
        Path(target).write_text(str(now() - started[0]), encoding="ascii")
        return found

    with patch.dict(EXECUTORS, local=watched), patch.object(pipeline, "finish", finished):
        app(arguments)


if __name__ == "__main__":
    main()
