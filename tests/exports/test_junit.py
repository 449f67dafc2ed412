"""The export `junit`: valid XML whose test cases are the gates, or the rows too."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml

from saliency_cli.exports.junit_xml import escape_controls
from saliency_cli.records import Record
from tests.support.exports import exported, fields_with, one_word
from tests.support.gates import every_outcome
from tests.support.runs import HOSTILE, bad_record, record, varied

# Facts of junit-10.xsd (Jenkins' xUnit plugin): the children and attributes of each element, and
# those attributes that are required. Children of a test case and of a suite may be in any order.
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase", "properties", "system-out", "system-err", "testsuite"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
}
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "id"},
    "testcase": {"name", "classname", "time", "group"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message", "type"},
}
REQUIRED = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}


def cases(content: bytes) -> Iterator[ET.Element]:
    yield from ET.fromstring(content).iter("testcase")  # noqa: S314 - the program's own output


def assert_valid(content: bytes) -> None:
    """Assert what the schema says, and that the totals are right."""
    root = ET.fromstring(content)  # noqa: S314 - the program's own output
    assert root.tag == "testsuites"
    for each in root.iter():
        assert {child.tag for child in each} <= CHILDREN.get(each.tag, set())
        assert REQUIRED.get(each.tag, set()) <= set(each.attrib)
        assert set(each.attrib) <= ATTRIBUTES.get(each.tag, set())
    (suite,) = root
    assert suite.get("tests") == str(len([*cases(content)]))
    for name, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.get(name) == str(len([*suite.iter(element)]))


def both(records: list[Record]) -> Iterator[bytes]:
    for rows in (False, True):
        for gates in ([], every_outcome()):
            yield exported(records, "junit", gates=gates, rows=rows)


def test_every_file_is_valid_and_has_a_case() -> None:
    for records in (varied(), [record(0, "free call now")], [bad_record(0)]):
        for content in both(records):
            assert_valid(content)
            assert [*cases(content)]


def test_gates_are_the_cases_and_quarantined_rows_one_error(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_bytes(exported(varied(), "junit", gates=every_outcome()))
    (suite,) = JUnitXml.fromfile(str(path))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (6, 2, 1, 0)
    found = {case.name: case for case in suite}
    (failure,) = found["accuracy<baseline-0.01"].result
    assert isinstance(failure, Failure)
    assert failure.message == (
        "accuracy is 94 %, and must not be below 94.8 % (95.8 % in the baseline, less 1 point)"
    )
    warned = found["warn:accuracy<0.96"]
    assert warned.is_passed
    assert warned.system_out == "warning: accuracy is 95 %, and must not be below 96 %"
    assert found["accuracy<0.9"].is_passed
    (error,) = found["every row is explained"].result
    assert isinstance(error, Error)
    assert error.message == "1 of 10 rows could not be explained"
    assert any(HOSTILE in name for name in found)


def test_a_run_without_gates_and_bad_rows_passes() -> None:
    (case,) = cases(exported([record(0, "free call now", gold="ham")], "junit"))
    assert [*case] == []


def test_with_rows_every_row_is_a_test_case() -> None:
    content = exported(varied(), "junit", rows=True)
    (suite,) = ET.fromstring(content)  # noqa: S314 - the program's own output
    assert suite.get("tests") == str(len(varied()))
    assert suite.get("errors") == "1"
    assert suite.get("failures") != "0"


@given(one_word)
def test_xml_is_well_formed_with_any_text(text: str) -> None:
    explained = record(0, text) | fields_with(text) | {"gold": "ham"}
    (case,) = cases(exported([explained], "junit", rows=True))
    assert case.find("failure") is not None


@given(st.text(st.characters() | st.sampled_from("\x00\x0b\x1b\ufffe\uffff\ud800")))
def test_characters_that_xml_forbids_are_escaped(text: str) -> None:
    escaped = escape_controls(text)
    assert not any(c in "\ufffe\uffff" or unicodedata.category(c) == "Cs" for c in escaped)
    assert not any(unicodedata.category(c) == "Cc" and c != "\n" for c in escaped)
