"""Tiny models and tokenizers, built where the tests run; the sample model; Chromium."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # a core each, and threads that do not wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings as hypothesis_settings
from playwright.sync_api import Browser

from saliency_cli.checkpoints import load
from saliency_cli.model.classifier import Classifier
from saliency_cli.settings import Compute, ModelChoice
from tests.support.attribution import PLAIN
from tests.support.chromium import Watched, launched_browser
from tests.support.models import save_bert, save_gpt2
from tests.support.paths import SAMPLE
from tests.support.shell import Shell

if TYPE_CHECKING:
    from tests.support.faults import PreparedRun

LONGEST = (
    "test_ray_pool",
    "test_faults",
    "test_process_pool",
    "test_crashing_rows",
    "test_browser",
)
"""Files that take minutes, in an order that puts beside a cluster of processes only single ones."""

if torch.cuda.is_available():
    torch.cuda.init()  # type: ignore[no-untyped-call] # else a test on the CPU would hide the devices from this process

hypothesis_settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
hypothesis_settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
    parser.addoption("--device", default="cpu", help="where the engine's promises are tested")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, lest one core be at the last of them while the others rest."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_gpt2(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="session")
def compute(request: pytest.FixtureRequest) -> Compute:
    return Compute(device=request.config.getoption("--device"))


@pytest.fixture(scope="session")
def bert(bert_folder: Path, compute: Compute) -> Classifier:
    return load(ModelChoice(bert_folder), compute, PLAIN)


@pytest.fixture(scope="session")
def gpt2(gpt2_folder: Path, compute: Compute) -> Classifier:
    return load(ModelChoice(gpt2_folder), compute, PLAIN)


@pytest.fixture(scope="session")
def sample(compute: Compute) -> Classifier:
    return load(ModelChoice(SAMPLE / "model.pt"), compute, PLAIN)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("pristine") / "bert")


@pytest.fixture
def shell(pristine: Path, tmp_path: Path) -> Shell:
    return Shell.beside(pristine, tmp_path / "home")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[PreparedRun]":
    from tests.support.faults import prepare_run  # noqa: PLC0415 - which imports what stands here

    with prepare_run(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Write objects as a JSONL file, and return its path."""

    def write(*rows: object, name: str = "texts.jsonl") -> Path:
        path = tmp_path / name
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from launched_browser()


@pytest.fixture(params=["light", "dark"])
def watched(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    page = browser.new_page(color_scheme=request.param, viewport={"width": 1000, "height": 800})
    yield Watched(page)
    page.close()


@pytest.fixture(scope="session", params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    return str(request.param)
