"""Links to the rows behind a number: searches that the page's script understands."""

import re
from urllib.parse import quote

_PLAIN = re.compile(r"[^\s\"]\S*")


def search(*terms: str) -> str:
    """Return the link that opens the page with these terms in its search."""
    return "#q=" + quote(" ".join(terms), safe="")


def term(name: str, value: str) -> str:
    """Write one term: `label:spam`, or `label:"very good"`."""
    return f"{name}:{value}" if _PLAIN.fullmatch(value) else f'{name}:"{value}"'


def phrase(text: str) -> str:
    """Write a term that finds `text` as it stands, up to a quotation mark: it can hold none."""
    found, _, _ = text.partition('"')
    return f'"{found}"'
