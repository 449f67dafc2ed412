"""What `saliency show --reduce` and `--flip` found, as lines for a terminal."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.text import Text

from saliency_cli.records import Record
from saliency_cli.safe_text import visible


class Change(NamedTuple):
    """Code points [start, end) of a text that are removed, and what stands in their place."""

    start: int
    end: int
    new: str = ""


def counterfactual_lines(record: Record, *, colour: bool) -> Iterator[Text]:
    """Yield the answers about a text: for each its figures, then the text with the changes marked.

    Removed words are dim and struck through, and a bold word after → is in their place. Without
    colour they have the marks of GNU wdiff: [-removed-]{+new+}.

    Args:
        record: The record; without `reduction` and `flip` nothing is yielded.
        colour: Whether the terminal has colours.
    """
    for heading, found in _answers(record):
        yield Text()
        yield Text(heading)
        for segment, text in enumerate((record["text"], record["pair"])):
            if found is not None and text is not None:
                yield _marked(text, _changes(text, found, segment), colour=colour)


def _answers(record: Record) -> Iterator[tuple[str, Record | None]]:
    """Yield a line about each answer, and the variant of the text that it is, or None."""
    if "reduction" in record:
        found = record["reduction"]
        yield f"words kept: {_size(found)}; {_effect(found, found)}", {**found, "kept": True}
    if "flip" not in record:
        return
    flip = record["flip"]
    for name, field in (("words removed", "removal"), ("tokens replaced", "replacement")):
        found = flip[field]
        if found is None:
            yield f"{name}: none found that change {visible(flip['label'])}", None
        else:
            yield f"{name}: {_size(found)}; {_effect(flip, found)}", found


def _size(found: Record) -> str:
    """Return how many words or tokens an answer is about, and whether fewer are possible."""
    of = f" of {found['total']}" if "total" in found else ""
    fewest = "possible" if found.get("smallest") else "found"
    return f"{len(found['spans'])}{of}, the fewest {fewest}"


def _effect(asked: Record, found: Record) -> str:
    """Return the label's probability before and after, and the label that is predicted instead.

    Args:
        asked: The label, and its probability before.
        found: The prediction after.
    """
    label, predicted = asked["label"], found["predicted"]
    now = "" if predicted == label else f", now {visible(predicted)} {found['probability']:.3f}"
    return f"{visible(label)} {asked['before']:.3f} → {found['probabilities'][label]:.3f}{now}"


def _changes(text: str, found: Record, segment: int) -> Iterator[Change]:
    """Yield the changes to one text of a record, in reading order.

    Args:
        text: The text.
        found: The variant; its spans are what is left if it has `kept`.
        segment: 0 for the text, 1 for its pair.
    """
    segments = found.get("segments") or [0] * len(found["spans"])
    new = found.get("new") or [""] * len(segments)
    columns = zip(found["spans"], new, segments, strict=True)
    spans = [Change(start, end, to) for (start, end), to, own in columns if own == segment]
    if "kept" not in found:
        yield from spans
        return
    position = 0
    for start, end in [*((span.start, span.end) for span in spans), (len(text), len(text))]:
        gap = text[position:start]
        if gap.strip():
            first = position + len(gap) - len(gap.lstrip())
            yield Change(first, first + len(gap.strip()))
        position = end


def _marked(text: str, changes: Iterable[Change], *, colour: bool) -> Text:
    """Return a text in which changes are marked."""
    marked, position = Text(), 0
    for start, end, new in changes:
        marked.append(_shown(text[position:start]))
        old, new = _shown(text[start:end]), _shown(new)  # noqa: PLW2901
        marked.append(old if colour else f"[-{old}-]", style="dim strike")
        if new:
            marked.append("→" if colour else "")
            marked.append(new if colour else f"{{+{new}+}}", style="bold")
        position = end
    marked.append(_shown(text[position:]))
    marked.rstrip()
    return marked


def _shown(text: str) -> str:
    return visible(text, keep="\n\t")
