"""How work reports that it goes on, without knowing who shows it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

Advance: TypeAlias = Callable[[int], None]
"""Called with a number of rows that are done; negative where they must be done again."""


class Progress(Protocol):
    """Shows what a command is doing."""

    def waiting(self, what: str) -> AbstractContextManager[None]:
        """Show `what` while something of unknown length is done."""

    def progress(self, what: str, *, rows: int) -> AbstractContextManager[Advance]:
        """Show a bar of `rows` rows; yields what to call as they are done."""

    def warn(self, message: str) -> None:
        """Show what a user should know before trusting the result."""
