"""Names of runs: their order, and the folders of a site that they become."""

import os
import re
from typing import TypeAlias

NaturalKey: TypeAlias = tuple[list[str | int], str]
_NUMBER = re.compile(r"([0-9]+)")
_OTHER_BYTE = re.compile(rb"[^0-9A-Za-z_.-]")


def natural_key(name: str) -> NaturalKey:
    """Return a sort key by which numbers inside names are compared as numbers: 9 before 10."""
    # Every second piece is a number, so that a piece is compared with one of its own type.
    pieces = [int(each) if at % 2 else each for at, each in enumerate(_NUMBER.split(name))]
    return pieces, name


def part_name(name: str) -> str:
    """Return the name of a run's folder in the site; two names are never written in the same way.

    Bytes other than ASCII letters, digits, `_`, `.` and `-` are written as `~` and two hexadecimal
    digits. So every server, file system and archive accepts the name, and it is its own URL.
    """
    safe = _OTHER_BYTE.sub(lambda found: b"~%02X" % found[0][0], os.fsencode(name))
    return safe.decode("ascii")
