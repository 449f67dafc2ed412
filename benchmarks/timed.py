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
from saliency_cli.settings import EngineChoice
from saliency_cli.workers import ENGINES
from saliency_cli.workers.in_process import local_engine
from saliency_cli.workers.interface import Explainer, Work

CLOCKS = {"clock": perf_counter, "cpu": process_time}


def main() -> None:
    """Run the command line with a watch on it."""
    target, clock, *arguments = sys.argv[1:]
    now = CLOCKS[clock]
    started: list[float] = []

    @contextmanager
    def watched(choice: EngineChoice) -> Iterator[Explainer]:
        def explain(work: Work) -> None:
            started.append(now())
            explainer(work)

        with local_engine(choice) as explainer:
            yield explain

    def finished(*folder: Any) -> Any:  # noqa: ANN401 - as `finish` has it
        found = finish(*folder)
        Path(target).write_text(str(now() - started[0]), encoding="ascii")
        return found

    with patch.dict(ENGINES, local=watched), patch.object(pipeline, "finish", finished):
        app(arguments)


if __name__ == "__main__":
    main()
