"""JUnit's XML: a test case for each row, which CI servers list, group and compare.

Wrong predictions fail, quarantined rows are errors, and what has no gold label is skipped.
"""

import io
from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from saliency_cli.analysis.words import judged
from saliency_cli.exports.phrases import leaders, named, prediction
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.safe_text import excerpt, visible

Outcome: TypeAlias = tuple[str, str, str]
"""Element, message, and the text inside."""
_ELEMENTS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def junit(run: FinishedRun) -> Iterator[bytes]:
    """Write a suite of a test case a row; the records are read twice, since totals come first."""
    found: Counter[str] = Counter()
    rows = 0
    for record in run.records():
        rows += 1
        outcome = _outcome(record)
        if outcome is not None:
            found[outcome[0]] += 1
    totals = {name: str(found[element]) for name, element in _ELEMENTS.items()}
    buffer = io.BytesIO()
    xml = XMLGenerator(buffer, "utf-8", short_empty_elements=True)
    xml.startDocument()
    _start(xml, "testsuites")
    _start(xml, "testsuite", name="saliency", tests=str(rows), **totals)
    for record in run.records():
        xml.characters("\n")
        _case(xml, record)
        yield _taken(buffer)
    xml.characters("\n")
    xml.endElement("testsuite")
    xml.endElement("testsuites")
    xml.characters("\n")
    xml.endDocument()
    yield _taken(buffer)


def _taken(buffer: io.BytesIO) -> bytes:
    """Return what is in the buffer, and empty it."""
    taken = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return taken


def _start(xml: XMLGenerator, element: str, **attributes: str) -> None:
    xml.startElement(element, AttributesImpl(attributes))


def _case(xml: XMLGenerator, record: Record) -> None:
    _start(xml, "testcase", classname=_group(record), name=legal(named(record)))
    outcome = _outcome(record)
    if outcome is not None:
        element, message, text = outcome
        _start(xml, element, message=legal(message))
        xml.characters(legal(text))
        xml.endElement(element)
    xml.endElement("testcase")


def _group(record: Record) -> str:
    """Group rows by their gold label, so that a server counts failures for each."""
    gold = record.get("gold")
    return "saliency" if gold is None else legal(excerpt(gold, limit=60))


def _outcome(record: Record) -> Outcome | None:
    """Say what is to be told of a row, or None where it passes."""
    if record["status"] != "ok":
        return "error", record["reason"], f"line {record['line']}: {record['excerpt']}"
    right = judged(record)
    if right is None:
        return "skipped", "no gold label of the model's to judge it by", ""
    if right:
        return None
    text = f"leading: {leaders(record)}\ntext: {excerpt(record['text'])}"
    return "failure", prediction(record), text


def legal(text: str) -> str:
    """Show what XML cannot hold as an escape: control characters, and two that are none at all."""
    text = visible(text, keep="\n")
    return text.replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")
