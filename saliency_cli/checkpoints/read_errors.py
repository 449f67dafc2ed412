"""Turn the errors that libraries raise on a bad file into one-line `CheckpointError`s."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

from saliency_cli.errors import CheckpointError, SaliencyError
from saliency_cli.safe_text import excerpt, visible

SAVE_STATE_DICT = "save it again with torch.save(model.state_dict(), path)"
"""The hint for a file that is not a plain state dict."""


@contextmanager
def translate_errors(path: Path, what: str) -> Iterator[None]:
    """Raise `CheckpointError` in place of any error that a library raises while it reads `path`.

    Warnings are suppressed: the error message covers what matters. A `SaliencyError` passes
    unchanged, since its message is more precise.

    Args:
        path: The file or folder that is read; the message names it.
        what: What the file should be, with its article: "the weights", "the config".

    Raises:
        CheckpointError: The library raised an error.
    """
    # On a hostile file a parser may raise any exception, so all of Exception is caught here. The
    # panics of Rust libraries do not derive from Exception and are caught as well.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SaliencyError:
        raise
    except UnpicklingError as error:
        raise CheckpointError(
            f"{visible(str(path))}: this pickle holds more than tensors and was not opened",
            f"{SAVE_STATE_DICT}, or add --unsafe-pickle if you trust its author",
        ) from error
    except BaseException as error:
        if not _is_library_error(error):
            raise
        reason = excerpt(f"{type(error).__name__}: {' '.join(str(error).split())}")
        raise CheckpointError(f"{visible(str(path))}: {what} cannot be read: {reason}") from error


def _is_library_error(error: BaseException) -> bool:
    # PanicException is what PyO3 makes of a panic in Rust; it derives from BaseException.
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
