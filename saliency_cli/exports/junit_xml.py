"""JUnit XML: a suite of test cases, in pieces.

The file is valid for `junit-10.xsd` of Jenkins' xUnit plugin.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.xmlreader import AttributesImpl

from saliency_cli.gates import GateResult
from saliency_cli.safe_text import visible

if TYPE_CHECKING:
    from xml.sax.saxutils import XMLGenerator

_ELEMENT_OF_TOTAL = {"failures": "failure", "errors": "error", "skipped": "skipped"}
"""Attribute of the suite that holds a total -> the element that it counts."""


class Outcome(NamedTuple):
    """What a test case that does not just pass contains: an element, its message and its text."""

    element: str
    message: str
    text: str


class Case(NamedTuple):
    """One test case; None in place of the outcome of one that passes."""

    class_name: str
    name: str
    outcome: Outcome | None


def suite(cases: Callable[[], Iterable[Case]]) -> Iterator[bytes]:
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


def _totals(cases: Iterable[Case]) -> dict[str, str]:
    """Return the suite's attributes that count its test cases."""
    counts: Counter[str] = Counter()
    number = 0
    for case in cases:
        number += 1
        if case.outcome is not None:
            counts[case.outcome.element] += 1
    totals = {name: str(counts[element]) for name, element in _ELEMENT_OF_TOTAL.items()}
    return {"tests": str(number), **totals}


def gate_cases(results: Iterable[GateResult]) -> Iterator[Case]:
    """Yield a test case for each gate: a failure if it fails; if it warns, its output says why."""
    for each in results:
        outcome = None
        if each.fails:
            outcome = Outcome("failure", each.sentence, f"gate: {each.gate}")
        elif each.outcome != "passed":
            outcome = Outcome("system-out", "", f"warning: {each.sentence}")
        yield Case("saliency.gates", each.gate, outcome)


def _take(buffer: io.BytesIO) -> bytes:
    """Return the content of the buffer, and empty it."""
    content = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return content


def _start(xml: "XMLGenerator", element: str, **attributes: str) -> None:
    xml.startElement(element, AttributesImpl(attributes))


def _write_case(xml: "XMLGenerator", case: Case) -> None:
    names = {"classname": case.class_name, "name": case.name}
    _start(xml, "testcase", **{key: escape_controls(text) for key, text in names.items()})
    if case.outcome is not None:
        element, message, text = case.outcome
        attributes = {"message": escape_controls(message)} if message else {}
        _start(xml, element, **attributes)
        xml.characters(escape_controls(text))
        xml.endElement(element)
    xml.endElement("testcase")


def escape_controls(text: str) -> str:
    r"""Return the text with the characters that XML 1.0 forbids written as escapes.

    They are the control characters other than the line feed, and U+FFFE and U+FFFF, which
    `visible` keeps.
    """
    text = visible(text, keep="\n")
    return text.replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")
