"""Import a package when it is first used, if another library imports it but may never use it."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_loader
from threading import Lock
from types import ModuleType

_LOCK = Lock()


class DeferredPackage(ModuleType):
    """A package whose `__init__` runs when an attribute that it does not have yet is read.

    Its submodules can be imported without that.
    """

    def __getattr__(self, name: str) -> object:
        """Import the package, unless that was done, and return its attribute."""
        return getattr(_imported(self), name)


def defer_package(name: str) -> None:
    """Put off the import of a package whose parent is imported, unless it is imported too."""
    spec = None if name in sys.modules else find_spec(name)
    if spec is None:
        return
    package = module_from_spec(spec)
    package.__class__ = DeferredPackage
    sys.modules[name] = package
    parent, _, attribute = name.rpartition(".")
    setattr(sys.modules[parent], attribute, package)


def import_before_submodules(name: str) -> None:
    """Import a deferred package from now on before a further submodule of it is imported.

    So Python does it, and the modules of `torch._dynamo` need it: some import each other, and the
    package has the order in which that succeeds. Without it `torch.compile` and
    `torch.use_deterministic_algorithms` of torch 2.13 raise an ImportError or a KeyError.
    """
    if isinstance(sys.modules.get(name), DeferredPackage):
        sys.meta_path.insert(0, _PackageFirst(name))


class _PackageFirst(MetaPathFinder, Loader):
    """Finds the submodules of a deferred package: they are imported by the package itself."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the interface of Python
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Import the package; return how its submodule is found if it is imported with it."""
        package = sys.modules.get(self.package)
        if not fullname.startswith(f"{self.package}.") or not isinstance(package, DeferredPackage):
            return None
        _imported(package)
        module = sys.modules.get(fullname)
        if module is None:
            return None
        # Python would run the module again by its own specification.
        self.specs[fullname], module.__spec__ = module.__spec__, spec_from_loader(fullname, self)
        return module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module that is imported already."""
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing; give the module its own specification again."""
        module.__spec__ = self.specs.pop(module.__name__)


def _imported(deferred: DeferredPackage) -> ModuleType:
    """Return the package that was deferred, after its import unless that was done."""
    name = deferred.__name__
    with _LOCK:  # else a second thread could remove the package while it is imported
        first = sys.modules.get(name) is deferred
        if first:
            del sys.modules[name]
    package = import_module(name)
    if first:  # the import does not add submodules that are imported already
        vars(package).update(_submodules(deferred))
    return package


def _submodules(package: ModuleType) -> dict[str, ModuleType]:
    prefix = f"{package.__name__}."
    return {
        name: value
        for name, value in vars(package).items()
        if isinstance(value, ModuleType) and value.__name__.startswith(prefix)
    }
