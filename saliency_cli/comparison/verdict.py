"""The sentences that a comparison begins with, by rules, on the page, in the terminal and in CI."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from saliency_cli.analysis.suspect_checks import SuspectCheck, check_phrase
from saliency_cli.comparison.suspect_changes import KINDS
from saliency_cli.figures.slices import ALPHA
from saliency_cli.percentages import accuracy_percent, percent_number
from saliency_cli.plurals import counted
from saliency_cli.safe_text import excerpt

Figures: TypeAlias = Mapping[str, Any]
_NAME = 60
"""Characters of a label, a word or a value that a sentence has."""
_WORDS_NAMED = 2
_SUSPECTS_NAMED = 3
SMALLEST_P = 1e-12
COVERED = 0.9
"""With a smaller share of rows in both runs, this is said first."""


def verdict(result: Figures) -> list[str]:
    """Return the sentences about a comparison, what changed most first.

    Args:
        result: What `comparison.json` holds.
    """
    return [
        *_coverage(result),
        *_predictions(result),
        *_suspects(result),
        *_slices(result),
        *_saliency(result),
        *_rows(result),
    ]


def is_beyond_chance(figures: Figures) -> bool:
    """Whether a slice changed beyond chance, over all slices together."""
    return bool(figures["p_value"] < ALPHA)


def _coverage(result: Figures) -> Iterator[str]:
    """Yield how many rows are compared, first of all if many are not."""
    rows, matched = result["rows"], result["matched"]
    if matched < COVERED * rows:
        yield f"Only {matched:,} of {rows:,} rows are in both runs: what follows is about these."


def _predictions(result: Figures) -> Iterator[str]:
    broken, fixed, flipped = result["broken"], result["fixed"], result["flipped"]
    explained = result["explained"]
    if not flipped:
        yield f"None of {explained:,} predictions changed."
        return
    if not result["gold_known"]:
        yield f"{flipped:,} of {explained:,} predictions changed."
        return
    others, suspects = flipped - broken - fixed, result["new_confirmed_suspects"]
    parts = [
        f"{counted(broken, 'prediction')} broken",
        f"{fixed:,} fixed",
        *([f"{others:,} changed otherwise"] if others else []),
        # In the headline, since a model that learned a shortcut often has more right predictions.
        *([f"and {counted(suspects, 'new confirmed shortcut')}"] if suspects else []),
    ]
    yield f"{', '.join(parts)}."
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
        return f"The accuracy stays at {accuracy_percent(after)}."
    chance = "beyond chance" if result["p_value"] < ALPHA else "not beyond chance"
    return (
        f"The accuracy {'rises' if after > before else 'falls'} from {accuracy_percent(before)} to "
        f"{accuracy_percent(after)} ({chance}, {_p_value(result['p_value'])})."
    )


def _p_value(value: float) -> str:
    """Return a p-value; one that is too small to mean more is given as a bound."""
    return f"p = {value:.2g}" if value >= SMALLEST_P else f"p < {SMALLEST_P:g}"


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
            f"{accuracy_percent(figures['accuracy_before'])} before, "
            f"{accuracy_percent(figures['accuracy_after'])} after.{more}"
        )


def _suspects(result: Figures) -> Iterator[str]:
    """Yield the changed suspects, new ones first, with what their check found."""
    for kind in KINDS:
        name, found = kind.capitalize(), result["suspects"][kind]
        for each in found[:_SUSPECTS_NAMED]:
            check = each["before"] if kind == "gone" else each["after"]
            confirmed = "confirmed " if check and check["confirmed"] and kind != "gone" else ""
            what = f"{name} {confirmed}shortcut suspect"
            yield f"{what}: {_name(each['word'])} ({_name(each['label'])}){_checked(check)}."
        if len(found) > _SUSPECTS_NAMED:
            yield f"{name} are {len(found) - _SUSPECTS_NAMED:,} more shortcut suspects."


def _checked(check: Figures | None) -> str:
    return "" if check is None else f": {check_phrase(SuspectCheck.from_json(check))}"


def _saliency(result: Figures) -> Iterator[str]:
    compared, moved = result["compared"], result["moved"]
    if result["saliency_not_comparable"]:
        reasons = "; ".join(result["saliency_not_comparable"])
        yield f"The explanations cannot be compared: {reasons}."
    if not compared:
        return
    texts = counted(compared, "text")
    if compared < result["explained"]:
        texts += " that kept their label"
    if not moved:
        yield f"In none of {texts} did the saliency move beyond its errors."
        return
    errors = result["expected_distance"]
    alone = f"; errors alone give {percent_number(errors)} %" if errors else ""
    yield (
        f"In {moved:,} of {texts} the saliency moved beyond its errors: "
        f"{percent_number(result['mean_distance'])} % of it in the mean of these{alone}."
    )
    yield from (sentence for kind in ("gained", "lost") for sentence in _words(result, kind))


def _words(result: Figures, kind: str) -> Iterator[str]:
    words = result["words"][kind][:_WORDS_NAMED]
    if words:
        yield f"Words that {kind} most in these: {', '.join(map(_word, words))}."


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


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _name(text: str) -> str:
    return excerpt(text, limit=_NAME)
