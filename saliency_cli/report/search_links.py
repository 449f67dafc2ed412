"""Links to the rows behind a number: they open the page with a search that finds these rows."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from saliency_cli.report.bounds import cut_name
from saliency_cli.safe_text import escape_json

_PLAIN = re.compile(r"[\w.-]+", re.ASCII)


def search(*terms: str) -> str:
    """Return the link that opens the page with these search terms."""
    return "#q=" + quote(" ".join(terms), safe="")


def term(name: str, value: str) -> str:
    r"""Return the search term that finds exactly one value: `label:="say \"hi\""`.

    The value is a JSON string, in which control characters are escaped too: the search box would
    drop a line end, and show no bidirectional control.

    Args:
        name: what is searched: `label`, `gold`, `lead`, `id` or `reason`.
        value: its value, as the records have it; a long one is cut as in the search index.
    """
    return f"{name}:={escape_json(json.dumps(cut_name(value), ensure_ascii=False))}"


def label_terms(labels: Sequence[str], *, most: int) -> list[tuple[str, str]]:
    """Return (label, search term) of the first labels: `label:spam` where that finds only its rows.

    Args:
        labels: all labels of the model.
        most: how many terms to return.
    """
    spellings = Counter(label.lower() for label in labels)
    return [
        (label, f"label:{label}" if _is_plain(label, spellings) else term("label", label))
        for label in labels[:most]
    ]


def _is_plain(label: str, spellings: Counter[str]) -> bool:
    return (
        _PLAIN.fullmatch(label) is not None and len(label) < 100 and spellings[label.lower()] == 1
    )
