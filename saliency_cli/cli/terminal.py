"""A record as a terminal shows it: shades of the report's palette, or marks without colour."""

from collections.abc import Iterable, Iterator
from unicodedata import east_asian_width

from rich.console import Console
from rich.text import Text

from saliency_cli.analysis.words import Piece, strongest_words, whole_words
from saliency_cli.records import Record
from saliency_cli.report.palette import shade
from saliency_cli.safe_text import visible

MOST_WORDS = 5
_DARK, _LIGHT = "#16191d", "#ffffff"
STYLES = {
    "s0": "",
    "s1": f"{_DARK} on #e3eefb",
    "s2": f"{_DARK} on #c3dcf7",
    "s3": f"{_DARK} on #94c2f0",
    "s4": f"{_DARK} on #5b9fe3",
    "s5": f"bold {_LIGHT} on #1f6fbf",
    "s6": f"bold {_LIGHT} on #0b3f7d",
    "n1": f"underline {_DARK} on #fdeedd",
    "n2": f"underline {_DARK} on #fbd9b5",
    "n3": f"underline {_DARK} on #f7b977",
    "n4": f"underline {_DARK} on #ee9336",
    "n5": f"bold underline {_LIGHT} on #a95204",
    "n6": f"bold underline {_LIGHT} on #6e3300",
}
"""The style sheet's colours by shade: blue for, orange against, which is underlined as well."""
_MARKS = dict(zip("s0123456", ("", "", *"¹²³⁴⁵⁶"), strict=True)) | {"n": "⁻"}


def shaded(record: Record, console: Console | None = None) -> str:
    """Return what a terminal is to show of an explained text.

    There is colour where standard output is a terminal with 256 colours at least, and nobody asked
    for none (NO_COLOR); elsewhere each word bears its shade as a small number.
    """
    console = console or Console(highlight=False)
    colour = console.color_system in {"256", "truecolor"} and not console.no_color
    with console.capture() as captured:
        for line in _lines(record, colour=colour):
            console.print(line, soft_wrap=True)
    return captured.get()


def _lines(record: Record, *, colour: bool) -> Iterator[Text]:
    yield _verdict(record)
    targets = [record, *({**record, **other} for other in record.get("others", ()))]
    for target in targets:
        yield Text()
        if target["target"] != record["predicted"]:
            yield Text.assemble("why ", (visible(target["target"]), "bold"))
        yield _shaded(whole_words(target), colour=colour)
        if target["pair"] is not None:
            yield _shaded(whole_words(target, segment=1), colour=colour)
        yield Text()
        yield from _table(strongest_words(target, limit=MOST_WORDS))
        yield Text(_trust(target), style="dim")


def _verdict(record: Record) -> Text:
    if record["predicted"] is None:
        return Text.assemble(("value ", "dim"), (f"{record['value']:g}", "bold"))
    others = sorted(
        (
            (label, p)
            for label, p in record["probabilities"].items()
            if label != record["predicted"]
        ),
        key=lambda entry: -entry[1],
    )
    rest = ", ".join(f"{visible(label)} {p:.3f}" for label, p in others[:3])
    first = (f"{visible(record['predicted'])} {record['probability']:.3f}", "bold")
    return Text.assemble(first, (f"  {rest}" if rest else "", "dim"))


def _shaded(words: Iterable[Piece], *, colour: bool) -> Text:
    text = Text()
    for word in words:
        name = shade(word.score)
        shown = visible(word.text, keep="\n\t")
        if word.special and text.plain and not text.plain[-1].isspace():
            text.append(" ")
        mark = "" if colour else "".join(_MARKS[character] for character in name)
        body = shown.rstrip()
        text.append(body + mark, style=_style(word, name))
        text.append(" " if word.special else shown[len(body) :])
    text.rstrip()
    return text


def _style(word: Piece, name: str) -> str:
    return "dim strike" if word.cut else STYLES[name]


def _table(words: list[Piece]) -> Iterator[Text]:
    names = [visible(word.text) for word in words]
    width = max(map(_cells, names), default=0)
    for word, name in zip(words, names, strict=True):
        pad = " " * (width - _cells(name))
        yield Text(f"  {name}{pad}  {word.score:6.1%}{_error(word)}")


def _error(word: Piece) -> str:
    if word.error is None:
        return ""
    return " ± <0.1%" if word.error < 0.0005 else f" ± {word.error:.1%}"


def _cells(text: str) -> int:
    return sum(2 if east_asian_width(character) in {"W", "F"} else 1 for character in text)


def _trust(record: Record) -> str:
    parts = [f"special tokens {record['special_share']:.1%}"]
    if record["samples"] is not None:  # of a method that draws at random
        parts += [f"flip rate {record['flip_rate']:.1%}", f"{record['samples']} passes"]
    if record["windows"] > 1:
        parts.append(f"{record['windows']} windows")
    if record["truncated"]:
        parts.append("cut to what the model takes")
    return ", ".join(parts)
