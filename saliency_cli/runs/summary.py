"""A run in a few numbers, added up row by row."""

from dataclasses import dataclass, fields

from saliency_cli.records import Record

FLIPS_WARNED = 0.1
"""A flip rate above this says that the noise destroys the prediction, and the explanation too."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The names that `--json` prints and the page shows; means are over explained rows."""

    rows: int
    ok: int
    quarantined: int
    accuracy: float | None
    mean_probability: float | None
    flip_rate: float | None
    special_share: float | None
    samples: float | None
    truncated: int

    @property
    def exit_code(self) -> int:
        """0, or 4 where rows are quarantined."""
        return 4 if self.quarantined else 0


@dataclass(slots=True)
class SummaryCounts:
    """The sums behind a summary."""

    labels: tuple[str, ...]
    ok: int = 0
    quarantined: int = 0
    judged: int = 0
    right: int = 0
    truncated: int = 0
    samples: int = 0
    drawn: int = 0
    labelled: int = 0
    probability: float = 0.0
    flip_rate: float = 0.0
    special_share: float = 0.0
    unconverged: int = 0

    @property
    def rows(self) -> int:
        """Rows that were counted."""
        return self.ok + self.quarantined

    def sums(self) -> dict[str, float]:
        """Return all that is counted, by name."""
        return {name: getattr(self, name) for name in _SUMS}

    def join(self, sums: dict[str, float]) -> None:
        """Count what another tally has."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + sums[name])

    def add(self, record: Record) -> None:
        """Count one record; gold labels that the model does not know stay out of the accuracy."""
        if record["status"] != "ok":
            self.quarantined += 1
            return
        self.ok += 1
        self.truncated += record["truncated"]
        if record["samples"] is not None:  # a method that draws at random
            self.drawn += 1
            self.samples += record["samples"]
            self.flip_rate += record["flip_rate"]
        self.labelled += record["probability"] is not None
        self.probability += record["probability"] or 0.0
        self.special_share += record["special_share"]
        if record["predicted"] is not None and record["gold"] in self.labels:
            self.judged += 1
            self.right += record["gold"] == record["predicted"]

    def summary(self) -> Summary:
        """Return the summary of what was added."""
        return Summary(
            rows=self.rows,
            ok=self.ok,
            quarantined=self.quarantined,
            accuracy=_mean(self.right, self.judged),
            mean_probability=_mean(self.probability, self.labelled),
            flip_rate=_mean(self.flip_rate, self.drawn),
            special_share=_mean(self.special_share, self.ok),
            samples=_mean(self.samples, self.drawn),
            truncated=self.truncated,
        )


_SUMS = tuple(field.name for field in fields(SummaryCounts) if field.name != "labels")


def _mean(total: float, count: int) -> float | None:
    return float(f"{total / count:.7g}") if count else None
