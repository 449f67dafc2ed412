"""The first finding of a run as sentences of plain text: the words of the page's first screen.

`templates/html/findings/first_look.html.j2` has the same sentences with links; a test compares
both. Names of the user's are cut, and shown with invisible characters escaped.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from saliency_cli.analysis.confusion import Confusion, Predictions
from saliency_cli.analysis.findings import Findings, word_findings
from saliency_cli.analysis.first_look import FirstLook
from saliency_cli.analysis.notable_rows import LIMITS, NotableRows
from saliency_cli.analysis.weakness import Weakness
from saliency_cli.percentages import share_text
from saliency_cli.safe_text import excerpt

LABELS_NAMED = 4
"""Predicted labels that are counted where there is no gold label."""
_SHOWN_CHARACTERS = 60


def first_finding(counts: Mapping[str, Any], findings: Findings) -> list[str]:
    """Return the sentences: what is wrong, where, and by which words.

    Args:
        counts: The run's summary, from its manifest.
        findings: What `collect_findings` returned.
    """
    predictions = cast("Predictions", findings["predictions"])
    if predictions.confusion is None:
        first = _without_gold(counts, findings)
    else:
        first = _wrong(counts, predictions.confusion, findings)
    return [*first, *_weak(counts, findings), *_words(findings), *_left_out(counts)]


def texts(count: int) -> str:
    """Return a number of texts in words: "1 text", "1,200 texts"."""
    return f"{count:,} text{'s' if count != 1 else ''}"


def _name(text: str) -> str:
    return excerpt(text, limit=_SHOWN_CHARACTERS)


def _are(count: int) -> str:
    return "are" if count != 1 else "is"


def _wrong(counts: Mapping[str, Any], matrix: Confusion, findings: Findings) -> Iterator[str]:
    """Yield how many predictions are wrong, and which mistake is the commonest."""
    known, wrong = matrix.judged, matrix.wrong
    found = (
        f"{wrong:,} of {known:,} predictions {_are(wrong)} wrong"
        if wrong
        else f"{known:,} of {known:,} predictions agree with the gold label"
    )
    partial = " (of the texts with a gold label that the model has)" if known < counts["ok"] else ""
    yield f"{found}{partial}. Accuracy {100 - 100 * wrong / known:.1f} %"
    if wrong:
        worst = matrix.mistakes[0]
        yield (
            f"{worst.count:,} of these {_are(worst.count)} {_name(worst.gold)} taken for "
            f"{_name(worst.predicted)}, {share_text(worst.share)} of all {_name(worst.gold)}. "
            f"{_confident(wrong, findings)}"
        )


def _confident(wrong: int, findings: Findings) -> str:
    """Return how many of the wrong predictions have a high probability."""
    kinds = {kind.name: kind.count for kind in cast("NotableRows", findings["notable"]).kinds}
    confident, limit = kinds.get("wrong", 0), f"{100 * LIMITS['wrong']:g} %"
    if not confident:
        return f"None of them has a probability of {limit} or more."
    which = f"{confident:,} of the {wrong:,}"
    if confident == wrong:
        which = "all of them" if wrong > 1 else "it"
    return f"The model gives {which} a probability of {limit} or more."


def _without_gold(counts: Mapping[str, Any], findings: Findings) -> Iterator[str]:
    """Yield what was explained, and which labels were predicted."""
    explained = f"{texts(counts['ok']) if counts['ok'] else 'No text'} explained"
    if cast("Predictions", findings["predictions"]).histogram is None:
        yield f"{explained}."
        return
    gold = "that the model has" if counts["gold_rows"] else "to judge the predictions by"
    yield f"{explained}, and no gold label {gold}."
    labels = word_findings(findings).labels
    if labels:
        named = ", ".join(
            f"{_name(each.label or '')} {each.texts:,}" for each in labels[:LABELS_NAMED]
        )
        rest = ", and other labels" if len(labels) > LABELS_NAMED else ""
        mean = share_text(counts["mean_probability"])
        yield f"Predicted: {named}{rest}. The mean probability is {mean}."


def _weak(counts: Mapping[str, Any], findings: Findings) -> Iterator[str]:
    """Yield the weakest slice, and how many gold labels may be wrong."""
    weak = cast("Weakness", findings["weakness"]).weak
    for each in weak[:1]:
        column = {"length": "Length in tokens", "script": "Script"}.get(each.column)
        name = f"{column or _name(each.column)} is {_name(each.value) or '(empty)'}"
        rows, right = each.figures["gold_known"], each.figures["accuracy"]
        rest = counts["gold_known"] - rows
        sentence = f"Weak where {name}: {share_text(right)} of these {texts(rows)} are right"
        if rest:
            others = (counts["accuracy"] * counts["gold_known"] - right * rows) / rest
            sentence += f", of the others {share_text(others)}"
        more = len(weak) - 1
        also = f" {more} more slice{'s are' if more > 1 else ' is'} weak." if more else ""
        yield f"{sentence}.{also}"
    if counts["mislabelled"]:
        yield (
            f"Of {texts(counts['mislabelled'])} check the gold label, too: the model is as sure of "
            "another one as it is of its right predictions."
        )


def _words(findings: Findings) -> Iterator[str]:
    """Yield the first shortcut suspect, and what the strongest words decide."""
    suspects = word_findings(findings).suspects
    if suspects:
        word = suspects[0].word
        title = "Shortcut suspect" if len(suspects) == 1 else f"{len(suspects)} shortcut suspects"
        yield (
            f"{title}: {_name(word.word)} is the most influential word in {word.leads:,} of the "
            f"{word.texts:,} texts that contain it; {share_text(suspects[0].purity)} of these are "
            f"predicted {_name(word.label or '')}."
        )
    first = cast("FirstLook", findings["first_look"])
    if first.checked and first.decided:
        named = ", ".join(f"{_name(word)} in {count:,}" for word, count in first.words)
        more = ", …" if sum(count for _, count in first.words) < first.decided else ""
        yield (
            f"Without its strongest word, the label of {first.decided:,} of {texts(first.checked)} "
            f"falls below 50 % ({named}{more})."
        )
    elif first.checked:
        yield (
            f"In none of {texts(first.checked)} does the label fall below 50 % without its "
            "strongest word."
        )


def _left_out(counts: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many rows and gold labels the figures leave out."""
    if counts["quarantined"]:
        rows = f"{counts['quarantined']:,} row{'s' if counts['quarantined'] != 1 else ''}"
        yield f"{rows} could not be explained."
    unknown = counts["gold_rows"] - counts["gold_known"]
    if unknown:
        yield f"{unknown:,} of {counts['gold_rows']:,} gold labels are none of the model’s."
