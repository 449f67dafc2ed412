"""A row in the engine: encoded, then predicted with the results of its parts, then finished."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import isfinite
from typing import TypeAlias

from torch import Tensor

from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.reduction import with_dtype_error
from saliency_cli.attribution.row_failures import stand_in
from saliency_cli.attribution.windows import merge
from saliency_cli.explanations import Attribution, Explanation, Prediction
from saliency_cli.model.heads import GOLD, Target
from saliency_cli.model.tokenization import PAIR, TEXT, count_text_tokens
from saliency_cli.records import BadRow, Encoded, Row
from saliency_cli.safe_text import excerpt

Outcome: TypeAlias = Explanation | BadRow


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """A row and its tokens, before its clean passes, one for each of its windows.

    Attributes:
        row: The row.
        encoded: Its tokens.
        failure: Why the model fails on the text, whose windows then hold a stand-in; or None.
    """

    row: Row
    encoded: Encoded
    failure: str | None = None

    @property
    def length(self) -> int:
        """Tokens of the longest window."""
        return max(len(window.encoding) for window in self.encoded.windows)

    @property
    def passes(self) -> int:
        """Number of clean passes (on the unchanged text): one for each window.

        They stay in one batch, since the prediction needs all windows.
        """
        return len(self.encoded.windows)

    def replaced(self, ids: Sequence[int], *, failure: str) -> "EncodedRow":
        """Return the row with a stand-in for its text.

        Args:
            ids: Token ids of the stand-in.
            failure: Why the model fails on the text itself.
        """
        windows = tuple(
            replace(window, encoding=stand_in(window.encoding, ids))
            for window in self.encoded.windows
        )
        return replace(self, encoded=replace(self.encoded, windows=windows), failure=failure)


@dataclass(frozen=True, slots=True)
class PartResult:
    """What a finished part gives.

    Attributes:
        shares: Normalised scores, one a token of the window.
        errors: Their standard errors, or None without an estimate.
        raw: Raw scores [1 + K, L], from which those of several windows are merged.
        draws: Draws made.
        steps: Steps of all draws together.
        flips: Passes that predicted another label than the clean pass.
        converged: Whether the errors are within the tolerance.
        completeness: See `Scores.completeness`.
    """

    shares: list[float]
    errors: list[float] | None
    raw: Tensor
    draws: int
    steps: int
    flips: int
    converged: bool
    completeness: tuple[float, float] | None = None


@dataclass(slots=True)
class ActiveText:
    """A text that is predicted, with the results of its parts as they are finished.

    Attributes:
        text: The row and its tokens.
        prediction: From the mean logits of its windows.
        targets: What is explained; nothing where `--target gold` finds no gold label.
        results: The number of a target, and of a window -> the result of that part.
    """

    text: EncodedRow
    prediction: Prediction
    targets: tuple[Target, ...]
    results: dict[tuple[int, int], PartResult] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all parts are finished."""
        return len(self.results) == len(self.targets) * len(self.text.encoded.windows)


@dataclass(frozen=True, slots=True)
class PartKey:
    """A part of a text, by the number of its target and the number of its window."""

    active: ActiveText
    target: int
    window: int

    @property
    def ordinal(self) -> int:
        """The ordinal of the text's row."""
        return self.active.text.row.ordinal

    @property
    def length(self) -> int:
        """Tokens of the window."""
        return len(self.active.text.encoded.windows[self.window].encoding)


def missing_part(text: EncodedRow) -> str | None:
    """Return why a row cannot be explained, if its text or its pair has no token; else None."""
    for name, segment in (("text", TEXT), ("pair", PAIR)):
        if (name == "text" or text.row.pair is not None) and not count_text_tokens(
            text.encoded.whole, segment
        ):
            return f"the {name} has no token"
    return None


def finish(active: ActiveText, maths: Maths, *, dtype_error: float) -> Outcome:
    """Return the explanation of a text once all its parts are finished, or a quarantined row.

    Args:
        active: The text.
        maths: What was computed.
        dtype_error: What the number format moves scores by, as a share of their sizes.
    """
    row = active.text.row
    if active.text.failure is not None:
        return quarantined(row, active.text.failure)
    if not _all_finite(active.prediction.probabilities, [active.prediction.value]):
        return quarantined(row, "the prediction is not finite")
    if not active.targets:
        return quarantined(row, "the gold label is missing, or is no label of the model")
    encoded = active.text.encoded
    attributions = {
        target.name: _attribution(
            encoded,
            [active.results[number, window] for window in range(len(encoded.windows))],
            maths,
            dtype_error=dtype_error,
        )
        for number, target in enumerate(active.targets)
    }
    numbers = ((each.scores, each.errors or ()) for each in attributions.values())
    if not _all_finite(*chain.from_iterable(numbers)):
        return quarantined(row, "the gradient is not finite")
    return Explanation(row, encoded.whole, active.prediction, attributions, len(encoded.windows))


def _all_finite(*groups: Sequence[float | None]) -> bool:
    """Return whether no number is infinite or NaN, which JSON cannot hold; None is no number."""
    return all(number is None or isfinite(number) for group in groups for number in group)


def _attribution(
    encoded: Encoded, windows: Sequence[PartResult], maths: Maths, *, dtype_error: float
) -> Attribution:
    """Return the attribution of a text and target from the results of its windows."""
    shares, errors = windows[0].shares, windows[0].errors
    if len(windows) > 1:
        merged, merged_errors = merge(encoded, [window.raw for window in windows])
        merged_errors = with_dtype_error(merged_errors, merged, share=dtype_error)
        shares = merged.tolist()
        errors = None if merged_errors is None else merged_errors.tolist()
    method = maths.method
    passes = sum(window.steps for window in windows) * method.passes_per_draw
    flips = sum(window.flips for window in windows)
    samples = max(window.draws for window in windows) * method.samples_per_draw
    return Attribution(
        scores=tuple(shares),
        errors=None if errors is None else tuple(errors),
        samples=samples if method.is_random else None,
        flip_rate=flips / passes if method.has_flip_rate else None,
        evaluations=passes * method.needs.value,
        converged=all(window.converged for window in windows),
        completeness=_completeness(windows),
    )


def _completeness(windows: Sequence[PartResult]) -> tuple[float, float] | None:
    """Return the sums over all windows of what `PartResult.completeness` holds, or None."""
    parts = [window.completeness for window in windows if window.completeness is not None]
    return (sum(total for total, _ in parts), sum(due for _, due in parts)) if parts else None


def quarantined(row: Row, reason: str) -> BadRow:
    """Return a row that is not explained.

    Args:
        row: The row.
        reason: Why, for the record and the page.
    """
    return BadRow(row.ordinal, row.line, row.id, reason, excerpt(row.text), row.size)


def same_text_key(row: Row, maths: Maths) -> object:
    """Return a key that two rows share if they get the same scores: same text, so same noise.

    Args:
        row: A row.
        maths: What is computed; the gold label counts where it is the target.
    """
    return row.text, row.pair, row.gold if maths.target.name == GOLD else None


def with_row(outcome: Outcome, row: Row) -> Outcome:
    """Return the outcome of a text for another row with the same text.

    Args:
        outcome: What became of the first such row.
        row: The other row.
    """
    if isinstance(outcome, BadRow):
        return quarantined(row, outcome.reason)
    return replace(outcome, row=row)
