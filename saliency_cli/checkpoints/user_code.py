"""Which source files of the user's were imported: by `--arch`, or by `--unsafe-pickle`."""

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from torch import nn

from saliency_cli.checkpoints.hashes import ReadFile
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible
from saliency_cli.settings import ModelChoice

ROLE = "code"
INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed packages; the manifest has the versions of those that decide numbers."""
LIBRARIES = {"torch", "transformers", "peft", "saliency_cli"}
_OWN_FOLDERS = (Path(sysconfig.get_path("stdlib")).resolve(), Path(__file__).resolve().parents[1])
_imported: dict[str, set[str]] = {}
"""The names of the modules that a checkpoint's code imported in this process, by checkpoint. When
the code runs again, Python does not import them again."""


class CodeWatch:
    """Finds the source files that are imported from its creation on."""

    def __init__(self, choice: ModelChoice) -> None:
        self._choice = choice
        self._before = {*sys.modules}
        self._hashed: set[Path] = set()

    def hashed_files(self, module: nn.Module) -> list[ReadFile]:
        """Return the user's files, whose hashes the manifest gets; `check` compares with them.

        Args:
            module: The model that was built.
        """
        files = self.files(module)
        self._hashed = {file.path for file in files}
        return files

    def check(self, module: nn.Module) -> None:
        """Check that nothing of the user's was imported since its files were hashed.

        A module may import more where its `forward` comes upon a text of another kind.

        Args:
            module: The model that was built.

        Raises:
            CheckpointError: A file was imported whose hash is not in the manifest.
        """
        late = [file.path for file in self.files(module) if file.path not in self._hashed]
        if late:
            raise CheckpointError(
                f"{visible(str(late[0]))} was imported while rows were explained, so that its hash "
                "is not in the manifest",
                "import it at the top of the file that uses it",
            )

    def files(self, module: nn.Module) -> list[ReadFile]:
        """Return the user's files that were imported; none if no option runs code.

        They are all new modules outside the standard library and the installed packages, and the
        new modules of an installed package that defines a part of the model.

        Args:
            module: The model that was built.
        """
        choice = self._choice
        if choice.arch is None and not choice.unsafe_pickle:
            return []
        names = _imported.setdefault(f"{choice.arch} {choice.checkpoint.absolute()}", set())
        names |= sys.modules.keys() - self._before
        packages = {_package(type(each).__module__) for each in module.modules()} - LIBRARIES
        where = (choice.arch or "").rpartition(":")[0]
        entry = [ReadFile.alone(Path(where), ROLE)] if where.endswith(".py") else []
        return [*entry, *_source_files(sorted(names), packages | {_package(where)} - LIBRARIES)]


def _package(name: str) -> str:
    return name.partition(".")[0]


def _source_files(names: list[str], packages: set[str]) -> Iterator[ReadFile]:
    """Yield the files of modules, each named by its path below the folder it is imported from."""
    for name in names:
        module = sys.modules.get(name)
        file = _file_of(module)
        if file is None or (_is_installed(file) and _package(name) not in packages):
            continue
        parts = name.split(".")
        folder = parts if hasattr(module, "__path__") else parts[:-1]
        yield ReadFile(file, "/".join([*folder, file.name]), ROLE)


def _file_of(module: ModuleType | None) -> Path | None:
    """Return the file that a module was read from; that of a module in an archive is the archive.

    None for a module without a file, such as one that is built in.
    """
    name = getattr(module, "__file__", None)
    path = Path(name) if isinstance(name, str) else None
    return path and next((each for each in (path, *path.parents) if each.is_file()), None)


def _is_installed(file: Path) -> bool:
    """Whether a file belongs to the standard library, an installed package or this package."""
    resolved = file.resolve()
    own = any(resolved.is_relative_to(folder) for folder in _OWN_FOLDERS)
    return own or bool(INSTALLED.intersection(file.parts + resolved.parts))
