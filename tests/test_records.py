"""Which label of the model a gold label names."""

import pytest

from saliency_cli.records import match_label


@pytest.mark.parametrize(
    ("gold", "labels", "found"),
    [
        ("spam", ("ham", "spam"), "spam"),
        (" Spam\n", ("ham", "spam"), "spam"),
        ("STRASSE", ("Straße", "Weg"), "Straße"),
        ("Spam", ("spam", "SPAM"), "Spam"),
        ("1", ("ham", "spam"), "spam"),
        (" 1.0", ("ham", "spam"), "spam"),
        ("label_1", ("ham", "spam"), "spam"),
        ("label_1", ("LABEL_1", "LABEL_0"), "LABEL_1"),
        ("1.0", ("1", "0"), "1"),
        ("01", ("ham", "spam"), "spam"),
        ("2", ("ham", "spam"), "2"),
        ("1.5", ("ham", "spam"), "1.5"),
        ("-1", ("ham", "spam"), "-1"),
        ("١", ("ham", "spam"), "١"),
        ("9" * 5000, ("ham", "spam"), "9" * 5000),
        ("", ("ham", "spam"), ""),
        (None, ("ham", "spam"), None),
    ],
)
def test_a_gold_label_names_a_label_or_stays_as_it_is(
    gold: str | None, labels: tuple[str, ...], found: str | None
) -> None:
    assert match_label(gold, labels) == found
