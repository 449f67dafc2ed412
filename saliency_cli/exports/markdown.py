"""Parts of a Markdown text: tables, and texts that show all of their punctuation."""

import re
from collections.abc import Iterable, Iterator

from saliency_cli.gates import GateResult, in_order
from saliency_cli.safe_text import excerpt

MAX_GATES = 100
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def gate_table(found: Iterable[GateResult]) -> Iterator[bytes]:
    """Yield how the gates ended, those that fail first; nothing without gates."""
    results = in_order(found)
    if not results:
        return
    failed = sum(each.fails for each in results)
    yield f"\n## Gates: {failed} of {len(results)} failed\n\n".encode()
    shown = results[:MAX_GATES]
    yield from table(
        ("result", "gate", "value", "bound", "level"),
        (
            (
                each.outcome,
                excerpt(each.sentence, limit=500),
                each.value_text,
                each.bound_text,
                "error" if each.level == "error" else "warning",
            )
            for each in shown
        ),
    )


def table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[bytes]:
    """Yield a table, its cells escaped.

    Args:
        header: The headings, which are not escaped.
        rows: The cells of each row.
    """
    for cells in (header, ["---"] * len(header)):
        yield f"| {' | '.join(cells)} |\n".encode()
    for row in rows:
        yield f"| {' | '.join(escape_markdown(str(cell)) for cell in row)} |\n".encode()


def escape_markdown(text: str) -> str:
    """Return one line of text, escaped so that Markdown shows all of its punctuation as it is."""
    return _PUNCTUATION.sub(r"\\\1", text)
