"""Import a package when it is first used, if another library imports it but may never use it."""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from threading import Lock
from types import ModuleType

_LOCK = Lock()


class DeferredPackage(ModuleType):
    """A package whose `__init__` runs when an attribute that it does not have yet is read.

    Its submodules can be imported without that.
    """

    def __getattr__(self, name: str) -> object:
        """Import the package, unless that was done, and return its attribute.

        A submodule is imported by itself. A submodule that reads another one while it is imported
        itself, as `torch._dynamo.utils` does, would otherwise be imported again by the package.
        """
        if _is_submodule(self, name):
            return import_module(f"{self.__name__}.{name}")
        with _LOCK:  # else a second thread could remove the package while it is imported
            first = sys.modules.get(self.__name__) is self
            if first:
                del sys.modules[self.__name__]
        package = import_module(self.__name__)
        if first:  # the import does not add submodules that are imported already
            vars(package).update(_submodules(self))
        return getattr(package, name)


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


def _is_submodule(package: ModuleType, name: str) -> bool:
    """Whether a package that is not imported has a submodule of that name."""
    deferred = sys.modules.get(package.__name__) is package
    if not deferred or name.startswith("__"):
        return False
    return find_spec(f"{package.__name__}.{name}") is not None


def _submodules(package: ModuleType) -> dict[str, ModuleType]:
    prefix = f"{package.__name__}."
    return {
        name: value
        for name, value in vars(package).items()
        if isinstance(value, ModuleType) and value.__name__.startswith(prefix)
    }
