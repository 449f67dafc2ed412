"""A module of one's own, by `--arch WHERE:NAME`: the one way in which a user's code is run."""

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


def source_files(arch: str | None) -> tuple[Path, ...]:
    """Return the `.py` file that is named, for the hashes; a module of a package has none."""
    if arch is None:
        return ()
    where, _ = _split(arch)
    return (Path(where),) if where.endswith(".py") else ()


def build_own(arch: str, config: Any) -> nn.Module:  # noqa: ANN401
    """Build the module that `arch` names, from the config if it takes one.

    Raises:
        UsageError: there is no such file, module or name, or it takes other arguments.
        CheckpointError: its code fails, or gives no module.
    """
    where, name = _split(arch)
    with _told(arch):
        scope = _run_file(Path(where)) if where.endswith(".py") else _import(where)
    target = getattr(scope, name, None)
    if not callable(target):
        raise UsageError(f"--arch {visible(arch)}: there is no class or factory '{visible(name)}'")
    arguments = _arguments(target, config, arch=arch)
    with _told(arch):
        module = target(*arguments)
    if not isinstance(module, nn.Module):
        raise CheckpointError(
            f"--arch {visible(arch)} gives a {visible(type(module).__name__)}, no nn.Module"
        )
    return module


def importable_from(folder: Path) -> None:
    """Let Python find modules in `folder`, last of all, so that they hide none of another's."""
    if str(folder.absolute()) not in sys.path:
        sys.path.append(str(folder.absolute()))


def _split(arch: str) -> tuple[str, str]:
    where, _, name = arch.rpartition(":")
    if not where or not name.isidentifier():
        raise UsageError(f"--arch {visible(arch)}: give file.py:Name or package.module:Name")
    if where.endswith(".py") and not Path(where).is_file():
        raise UsageError(f"--arch: there is no file {visible(where)}")
    return where, name


def _run_file(path: Path) -> ModuleType:
    importable_from(path.parent)
    spec = importlib.util.spec_from_file_location(f"_saliency_arch_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--arch: {visible(str(path))} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up while they are made
    spec.loader.exec_module(module)
    return module


def _import(name: str) -> ModuleType:
    importable_from(Path())
    return importlib.import_module(name)


def _arguments(target: Callable[..., object], config: Any, *, arch: str) -> list[Any]:  # noqa: ANN401
    """Return what `target` is called with: the config where it must have one argument."""
    takes = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    given = inspect.signature(target).parameters.values()
    named = [each for each in given if each.kind in takes]
    required = [each.name for each in named if each.default is inspect.Parameter.empty]
    if len(required) > 1:
        raise UsageError(
            f"--arch {visible(arch)} takes more than a config: {listed(required)}",
            "name a factory that takes the config or nothing, and gives the module",
        )
    if required and config is None:
        raise UsageError(
            f"--arch {visible(arch)} takes a config, and there is none", "name it with --config"
        )
    wants = required or (named and named[0].name == "config" and config is not None)
    return [config] if wants else []


@contextmanager
def _told(arch: str) -> Iterator[None]:
    """Say in one line what the user's code raised; what it prints is no data: to stderr."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        reason = excerpt(f"{type(error).__name__}: {error}".strip().partition("\n")[0])
        raise CheckpointError(f"--arch {visible(arch)} fails: {reason}") from error
