"""Links to the rows behind a number: they open the page with a search that finds these rows."""

import re
from urllib.parse import quote

_NEEDS_NO_QUOTES = re.compile(r"[^\s\"]\S*")


def search(*terms: str) -> str:
    """Return the link that opens the page with these search terms."""
    return "#q=" + quote(" ".join(terms), safe="")


def term(name: str, value: str) -> str:
    """Return a search term: `label:spam`, or `label:"very good"`.

    Args:
        name: what is searched, such as `label`, `gold` or `lead`.
        value: its value; quoted if it contains a space or starts with a quotation mark.
    """
    return f"{name}:{value}" if _NEEDS_NO_QUOTES.fullmatch(value) else f'{name}:"{value}"'


def phrase(text: str) -> str:
    """Return a search term for `text`, up to its first quotation mark (no phrase contains one)."""
    before, _, _ = text.partition('"')
    return f'"{before}"'
