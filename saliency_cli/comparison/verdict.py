"""The sentences that a comparison begins with, by rules, on the page, in the terminal and in CI."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from saliency_cli.comparison.slice_changes import is_beyond_chance
from saliency_cli.figures.slices import ALPHA
from saliency_cli.percentages import percent_number
from saliency_cli.safe_text import excerpt

Figures: TypeAlias = Mapping[str, Any]
_NAME = 60
"""Characters of a label, a word or a value that a sentence has."""
_WORDS_NAMED = 2


def verdict(result: Figures) -> list[str]:
    """Return the sentences about a comparison, what changed most first.

    Args:
        result: What `comparison.json` holds.
    """
    return [
        *_predictions(result),
        *_slices(result),
        *_suspects(result),
        *_saliency(result),
        *_rows(result),
    ]


def _predictions(result: Figures) -> Iterator[str]:
    broken, fixed, flipped = result["broken"], result["fixed"], result["flipped"]
    explained = result["explained"]
    if not flipped:
        yield f"None of {explained:,} predictions changed."
        return
    if not result["gold_known"]:
        yield f"{flipped:,} of {explained:,} predictions changed."
        return
    others = flipped - broken - fixed
    parts = [f"{counted(broken, 'prediction')} broken", f"{fixed:,} fixed"]
    yield ", ".join(parts + [f"{others:,} changed otherwise"] * bool(others)) + "."
    yield _accuracy(result)
    for worst in result["confusions"][:1]:
        pair = f"{_name(worst['gold'])} taken for {_name(worst['predicted'])}"
        rows = worst["rows"]
        all_of_them = "The broken one is" if broken == 1 else "All broken ones are"
        some = f"{rows:,} of the broken ones {_are(rows)}"
        yield f"{all_of_them if rows == broken else some} {pair}."


def _accuracy(result: Figures) -> str:
    before, after = result["accuracy_before"], result["accuracy_after"]
    if before == after:
        return f"The accuracy stays at {_percent(after)}."
    chance = "beyond chance" if result["p_value"] < ALPHA else "not beyond chance"
    return (
        f"The accuracy {'rises' if after > before else 'falls'} from {_percent(before)} to "
        f"{_percent(after)} ({chance}, p = {result['p_value']:.2g})."
    )


def _slices(result: Figures) -> Iterator[str]:
    found = [
        (figures["p_value"], column, value, figures)
        for column, values in result["slices"].items()
        for value, figures in values.items()
        if is_beyond_chance(figures) and figures["gold_known"]
    ]
    for _, column, value, figures in sorted(found, key=lambda each: each[:3])[:1]:
        change = "Worse" if figures["broken"] > figures["fixed"] else "Better"
        more = f" {counted(len(found) - 1, 'more slice')} changed." if len(found) > 1 else ""
        yield (
            f"{change} where {_name(column)} is {_name(value) or '(empty)'}: accuracy "
            f"{_percent(figures['accuracy_before'])} before, "
            f"{_percent(figures['accuracy_after'])} after.{more}"
        )


def _suspects(result: Figures) -> Iterator[str]:
    names = {"new": "New", "gone": "Gone", "stronger": "Stronger", "weaker": "Weaker"}
    for kind, name in names.items():
        found = result["suspects"][kind]
        if found:
            noun = "shortcut suspect" if len(found) == 1 else "shortcut suspects"
            shown = [f"{_name(each['word'])} ({_name(each['label'])})" for each in found[:3]]
            yield f"{name} {noun}: {', '.join(shown + ['…'] * (len(found) > 3))}."


def _saliency(result: Figures) -> Iterator[str]:
    compared, moved = result["compared"], result["moved"]
    if result["saliency_not_comparable"]:
        reasons = "; ".join(result["saliency_not_comparable"])
        yield f"The explanations cannot be compared: {reasons}."
    if not compared:
        return
    if not moved:
        yield f"In none of {counted(compared, 'text')} did the saliency move beyond its errors."
        return
    errors = result["expected_distance"]
    alone = f"; errors alone give {percent_number(errors)} %" if errors else ""
    yield (
        f"In {moved:,} of {counted(compared, 'text')} the saliency moved beyond its errors: "
        f"{percent_number(result['mean_distance'])} % of it in the mean of all{alone}."
    )
    yield from (sentence for kind in ("gained", "lost") for sentence in _words(result, kind))


def _words(result: Figures, kind: str) -> Iterator[str]:
    words = result["words"][kind][:_WORDS_NAMED]
    if words:
        yield f"Words that {kind} most: {', '.join(map(_word, words))}."


def _word(entry: Figures) -> str:
    before, after = (percent_number(entry[name]) for name in ("before", "after"))
    texts = counted(entry["texts"], "text")
    return f"{_name(entry['word'])} (from {before} % to {after} % in {texts})"


def _rows(result: Figures) -> Iterator[str]:
    for name in ("before", "after"):
        count = result[f"only_{name}"]
        if count:
            yield f"{counted(count, 'row')} {_are(count)} only in {name.upper()}."
    lost = result["newly_quarantined"]
    if lost:
        yield f"{counted(lost, 'row')} could be explained before and cannot be now."
    if result["gold_changed"]:
        yield f"{counted(result['gold_changed'], 'gold label')} changed between the runs."
    changed = result["texts_changed"]
    if changed:
        rows = f"{counted(changed, 'row')} {_are(changed)}"
        yield f"{rows} matched although the text differs: the saliency is not compared there."


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `1,234 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _name(text: str) -> str:
    return excerpt(text, limit=_NAME)
