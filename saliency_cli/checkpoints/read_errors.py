"""Turns what libraries raise over a bad file into one line that a person can act on."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

from saliency_cli.errors import CheckpointError, SaliencyError
from saliency_cli.safe_text import excerpt, visible


@contextmanager
def refusing(path: Path, what: str) -> Iterator[None]:
    """Raise CheckpointError for whatever a library finds wrong while it reads `path`."""
    # A parser under a hostile file may raise anything, so all of Exception is caught here, and the
    # panics of Rust, which are none; what is ours has already said it better.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what matters, the refusal tells
            yield
    except SaliencyError:
        raise
    except UnpicklingError as error:
        raise CheckpointError(
            f"{visible(str(path))}: this pickle holds more than tensors, and is not opened",
            "save it again with torch.save(model.state_dict(), path), "
            "or add --unsafe-pickle if you trust who made it",
        ) from error
    except BaseException as error:
        if not _is_library_error(error):
            raise
        reason = excerpt(f"{type(error).__name__}: {' '.join(str(error).split())}")
        raise CheckpointError(f"{visible(str(path))}: {what} cannot be read: {reason}") from error


def _is_library_error(error: BaseException) -> bool:
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
