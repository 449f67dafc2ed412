"""A number with its noun, for sentences."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `1,234 rows`.

    Args:
        number: How many there are.
        noun: What they are, in the singular; its plural ends with s.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
