"""Checks how deeply a pickle nests its objects, and how large they are, before it is opened.

A dict hashes its keys. The hash of a tuple recurses in C without a limit, so a key nested a million
deep ends the process; and it visits a shared part as often as the part is referred to, so 60 tuples
of the form `(t, t)` are 2^60 visits. Here only opcodes are read, and no object is made.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from pickletools import OpcodeInfo, genops, markobject
from typing import BinaryIO, Self
from zipfile import ZipFile

from saliency_cli.checkpoints.file_checks import is_archive
from saliency_cli.checkpoints.read_errors import SAVE_STATE_DICT
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible

MAX_DEPTH = 200
"""State dicts nest 5 deep, training states about 10."""
MAX_ITEMS = 10_000_000
"""A state dict has about 25 items for each tensor."""
_PICKLES = 5
"""The pickles at the start of a file in torch's old format; bytes of tensors follow them."""
_RECORD = "data.pkl"
_GROWING = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}


@dataclass(slots=True)
class _Extent:
    """The extent of an object: an atom unless it is given parts.

    A container that grows after another has taken it is too small in that other. Tuples cannot
    grow, and no other container has a hash.

    Attributes:
        depth: Levels of containers.
        items: Objects in it; one that is referred to twice counts twice.
    """

    depth: int = 0
    items: int = 1

    @classmethod
    def of(cls, parts: Iterable["_Extent"]) -> Self:
        """Return the extent of a new object with these parts."""
        extent = cls()
        extent.grow(parts)
        return extent

    def grow(self, parts: Iterable["_Extent"]) -> None:
        """Add parts to the object."""
        for part in parts:
            self.depth = max(self.depth, part.depth + 1)
            self.items += part.items


def check_pickles(path: Path) -> None:
    """Check the pickles of a file that torch.load reads: a zip archive, or torch's old format.

    Raises:
        CheckpointError: An object is nested too deeply or has too many items.
        Exception: The file is damaged; any error of pickletools.
    """
    if is_archive(path):
        with ZipFile(path) as archive:
            for record in archive.infolist():
                # torch ignores the case, and knows no second name in an extra field.
                if record.orig_filename.lower().endswith(_RECORD):
                    _check_pickle(BytesIO(archive.read(record)), path)
        return
    with path.open("rb") as stream:
        for _ in range(_PICKLES):
            if stream.peek(1):
                _check_pickle(stream, path)


def _check_pickle(stream: BinaryIO, path: Path) -> None:
    """Follow the opcodes up to the end of one pickle, with extents in place of objects."""
    stack: list[_Extent] = []
    marks: list[int] = []
    memo: dict[object, _Extent] = {}
    for opcode, argument, _ in genops(stream):
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name.endswith(("PUT", "MEMOIZE")):
            # MEMOIZE has no argument: it takes the next number.
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif opcode.name.endswith("GET"):
            stack.append(memo[argument])
        else:
            made = _apply(opcode, stack, marks)
            stack.extend(made)
            _check_extents(made, path)


def _apply(opcode: OpcodeInfo, stack: list[_Extent], marks: list[int]) -> list[_Extent]:
    """Take the operands of an opcode off the stack; return what it puts there."""
    before = opcode.stack_before
    marked = markobject in before
    start = marks.pop() - before.index(markobject) if marked else len(stack) - len(before)
    operands = stack[start:]
    del stack[start:]
    if opcode.name in _GROWING:
        operands[0].grow(operands[1:])
        return operands[:1]
    return [_Extent.of(operands) for _ in opcode.stack_after]


def _check_extents(extents: list[_Extent], path: Path) -> None:
    for extent in extents:
        if extent.depth > MAX_DEPTH:
            what = f"is nested more than {MAX_DEPTH} deep"
        elif extent.items > MAX_ITEMS:
            what = f"has more than {MAX_ITEMS:,} items"
        else:
            continue
        raise CheckpointError(
            f"{visible(str(path))}: the weights cannot be read: the pickle {what}", SAVE_STATE_DICT
        )
