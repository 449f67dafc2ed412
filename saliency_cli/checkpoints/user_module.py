"""Build a user's own module from `--arch WHERE:NAME`; no other option runs Python source code."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.safe_text import excerpt, listed, visible


def build_user_module(arch: str, config: Any) -> nn.Module:  # noqa: ANN401
    """Return the module that `--arch` names, with its initial weights.

    Args:
        arch: `file.py:Name` or `package.module:Name`, a class or a factory.
        config: The transformers config, passed if the class or factory takes one; or None.

    Raises:
        UsageError: There is no such file or name, or it takes other arguments.
        CheckpointError: The user's code fails, or does not return a module.
    """
    where, name = _split_arch(arch)
    with _running_user_code(arch):
        scope = _run_file(Path(where)) if where.endswith(".py") else _import_module(where)
    factory = getattr(scope, name, None)
    if not callable(factory):
        raise UsageError(f"--arch {visible(arch)}: there is no class or factory '{visible(name)}'")
    arguments = _call_arguments(factory, config, arch=arch)
    with _running_user_code(arch):
        module = factory(*arguments)
    if not isinstance(module, nn.Module):
        raise CheckpointError(
            f"--arch {visible(arch)} returns a {visible(type(module).__name__)}, not an nn.Module"
        )
    return module


def add_import_path(folder: Path) -> None:
    """Append `folder` to Python's import path, last, so that it hides no installed module."""
    if str(folder.absolute()) not in sys.path:
        sys.path.append(str(folder.absolute()))


def _split_arch(arch: str) -> tuple[str, str]:
    """Return the file or module, and the name in it; raise `UsageError` if either is malformed."""
    where, _, name = arch.rpartition(":")
    if not where or not name.isidentifier():
        raise UsageError(f"--arch {visible(arch)}: give file.py:Name or package.module:Name")
    if where.endswith(".py") and not Path(where).is_file():
        raise UsageError(f"--arch: there is no file {visible(where)}")
    return where, name


def _run_file(path: Path) -> ModuleType:
    add_import_path(path.parent)
    spec = importlib.util.spec_from_file_location(f"_saliency_arch_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--arch: {visible(str(path))} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module while they are defined
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    add_import_path(Path())
    return importlib.import_module(name)


def _call_arguments(factory: Callable[..., object], config: Any, *, arch: str) -> list[Any]:  # noqa: ANN401
    """Return the arguments for `factory`: the config or nothing.

    The config is passed if one argument is required, or if the first is called `config` and there
    is one.
    """
    positional = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(factory).parameters.values()
    accepted = [each for each in parameters if each.kind in positional]
    required = [each.name for each in accepted if each.default is inspect.Parameter.empty]
    if len(required) > 1:
        raise UsageError(
            f"--arch {visible(arch)} takes more than a config: {listed(required)}",
            "name a factory that takes the config or nothing, and returns the module",
        )
    if required and config is None:
        raise UsageError(
            f"--arch {visible(arch)} takes a config, but there is none", "name it with --config"
        )
    optional = bool(accepted) and accepted[0].name == "config" and config is not None
    return [config] if required or optional else []


@contextmanager
def _running_user_code(arch: str) -> Iterator[None]:
    """Turn any exception of the user's code into a one-line error, and send its output to stderr.

    stdout is for results only.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        reason = excerpt(f"{type(error).__name__}: {error}".strip().partition("\n")[0])
        raise CheckpointError(f"--arch {visible(arch)} fails: {reason}") from error
