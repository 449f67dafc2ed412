"""The export `junit`: JUnit XML whose test cases are the gates, for the test view of a CI server.

A gate that fails is a failure; one that warns passes, and its output says why. One more case fails
as an error if rows are quarantined, so that a suite is never empty. With `--junit-rows` the rows
are cases in its place: a wrong prediction is a failure, a quarantined row an error, and a row
without a gold label that the model knows is skipped.

The file is valid for `junit-10.xsd` of Jenkins' xUnit plugin.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.xmlreader import AttributesImpl

from saliency_cli.exports.interface import Export
from saliency_cli.exports.phrases import influential_words, prediction, row_name
from saliency_cli.figures.correctness import prediction_is_correct
from saliency_cli.gates import stored_results
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.safe_text import excerpt, visible

if TYPE_CHECKING:
    from xml.sax.saxutils import XMLGenerator

_ELEMENT_OF_TOTAL = {"failures": "failure", "errors": "error", "skipped": "skipped"}
"""Attribute of the suite that holds a total -> the element that it counts."""


class _Outcome(NamedTuple):
    """What a test case that does not just pass contains: an element, its message and its text."""

    element: str
    message: str
    text: str


class _Case(NamedTuple):
    """One test case; None in place of the outcome of one that passes."""

    class_name: str
    name: str
    outcome: _Outcome | None


def junit(run: FinishedRun) -> Iterator[bytes]:
    """Yield a suite with one test case per gate, and one for all rows."""
    yield from _suite(lambda: chain(_gate_cases(run), [_all_rows_case(run)]))


def junit_rows(run: FinishedRun) -> Iterator[bytes]:
    """Yield a suite with one test case per gate, and one per row."""
    yield from _suite(lambda: chain(_gate_cases(run), _row_cases(run)))


def _suite(cases: Callable[[], Iterable[_Case]]) -> Iterator[bytes]:
    """Yield a suite.

    Args:
        cases: Returns the test cases; it is called twice, because the totals come before them.
    """
    # It imports urllib and http, which would slow down every `saliency --help`.
    from xml.sax.saxutils import XMLGenerator  # noqa: PLC0415

    totals = _totals(cases())
    buffer = io.BytesIO()
    xml = XMLGenerator(buffer, "utf-8", short_empty_elements=True)
    xml.startDocument()
    _start(xml, "testsuites")
    _start(xml, "testsuite", name="saliency", **totals)
    for case in cases():
        xml.characters("\n")
        _write_case(xml, case)
        yield _take(buffer)
    xml.characters("\n")
    xml.endElement("testsuite")
    xml.endElement("testsuites")
    xml.characters("\n")
    xml.endDocument()
    yield _take(buffer)


def _totals(cases: Iterable[_Case]) -> dict[str, str]:
    """Return the suite's attributes that count its test cases."""
    counts: Counter[str] = Counter()
    number = 0
    for case in cases:
        number += 1
        if case.outcome is not None:
            counts[case.outcome.element] += 1
    totals = {name: str(counts[element]) for name, element in _ELEMENT_OF_TOTAL.items()}
    return {"tests": str(number), **totals}


def _gate_cases(run: FinishedRun) -> Iterator[_Case]:
    for each in stored_results(run.manifest):
        outcome = None
        if each.fails:
            outcome = _Outcome("failure", each.sentence, f"gate: {each.gate}")
        elif each.outcome != "passed":
            outcome = _Outcome("system-out", "", f"warning: {each.sentence}")
        yield _Case("saliency.gates", each.gate, outcome)


def _all_rows_case(run: FinishedRun) -> _Case:
    """Return the case that fails as an error if rows are quarantined."""
    summary, outcome = run.summary, None
    if summary.quarantined:
        message = f"{summary.quarantined:,} of {summary.rows:,} rows could not be explained"
        outcome = _Outcome("error", message, "the report and the records say which, and why")
    return _Case("saliency.rows", "every row is explained", outcome)


def _row_cases(run: FinishedRun) -> Iterator[_Case]:
    for record in run.records():
        outcome = _outcome(record, signed=run.is_signed)
        yield _Case(_class_name(record), row_name(record), outcome)


def _take(buffer: io.BytesIO) -> bytes:
    """Return the content of the buffer, and empty it."""
    content = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return content


def _start(xml: "XMLGenerator", element: str, **attributes: str) -> None:
    xml.startElement(element, AttributesImpl(attributes))


def _write_case(xml: "XMLGenerator", case: _Case) -> None:
    names = {"classname": case.class_name, "name": case.name}
    _start(xml, "testcase", **{key: escape_controls(text) for key, text in names.items()})
    if case.outcome is not None:
        element, message, text = case.outcome
        attributes = {"message": escape_controls(message)} if message else {}
        _start(xml, element, **attributes)
        xml.characters(escape_controls(text))
        xml.endElement(element)
    xml.endElement("testcase")


def _class_name(record: Record) -> str:
    """Return the gold label: CI servers count the failures of each class name."""
    gold = record.get("gold")
    return "saliency" if gold is None else excerpt(gold, limit=60)


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


EXPORT = Export(
    "junit",
    "the gates as XML test cases, for the test view of a CI server",
    junit,
    encode_rows=junit_rows,
)
