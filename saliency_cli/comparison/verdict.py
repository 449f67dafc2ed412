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
    parts = [f"{_counted(broken, 'prediction')} broken", f"{fixed:,} fixed"]
    yield ", ".join(parts + [f"{others:,} changed otherwise"] * bool(others)) + "."
    yield _accuracy(result)
    if result["confusions"]:
        worst = result["confusions"][0]
        gold, predicted = _name(worst["gold"]), _name(worst["predicted"])
        yield f"{worst['rows']:,} of the broken ones {_are(worst['rows'])} {gold} taken for {predicted}."


def _accuracy(result: Figures) -> str:
    before, after = result["accuracy_before"], result["accuracy_after"]
    verb = "rises" if after > before else "falls" if after < before else "stays"
    if before == after:
        return f"The accuracy stays at {_percent(after)}."
    chance = "beyond chance" if result["p_value"] < ALPHA else "not beyond chance"
    return (
        f"The accuracy {verb} from {_percent(before)} to {_percent(after)} "
        f"({chance}, p = {result['p_value']:.2g})."
    )


def _slices(result: Figures) -> Iterator[str]:
    found = [
        (column, value, figures)
        for column, values in result["slices"].items()
        for value, figures in values.items()
        if is_beyond_chance(figures) and figures["gold_known"]
    ]
    for column, value, figures in sorted(found, key=lambda each: (each[2]["p_value"], *each[:2]))[
        :1
    ]:
        worse = figures["broken"] > figures["fixed"]
        more = f" {_counted(len(found) - 1, 'more slice')} changed." if len(found) > 1 else ""
        yield (
            f"{'Worse' if worse else 'Better'} where {_name(column)} is {_name(value) or '(empty)'}: "
            f"accuracy {_percent(figures['accuracy_before'])} before, "
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
        yield f"In none of {_counted(compared, 'text')} did the saliency move beyond its errors."
        return
    errors = result["expected_distance"]
    alone = f"; errors alone give {percent_number(errors)} %" if errors else ""
    yield (
        f"In {moved:,} of {_counted(compared, 'text')} the saliency moved beyond its errors; in the "
        f"mean {percent_number(result['mean_distance'])} % of it moved to other words{alone}."
    )
    for kind in ("gained", "lost"):
        words = result["words"][kind][:_WORDS_NAMED]
        if words:
            shown = ", ".join(map(_word, words))
            yield f"{'Words that gained' if kind == 'gained' else 'Words that lost'} most: {shown}."


def _word(entry: Figures) -> str:
    before, after = (percent_number(entry[name]) for name in ("before", "after"))
    return f"{_name(entry['word'])} (from {before} % to {after} % in {_counted(entry['texts'], 'text')})"


def _rows(result: Figures) -> Iterator[str]:
    for name in ("before", "after"):
        count = result[f"only_{name}"]
        if count:
            yield f"{_counted(count, 'row')} {_are(count)} only in {name.upper()}."
    if result["newly_quarantined"]:
        yield f"{_counted(result['newly_quarantined'], 'row')} could be explained before and cannot now."
    if result["gold_changed"]:
        yield f"{_counted(result['gold_changed'], 'gold label')} changed between the runs."
    if result["texts_changed"]:
        count = result["texts_changed"]
        yield f"{_counted(count, 'row')} {_are(count)} matched although the text differs; its saliency is not compared."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _name(text: str) -> str:
    return excerpt(text, limit=_NAME)
