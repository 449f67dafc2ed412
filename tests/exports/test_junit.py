"""The export `junit`: well-formed XML with one test case per row."""

import unicodedata
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.exports.junit import escape_controls
from tests.support.exports import exported, fields_with, one_word
from tests.support.runs import record, varied


def cases(content: bytes) -> Iterator[ET.Element]:
    yield from ET.fromstring(content).iter("testcase")  # noqa: S314 - the program's own output


def test_every_row_is_a_test_case_and_the_totals_equal_the_counts() -> None:
    content = exported(varied(), "junit")
    (suite,) = ET.fromstring(content)  # noqa: S314 - the program's own output
    assert suite.get("tests") == str(len(varied())) == str(len(list(cases(content))))
    for name, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.get(name) == str(len(list(suite.iter(element))))
    assert suite.get("errors") == "1"
    assert suite.get("failures") != "0"


@given(one_word)
def test_xml_is_well_formed_with_any_text(text: str) -> None:
    explained = record(0, text) | fields_with(text) | {"gold": "ham"}
    (case,) = cases(exported([explained], "junit"))
    assert case.find("failure") is not None


@given(st.text(st.characters() | st.sampled_from("\x00\x0b\x1b\ufffe\uffff\ud800")))
def test_characters_that_xml_forbids_are_escaped(text: str) -> None:
    escaped = escape_controls(text)
    assert not any(c in "\ufffe\uffff" or unicodedata.category(c) == "Cs" for c in escaped)
    assert not any(unicodedata.category(c) == "Cc" and c != "\n" for c in escaped)
