"""The results of a benchmark's rounds: figures, lines of the table, and speed-ups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from timing import Entry, TimedRun

HEADER = ("contender", "texts/s", "s/round", "× saliency's time", "min–max", "passes", "L1 error")


@dataclass(frozen=True, slots=True)
class Result:
    """The measurements of one contender.

    Attributes:
        texts: The number of texts of a round.
        seconds: The seconds of each round.
        ratios: For each round its seconds by those of this tool in the same round.
        passes: Mean number of noisy passes per text.
        error: Mean L1 distance to the reference run; None if it was not measured.
    """

    name: str
    texts: int
    seconds: list[float]
    ratios: list[float]
    passes: float
    error: float | None

    @property
    def texts_per_second(self) -> float:
        """Texts per second in the median round."""
        return self.texts / median(self.seconds)

    def figures(self) -> dict[str, object]:
        """Return the result as a JSON object."""
        return {
            "error": self.error,
            "name": self.name,
            "passes": self.passes,
            "ratio": {
                "max": max(self.ratios),
                "median": median(self.ratios),
                "min": min(self.ratios),
            },
            "seconds": self.seconds,
            "seconds_median": median(self.seconds),
            "texts_per_second": self.texts_per_second,
        }

    def cells(self) -> list[str]:
        """Return the cells of a line of the table."""
        return [
            self.name,
            f"{self.texts_per_second:.1f}",
            f"{median(self.seconds):.3f}",
            f"{median(self.ratios):.2f}",
            f"{min(self.ratios):.2f}–{max(self.ratios):.2f}",
            f"{self.passes:.1f}",
            "–" if self.error is None else f"{self.error:.4f}",
        ]


def results_of(
    entries: Sequence[Entry],
    runs: Sequence[Sequence[TimedRun]],
    *,
    errors: Sequence[float | None],
) -> list[Result]:
    """Return the result of each entry, compared with the first entry round by round.

    Args:
        entries: The contenders; the first is this tool.
        runs: The runs of each entry, by round.
        errors: The L1 error of each entry, None if it was not measured.
    """
    base_seconds = [run.seconds for run in runs[0]]
    return [
        Result(
            name=entry.name,
            texts=len(runs_of_entry[0].scores),
            seconds=[run.seconds for run in runs_of_entry],
            ratios=[
                run.seconds / base for run, base in zip(runs_of_entry, base_seconds, strict=True)
            ],
            passes=fmean(scores.passes for run in runs_of_entry for scores in run.scores),
            error=error,
        )
        for entry, runs_of_entry, error in zip(entries, runs, errors, strict=True)
    ]


def speedups_at_same_error(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Return how much faster this tool is with other settings than the other programs are.

    Only settings count whose error is at most that of the first entry, which makes as many passes
    as the other programs do.

    Args:
        results: Of this tool, the article's loop and Captum; then of this tool's other settings.

    Returns:
        Name of the setting -> name of the program -> median ratio of the seconds.
    """
    first, article, captum, *others = results
    return {
        one.name: {
            other.name: median(a / b for a, b in zip(other.seconds, one.seconds, strict=True))
            for other in (article, captum)
        }
        for one in others
        if first.error is not None and one.error is not None and one.error <= first.error
    }


def speedup_lines(speedups: Mapping[str, Mapping[str, float]], *, error: float | None) -> list[str]:
    """Return the speed-ups as lines of the report; none if there are no speed-ups.

    Args:
        speedups: As `speedups_at_same_error` returns them.
        error: The error of the first entry.
    """
    lines = [
        f"  {name}: "
        + ", ".join(f"{ratio:.1f} × {program}" for program, ratio in by_program.items())
        for name, by_program in speedups.items()
    ]
    return ["", f"to an error of {error:.4f} or less, speed of", *lines] if lines else []
