"""Percentages: two digits, and never 0 or 100 for a share that is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.percentages import percent_number


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0"),
        (1, "100"),
        (0.645, "64"),
        (0.0876, "8.8"),
        (0.0994, "9.9"),
        (0.0996, "10"),
        (0.994, "99.4"),
        (0.99951, ">99.9"),
        (0.0004, "<0.1"),
        (-0.0004, ">-0.1"),
        (-0.12, "-12"),
        (1.2, "120"),
    ],
)
def test_a_share_is_written_with_two_digits(share: float, text: str) -> None:
    assert percent_number(share) == text


@given(st.floats(0, 1))
def test_what_is_written_is_near_and_says_all_or_nothing_only_of_these(share: float) -> None:
    text = percent_number(share)
    assert (text == "0", text == "100") == (share == 0, share == 1)
    assert abs(float(text.strip("<>")) - 100 * share) <= (0.5 if 0.0995 <= share < 0.99 else 0.1)
