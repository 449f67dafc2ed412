"""Hints for a name that is not known."""

from collections.abc import Sequence
from difflib import get_close_matches

from saliency_cli.safe_text import excerpt, listed


def nearest_or_all(
    name: str, known: Sequence[str], *, most: int = 8, any_case: bool = False
) -> str:
    """Return a hint: the known name that is nearest to `name`; if none is near, all of them.

    Args:
        name: What was given.
        known: The names that there are.
        most: How many of them are listed.
        any_case: Whether a name in another case is near.
    """
    folded = {each.casefold() if any_case else each: each for each in known}
    near = get_close_matches(name.casefold() if any_case else name, folded, n=1)
    if near:
        return f"did you mean {excerpt(folded[near[0]])}?"
    return f"use one of {listed(known, most=most)}"
