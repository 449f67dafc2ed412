"""The export `junit`: JUnit XML with one test case per row, for the test view of a CI server.

A wrong prediction is a failure and a quarantined row an error. A row without a gold label that the
model knows is skipped.
"""

import io
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.xmlreader import AttributesImpl

from saliency_cli.exports.interface import Export
from saliency_cli.exports.phrases import influential_words, prediction, row_name
from saliency_cli.figures.correctness import prediction_is_correct
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.safe_text import excerpt, visible

if TYPE_CHECKING:
    from xml.sax.saxutils import XMLGenerator

_ELEMENT_OF_TOTAL = {"failures": "failure", "errors": "error", "skipped": "skipped"}
"""Attribute of the suite that holds a total -> the element that it counts."""


class _Outcome(NamedTuple):
    """What a test case that does not pass contains: an element, its message and its text."""

    element: str
    message: str
    text: str


def junit(run: FinishedRun) -> Iterator[bytes]:
    """Yield a suite with one test case per row.

    The records are read twice, because the suite's totals come before its test cases.
    """
    # It imports urllib and http, which would slow down every `saliency --help`.
    from xml.sax.saxutils import XMLGenerator  # noqa: PLC0415

    totals = _totals(run)
    buffer = io.BytesIO()
    xml = XMLGenerator(buffer, "utf-8", short_empty_elements=True)
    xml.startDocument()
    _start(xml, "testsuites")
    _start(xml, "testsuite", name="saliency", **totals)
    for record in run.records():
        xml.characters("\n")
        _write_case(xml, record, signed=run.is_signed)
        yield _take(buffer)
    xml.characters("\n")
    xml.endElement("testsuite")
    xml.endElement("testsuites")
    xml.characters("\n")
    xml.endDocument()
    yield _take(buffer)


def _totals(run: FinishedRun) -> dict[str, str]:
    """Return the suite's attributes that count its test cases."""
    counts: Counter[str] = Counter()
    rows = 0
    for record in run.records():
        rows += 1
        outcome = _outcome(record, signed=run.is_signed)
        if outcome is not None:
            counts[outcome.element] += 1
    totals = {name: str(counts[element]) for name, element in _ELEMENT_OF_TOTAL.items()}
    return {"tests": str(rows), **totals}


def _take(buffer: io.BytesIO) -> bytes:
    """Return the content of the buffer, and empty it."""
    content = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return content


def _start(xml: "XMLGenerator", element: str, **attributes: str) -> None:
    xml.startElement(element, AttributesImpl(attributes))


def _write_case(xml: "XMLGenerator", record: Record, *, signed: bool) -> None:
    _start(xml, "testcase", classname=_class_name(record), name=escape_controls(row_name(record)))
    outcome = _outcome(record, signed=signed)
    if outcome is not None:
        _start(xml, outcome.element, message=escape_controls(outcome.message))
        xml.characters(escape_controls(outcome.text))
        xml.endElement(outcome.element)
    xml.endElement("testcase")


def _class_name(record: Record) -> str:
    """Return the gold label: CI servers count the failures of each class name."""
    gold = record.get("gold")
    return "saliency" if gold is None else escape_controls(excerpt(gold, limit=60))


def _outcome(record: Record, *, signed: bool) -> _Outcome | None:
    """Return why the row's test case does not pass, or None if it passes."""
    if record["status"] != "ok":
        text = f"line {record['line']}: {record['excerpt']}"
        return _Outcome("error", record["reason"], text)
    correct = prediction_is_correct(record)
    if correct is None:
        return _Outcome("skipped", "no gold label of the model's to judge it by", "")
    if correct:
        return None
    words = influential_words(record, signed=signed)
    text = f"most influential: {words}\ntext: {excerpt(record['text'])}"
    return _Outcome("failure", prediction(record), text)


def escape_controls(text: str) -> str:
    r"""Return the text with the characters that XML 1.0 forbids written as escapes.

    They are the control characters other than the line feed, and U+FFFE and U+FFFF, which
    `visible` keeps.
    """
    text = visible(text, keep="\n")
    return text.replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")


EXPORT = Export("junit", "one XML test case per row, for the test view of a CI server", junit)
