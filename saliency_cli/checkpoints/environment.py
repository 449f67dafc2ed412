"""What the environment may not decide."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

SWAYING = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD")


@contextmanager
def unswayed() -> Iterator[None]:
    """Set aside the variables by which torch.load overrides the `weights_only` of its caller."""
    aside = {name: os.environ.pop(name) for name in SWAYING if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(aside)
