"""How transformers is imported: without what is not used, and without the network."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from saliency_cli.model.deferred_package import (
    DeferredPackage,
    defer_package,
    import_before_submodules,
)
from tests.support.paths import ROOT, SAMPLE

PROGRAM = f"""
import sys
from pathlib import Path
from saliency_cli.checkpoints import load
from saliency_cli.settings import Compute, ModelChoice

load(ModelChoice(Path({str(SAMPLE / "model.pt")!r})), Compute())
slow = {{"torch._dynamo.eval_frame", "torch._inductor", "torch.distributed.tensor", "peft"}}
slow.add("sympy")
assert not slow & {{*sys.modules}}, slow & {{*sys.modules}}
import huggingface_hub.constants, torch
assert huggingface_hub.constants.HF_HUB_OFFLINE
assert torch.distributed.is_available()

torch.use_deterministic_algorithms(True)  # imports a submodule of the compiler first
@torch.compiler.disable
def function(): pass
assert "torch._dynamo.eval_frame" in sys.modules and function._torchdynamo_disable
import transformers
assert transformers.models.BertConfig is transformers.BertConfig
assert transformers.models.bert is sys.modules["transformers.models.bert"]
"""


@pytest.fixture
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write a package `parent.slow`, whose module `quick` needs nothing of it."""
    folder = tmp_path / "parent" / "slow"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("times = []", encoding="utf-8")
    (folder / "__init__.py").write_text("from . import needed\nvalue = 1", encoding="utf-8")
    (folder / "quick.py").touch()
    (folder / "needed.py").write_text("from parent import times\ntimes.append(1)", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import_module("parent")
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "parent"]:
        del sys.modules[name]


def test_loading_a_model_imports_no_compiler_and_whoever_asks_for_it_gets_the_real_one() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, cwd=ROOT, env=environment)


@pytest.mark.usefixtures("_package")
def test_a_deferred_package_is_imported_when_an_attribute_is_read() -> None:
    defer_package("parent.slow")
    quick = import_module("parent.slow.quick")
    deferred = sys.modules["parent.slow"]
    assert type(deferred) is DeferredPackage
    assert "value" not in vars(deferred)

    assert deferred.value == 1
    slow = import_module("parent.slow")
    assert type(slow) is not DeferredPackage
    assert slow is import_module("parent").slow
    assert slow.quick is quick
    assert deferred.value is slow.value
    with pytest.raises(AttributeError, match="missing"):
        _ = deferred.missing


@pytest.mark.usefixtures("_package")
def test_a_deferred_package_can_be_imported_before_its_submodules() -> None:
    defer_package("parent.slow")
    quick = import_module("parent.slow.quick")
    assert type(sys.modules["parent.slow"]) is DeferredPackage
    import_before_submodules("parent.slow")
    try:
        needed = import_module("parent.slow.needed")
        slow = sys.modules["parent.slow"]
        assert (slow.value, slow.needed, slow.quick) == (1, needed, quick)
        assert import_module("parent").times == [1]  # the package has imported it already
        assert needed.__spec__ is not None
        assert isinstance(needed.__spec__.loader, SourceFileLoader)
    finally:
        del sys.meta_path[0]


@pytest.mark.usefixtures("_package")
def test_a_package_that_is_imported_or_does_not_exist_is_not_deferred() -> None:
    slow = import_module("parent.slow")
    defer_package("parent.slow")
    defer_package("parent.unknown")
    assert sys.modules["parent.slow"] is slow
    assert "parent.unknown" not in sys.modules
