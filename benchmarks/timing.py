"""Times contenders in alternation, and measures how far each is from a reference run."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from time import perf_counter

import torch
from contenders import BatchShape, Contender, TextScores, Tool
from reporting import print_progress

from saliency_cli.records import Row

TEXTS_IN_BATCH = {"cpu": (1, 2, 4, 8, 16, 32), "cuda": (8, 16, 32, 64, 128, 256)}
"""Numbers of texts in a batch that are tried for Captum, by device."""
FINALISTS = 4
"""Batch shapes that are timed again, twice, because one measurement is noisy."""
REFERENCE_SEED = 1_000_003
"""The seed of no round: the draws of a round must not be part of its reference."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender, as a line of the table.

    Attributes:
        reference: The engine that makes the long run with which the contender should agree.
    """

    name: str
    contender: Contender
    reference: Tool


@dataclass(frozen=True, slots=True)
class TimedRun:
    """One run of one contender over all texts."""

    seconds: float
    scores: list[TextScores]


@dataclass(frozen=True, slots=True)
class Workload:
    """The texts that every contender scores, and how runs over them are timed.

    Attributes:
        rows: The texts, sorted by length.
        clock: Returns seconds: of the clock, or of the processor.
    """

    rows: Sequence[Row]
    device: torch.device
    clock: Callable[[], float] = perf_counter

    def time(self, contender: Contender, *, seed: int) -> TimedRun:
        """Time one contender over all texts.

        Args:
            contender: What is timed.
            seed: Seed of its noise.
        """
        gc.collect()
        with _deterministic_kernels(self.device, enabled=contender.deterministic):
            _synchronise(self.device)
            started = self.clock()
            scores = contender(self.rows, seed=seed)
            _synchronise(self.device)
            return TimedRun(self.clock() - started, scores)

    def time_rounds(self, entries: Sequence[Entry], *, rounds: int) -> list[list[TimedRun]]:
        """Time all contenders in alternation, after a warm-up.

        Args:
            entries: The contenders.
            rounds: How often each is timed. Each round begins with another contender, so that a
                change in the machine's speed affects all of them alike.

        Returns:
            The runs of each entry, by round.
        """
        for entry in entries:
            entry.contender(self.spread_rows(4), seed=0)
        runs: list[list[TimedRun]] = [[] for _ in entries]
        for number in range(rounds):
            print_progress(f"round {number + 1} of {rounds}")
            for turn in range(len(entries)):
                index = (turn + number) % len(entries)
                runs[index].append(self.time(entries[index].contender, seed=number))
        return runs

    def spread_indices(self, count: int) -> list[int]:
        """Return the indices of `count` rows, spread evenly from the shortest to the longest."""
        count = min(count, len(self.rows))
        return [(2 * number + 1) * len(self.rows) // (2 * count) for number in range(count)]

    def spread_rows(self, count: int) -> list[Row]:
        """Return `count` rows, spread evenly from the shortest to the longest."""
        return [self.rows[index] for index in self.spread_indices(count)]

    def errors(
        self, entries: Sequence[Entry], runs: Sequence[Sequence[TimedRun]], *, texts: int
    ) -> list[float]:
        """Return each entry's mean L1 distance to its reference run.

        Args:
            entries: The contenders.
            runs: The runs of each entry, by round; the mean is over all of them.
            texts: The number of texts that are compared.
        """
        rows, indices = self.spread_rows(texts), self.spread_indices(texts)
        references: dict[int, list[TextScores]] = {}
        for entry in entries:
            if id(entry.reference) not in references:
                print_progress(f"reference run of {entry.name}")
                references[id(entry.reference)] = entry.reference(rows, seed=REFERENCE_SEED)
        return [
            fmean(
                _distance(run.scores[index], reference)
                for run in runs_of_entry
                for index, reference in zip(indices, references[id(entry.reference)], strict=True)
            )
            for entry, runs_of_entry in zip(entries, runs, strict=True)
        ]


def fastest_shape(
    make: Callable[[BatchShape], Contender], workload: Workload, *, samples: int, texts: int
) -> BatchShape:
    """Return Captum's fastest batch shape: each is timed once, and the best ones three times.

    Args:
        make: Returns Captum with a batch shape.
        workload: The texts of the benchmark.
        samples: Noisy passes per text, the largest number of samples in a batch.
        texts: About how many of the texts are used.
    """
    sizes = TEXTS_IN_BATCH[workload.device.type]
    part = replace(workload, rows=_neighbours(workload.rows, length=max(sizes), total=texts))
    sample_counts = sorted({samples, -(-samples // 2), min(2, samples), 1})
    shapes = [
        BatchShape(*shape) for shape in product(sizes, sample_counts) if shape[0] <= len(part.rows)
    ]
    part.time(make(shapes[0]), seed=0)
    print_progress(f"calibrating Captum: {len(shapes)} shapes over {len(part.rows)} texts")
    seconds = {shape: _seconds(part, make(shape)) for shape in shapes}
    for shape in sorted(seconds, key=seconds.__getitem__)[:FINALISTS]:
        again = min(_seconds(part, make(shape)) for _ in range(2))
        seconds[shape] = min(seconds[shape], again)
    return min(seconds, key=seconds.__getitem__)


def _seconds(workload: Workload, contender: Contender) -> float:
    """Return the time of a run; infinity if it does not fit into the device's memory."""
    try:
        return workload.time(contender, seed=0).seconds
    except torch.OutOfMemoryError:
        return float("inf")


def _neighbours(rows: Sequence[Row], *, length: int, total: int) -> list[Row]:
    """Return about `total` rows, in groups of `length` neighbours.

    The rows are sorted by length. A batch of scattered rows would hold more padding than one of
    the real run.
    """
    count = -(-total // length)
    if count * length >= len(rows):
        return list(rows)
    starts = [(len(rows) - length) * (2 * part + 1) // (2 * count) for part in range(count)]
    return [row for start in starts for row in rows[start : start + length]]


def _distance(one: TextScores, other: TextScores) -> float:
    return sum(abs(a - b) for a, b in zip(one.scores, other.scores, strict=True))


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _deterministic_kernels(device: torch.device, *, enabled: bool) -> Iterator[None]:
    """Switch deterministic CUDA kernels on or off inside the block.

    They are slower, so a contender that does not promise the same bytes in every run gets the fast
    ones.
    """
    if device.type != "cuda":
        yield
        return
    torch.use_deterministic_algorithms(enabled)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=True)
