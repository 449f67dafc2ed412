"""What the rounds of a race come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from racing import Entry, Lap

HEADER = ("contender", "texts/s", "s/round", "× saliency's time", "min–max", "passes", "L1 error")


@dataclass(frozen=True, slots=True)
class Result:
    """What the rounds showed of one contender; `ratios` are to this tool, in the same round."""

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
        """Return the result as JSON."""
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
        """Return the result as a line of the table."""
        return [
            self.name,
            f"{self.texts_per_second:.1f}",
            f"{median(self.seconds):.3f}",
            f"{median(self.ratios):.2f}",
            f"{min(self.ratios):.2f}–{max(self.ratios):.2f}",
            f"{self.passes:.1f}",
            "–" if self.error is None else f"{self.error:.4f}",
        ]


def conclude(
    entries: Sequence[Entry], laps: Sequence[Sequence[Lap]], *, errors: Sequence[float | None]
) -> list[Result]:
    """Sum up the laps; the first entry is what the others are compared with, round by round."""
    own = [lap.seconds for lap in laps[0]]
    return [
        Result(
            name=entry.name,
            texts=len(of_entry[0].scored),
            seconds=[lap.seconds for lap in of_entry],
            ratios=[lap.seconds / base for lap, base in zip(of_entry, own, strict=True)],
            passes=fmean(scored.passes for lap in of_entry for scored in lap.scored),
            error=error,
        )
        for entry, of_entry, error in zip(entries, laps, errors, strict=True)
    ]


def to_the_same_error(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Return how much faster each of the tool's shorter ways is than the other programs.

    Only those count that are as close to the long run as the first entry, which makes as many
    passes as the others do.
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


def told(gains: Mapping[str, Mapping[str, float]], *, error: float | None) -> list[str]:
    """Return the gains as lines that a person reads; nothing where there are none."""
    lines = [
        f"  {name}: " + ", ".join(f"{times:.1f} × {other}" for other, times in than.items())
        for name, than in gains.items()
    ]
    return ["", f"to an error of {error:.4f} or less, speed of", *lines] if lines else []
