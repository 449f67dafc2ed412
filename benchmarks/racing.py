"""How contenders are timed against each other, and how far each is off."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from time import perf_counter

import torch
from contenders import Contender, Scored, Shape, Tool
from reporting import say

from saliency_cli.records import Row

TEXTS_AT_ONCE = {"cpu": (1, 2, 4, 8, 16, 32), "cuda": (8, 16, 32, 64, 128, 256)}
FINALISTS = 4
REFERENCE_SEED = 1_000_003
"""No round's seed: the reference must not hold the very draws that it judges."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender, its name in the table, and the long run that it should agree with."""

    name: str
    contender: Contender
    truth: Tool


@dataclass(frozen=True, slots=True)
class Lap:
    """One contender's part of one round."""

    seconds: float
    scored: list[Scored]


@dataclass(frozen=True, slots=True)
class Course:
    """What is run over: texts sorted by length, on one device."""

    rows: Sequence[Row]
    device: torch.device
    clock: Callable[[], float] = perf_counter

    def lap(self, contender: Contender, *, seed: int) -> Lap:
        """Time one contender over all texts."""
        gc.collect()
        with _determinism(self.device, wanted=contender.deterministic):
            _synchronise(self.device)
            started = self.clock()
            scored = contender(self.rows, seed=seed)
            _synchronise(self.device)
            return Lap(self.clock() - started, scored)

    def race(self, entries: Sequence[Entry], *, rounds: int) -> list[list[Lap]]:
        """Return the laps of each entry; each round begins with another one."""
        for entry in entries:
            entry.contender(self.spread(4), seed=0)
        laps: list[list[Lap]] = [[] for _ in entries]
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for turn in range(len(entries)):
                place = (turn + number) % len(entries)
                laps[place].append(self.lap(entries[place].contender, seed=number))
        return laps

    def positions(self, count: int) -> list[int]:
        """Return the places of `count` texts, short and long ones alike."""
        count = min(count, len(self.rows))
        return [(2 * index + 1) * len(self.rows) // (2 * count) for index in range(count)]

    def spread(self, count: int) -> list[Row]:
        """Return `count` texts, short and long ones alike."""
        return [self.rows[place] for place in self.positions(count)]

    def errors(
        self, entries: Sequence[Entry], laps: Sequence[Sequence[Lap]], *, texts: int
    ) -> list[float]:
        """Return each entry's mean L1 distance to its long run, over a few texts and all rounds."""
        rows, positions = self.spread(texts), self.positions(texts)
        truths: dict[int, list[Scored]] = {}
        for entry in entries:
            if id(entry.truth) not in truths:
                say(f"the long run behind {entry.name}")
                truths[id(entry.truth)] = entry.truth(rows, seed=REFERENCE_SEED)
        return [
            fmean(
                _distance(lap.scored[place], truth)
                for lap in of_entry
                for place, truth in zip(positions, truths[id(entry.truth)], strict=True)
            )
            for entry, of_entry in zip(entries, laps, strict=True)
        ]


def fastest(
    make: Callable[[Shape], Contender], course: Course, *, samples: int, texts: int
) -> Shape:
    """Find Captum's best shape on about so many texts: all are tried once, the best ones thrice."""
    sizes = TEXTS_AT_ONCE[course.device.type]
    stretches = _stretches(course.rows, length=max(sizes), total=texts)
    part = replace(course, rows=stretches)
    at_once = sorted({samples, -(-samples // 2), min(2, samples), 1})
    shapes = [Shape(*shape) for shape in product(sizes, at_once) if shape[0] <= len(part.rows)]
    part.lap(make(shapes[0]), seed=0)
    say(f"calibrating Captum: {len(shapes)} shapes over {len(part.rows)} texts")
    seconds = {shape: _seconds(part, make(shape)) for shape in shapes}
    for shape in sorted(seconds, key=seconds.__getitem__)[:FINALISTS]:
        again = min(_seconds(part, make(shape)) for _ in range(2))
        seconds[shape] = min(seconds[shape], again)
    return min(seconds, key=seconds.__getitem__)


def _seconds(course: Course, contender: Contender) -> float:
    """Return the time of a lap; what does not fit into the device's memory takes forever."""
    try:
        return course.lap(contender, seed=0).seconds
    except torch.OutOfMemoryError:
        return float("inf")


def _stretches(rows: Sequence[Row], *, length: int, total: int) -> list[Row]:
    """Return stretches of neighbours: a batch of scattered texts would hold too much padding."""
    count = -(-total // length)
    if count * length >= len(rows):
        return list(rows)
    starts = [(len(rows) - length) * (2 * part + 1) // (2 * count) for part in range(count)]
    return [row for start in starts for row in rows[start : start + length]]


def _distance(one: Scored, other: Scored) -> float:
    return sum(abs(a - b) for a, b in zip(one.scores, other.scores, strict=True))


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _determinism(device: torch.device, *, wanted: bool) -> Iterator[None]:
    """Let only those pay for reproducible CUDA kernels who promise the same bytes twice."""
    if device.type != "cuda":
        yield
        return
    torch.use_deterministic_algorithms(wanted)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=True)
