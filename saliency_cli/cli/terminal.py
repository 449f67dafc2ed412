"""`saliency show`: a record as text for a terminal, with the report's colours or with marks."""

from collections.abc import Iterable, Iterator
from unicodedata import east_asian_width

from rich.console import Console
from rich.text import Text

from saliency_cli.analysis.word_checks import check_views
from saliency_cli.analysis.words import Piece, strongest_words, whole_words
from saliency_cli.cli.counterfactual_view import counterfactual_lines
from saliency_cli.cli.terminal_colours import background, styles
from saliency_cli.percentages import percent_number
from saliency_cli.records import Record
from saliency_cli.report.palette import shade
from saliency_cli.safe_text import visible
from saliency_cli.stdout import data_stream

MAX_WORDS = 5
"""Lines of the table of the most influential words."""
_MARKS = dict(zip("s0123456", ("", "", *"¹²³⁴⁵⁶"), strict=True)) | {"n": "⁻"}
"""What stands for each character of a shade's name where there is no colour: n3 becomes ⁻³."""


def shaded(record: Record, console: Console | None = None) -> str:
    """Return an explained text as a terminal shows it, with escape sequences for colours.

    Colours are used if the terminal has at least 256 of them and NO_COLOR is not set. Otherwise a
    small number after each word is its shade.

    Args:
        record: The record of an explained row.
        console: The terminal that the text is made for; None for standard output.
    """
    console = console or Console(highlight=False, file=data_stream())
    colour = console.color_system in {"256", "truecolor"} and not console.no_color
    with console.capture() as captured:
        for line in _lines(record, colour=colour):
            console.print(line, soft_wrap=True)
    return captured.get()


def _lines(record: Record, *, colour: bool) -> Iterator[Text]:
    """Yield the prediction; for each target text, words and reliability; then answers."""
    yield _prediction(record)
    targets = [record, *({**record, **other} for other in record.get("others", ()))]
    for target in targets:
        yield Text()
        if target["target"] != record["predicted"]:
            yield Text.assemble("why ", (visible(target["target"]), "bold"))
        yield _shaded_text(whole_words(target), colour=colour)
        if target["pair"] is not None:
            yield _shaded_text(whole_words(target, segment=1), colour=colour)
        yield Text()
        yield from _table(strongest_words(target, limit=MAX_WORDS))
        if target is record:
            yield from _checks(record)
        yield Text(_reliability(target), style="dim")
    yield from counterfactual_lines(record, colour=colour)


def _checks(record: Record) -> Iterator[Text]:
    """Yield a line for each word that was left out: the target without it."""
    for check in check_views(record):
        output = f"{check.output:.3f}" if check.label is not None else f"{check.output:g}"
        label = "" if check.label is None else f"{visible(check.label)} "
        yield Text(f"  without {visible(check.word)}: {label}{output}, {check.effect}")


def _prediction(record: Record) -> Text:
    """Return the predicted label and the next three, or the value of a regression model."""
    if record["predicted"] is None:
        return Text.assemble(("value ", "dim"), (f"{record['value']:g}", "bold"))
    others = sorted(
        (
            (label, probability)
            for label, probability in record["probabilities"].items()
            if label != record["predicted"]
        ),
        key=lambda entry: -entry[1],
    )
    rest = ", ".join(f"{visible(label)} {probability:.3f}" for label, probability in others[:3])
    first = (f"{visible(record['predicted'])} {record['probability']:.3f}", "bold")
    return Text.assemble(first, (f"  {rest}" if rest else "", "dim"))


def _shaded_text(words: Iterable[Piece], *, colour: bool) -> Text:
    """Return the words with the style of their shade, or with a mark of it behind them."""
    text, style_of = Text(), styles(background())
    for word in words:
        name = shade(word.score, word.error)
        escaped = visible(word.text, keep="\n\t")
        if word.special and text.plain and not text.plain[-1].isspace():
            text.append(" ")
        mark = "" if colour else "".join(_MARKS[character] for character in name)
        body = escaped.rstrip()
        text.append(body + mark, style="dim strike" if word.cut else style_of[name])
        text.append(" " if word.special else escaped[len(body) :])
    text.rstrip()
    return text


def _table(words: list[Piece]) -> Iterator[Text]:
    """Yield a line for each word: the word, its score and its standard error."""
    names = [visible(word.text) for word in words]
    width = max(map(_cells, names), default=0)
    for word, name in zip(words, names, strict=True):
        pad = " " * (width - _cells(name))
        yield Text(f"  {name}{pad}  {percent_number(word.score):>5}%{_error(word)}")


def _error(word: Piece) -> str:
    if word.error is None:
        return ""
    return f" ± {percent_number(word.error)}%"


def _cells(text: str) -> int:
    """Return the columns that the text takes on a terminal; East Asian wide characters take two."""
    return sum(2 if east_asian_width(character) in {"W", "F"} else 1 for character in text)


def _reliability(record: Record) -> str:
    """Return the figures from which a reader can see how far to trust the explanation."""
    parts = [f"special tokens {percent_number(record['special_share'])}%"]
    if record["flip_rate"] is not None:
        overturned = percent_number(record["flip_rate"])
        parts.append(f"tiny changes overturn {overturned}% of predictions")
    if record["samples"] is not None:  # None for a method that draws nothing at random
        parts.append(f"{record['samples']} samples")
    if "completeness" in record:
        complete = record["completeness"]
        parts.append(f"scores add up to {complete['sum']:.3g} of {complete['difference']:.3g}")
    if record["windows"] > 1:
        parts.append(f"{record['windows']} windows")
    if record["truncated"]:
        parts.append("truncated to the model's maximum length")
    return ", ".join(parts)
