"""Two processes whose files differ in one byte never write one run; the file is named.

Which files are tested is read from the manifest. Each file of the model that is opened must be in
it: inotify reports also what a library in C or Rust opens.
"""

import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import BertForSequenceClassification

from saliency_cli.runs.manifest import differences
from tests.support.models import save_bert
from tests.support.opened_files import opened_files
from tests.support.runs import read_records
from tests.support.saving import read_weights, save_shards
from tests.support.shell import DONE, USAGE, Outcome, Shell, run_here
from tests.support.user_modules import write_user_module

TEXTS = '{"text": "free call now"}\n{"text": "ok"}\n'
OTHERS = ("README.md", "optimizer.pt", "generation_config.json", "tokenizer.model.txt")
"""Files beside a model that decide no number, and so must not be opened."""


@dataclass(frozen=True, slots=True)
class Case:
    """A model, the options that name its files, and a run of its first shard.

    Attributes:
        home: The folder of the model's files and the texts.
        options: MODEL, and the options that name further files.
    """

    home: Path
    options: tuple[str, ...]

    @property
    def out(self) -> Path:
        """The run's folder."""
        return self.home.parent / "out"

    def explain(self, *options: str) -> Outcome:
        """Run `saliency explain` with more options."""
        sizes = ("--device", "cpu", "--samples", "1", "--shard-rows", "1")
        paths = (str(self.home / "texts.jsonl"), "--out", str(self.out))
        return run_here(["explain", self.options[0], *paths, *self.options[1:], *sizes, *options])

    def hashes(self) -> dict[str, Any]:
        """Return what the manifest holds of files."""
        manifest = json.loads((self.out / "manifest.json").read_text(encoding="utf-8"))
        hashes: dict[str, Any] = manifest["hashes"]
        return hashes

    def hashed_files(self) -> dict[Path, str]:
        """Return each file that has a hash in the manifest, with the name that it has there."""
        hashes = self.hashes()
        names = {
            digest: name for kind in ("model", "tokenizer") for name, digest in hashes[kind].items()
        }
        names[hashes["input"]] = "texts.jsonl"
        found = {path: names[digest] for path, digest in self.digests() if digest in names}
        assert sorted(found.values()) == sorted(names.values())
        return found

    def digests(self) -> Iterator[tuple[Path, str]]:
        """Yield each file with its SHA-256."""
        for path in sorted(self.home.rglob("*")):
            if path.is_file():
                yield path, hashlib.sha256(path.read_bytes()).hexdigest()


def sharded_folder(home: Path) -> tuple[str, ...]:
    """Write a folder with weights in two files, more files of a tokenizer, and labels elsewhere."""
    model = save_bert(home / "bert")
    save_shards(model, read_weights(model), suffix="safetensors")
    (model / "model.safetensors").unlink()
    (model / "chat_template.jinja").write_text("{{ messages }}")
    for name in OTHERS:
        (model / name).write_text(f"{name}\n")
    (home / "labels.txt").write_text("no\nyes\n")
    return (str(model), "--labels", str(home / "labels.txt"))


def own_module(home: Path) -> tuple[str, ...]:
    """Write a module that imports a second one when it is loaded, and a third in its passes."""
    for name in ("mutated_helper", "mutated_late"):
        (home / f"{name}.py").write_text(f"# {name}\n")
    user = write_user_module(home / "net", "import mutated_late")
    code = user.home / "net.py"
    code.write_text(f"import mutated_helper\n{code.read_text()}")
    return tuple(user.arguments[:-2])


def pickled_module(home: Path) -> tuple[str, ...]:
    """Write a pickle of a whole module, whose class is in a file."""
    model = save_bert(home / "bert")
    (home / "mutated_class.py").write_text(
        "from transformers import BertForSequenceClassification\n"
        "class Net(BertForSequenceClassification): ...\n"
    )
    import mutated_class  # type: ignore[import-not-found]  # noqa: PLC0415 - it is made here

    torch.save(mutated_class.Net.from_pretrained(model), model / "model.pt")
    del sys.modules["mutated_class"]  # a process that loads the pickle has not imported it
    (model / "model.safetensors").unlink()
    return (str(model / "model.pt"), "--unsafe-pickle")


def adapter(home: Path) -> tuple[str, ...]:
    """Write an adapter beside its base model."""
    base = save_bert(home / "base")
    config = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft reads an attribute that transformers deprecates
        model = get_peft_model(BertForSequenceClassification.from_pretrained(base), config)
        model.save_pretrained(home / "adapter")
    return (str(home / "adapter"), "--base-model", str(base))


@pytest.fixture(params=[sharded_folder, own_module, pickled_module, adapter])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    write: Callable[[Path], tuple[str, ...]] = request.param
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.syspath_prepend(home)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a cache of a source has no hash
    (home / "texts.jsonl").write_text(TEXTS)
    return Case(home, write(home))


def with_one_byte_changed(content: bytes, suffix: str) -> bytes:
    """Return a file that is still valid: changed in a weight, in padding, or in white space."""
    if suffix == ".safetensors":
        lowest = len(content) - 4  # of the last float32
        return content[:lowest] + bytes([content[lowest] ^ 1]) + content[lowest + 1 :]
    if suffix == ".pt":
        assert b"ZZZZ" in content
        return content.replace(b"ZZZZ", b"ZZZY", 1)
    return content[:-1] + b" " if content.endswith(b"\n") else content + b" "


def test_no_file_may_change_by_one_byte_within_a_run(case: Case) -> None:
    with opened_files(case.home) as opened:
        started = case.explain("--shard", "1/2")
    assert started.exit_code == DONE, started.stderr
    files = case.hashed_files()
    assert opened == set(files)
    for path, name in files.items():
        content = path.read_bytes()
        path.write_bytes(with_one_byte_changed(content, path.suffix))
        for option in (("--shard", "2/2"), ("--resume",)):
            outcome = case.explain(*option)
            assert outcome.exit_code == USAGE, (name, option, outcome.stderr)
            assert f" {name} " in outcome.refusal(), (name, option)
        path.write_bytes(content)
    assert [path.name for path in (case.out / "records").iterdir()] == ["part-00000.jsonl"]
    finished = case.explain("--resume")
    assert finished.exit_code == DONE, finished.stderr
    assert len(read_records(case.out)) == 2


MAY_DIFFER = {
    *("dtype_error", "planned"),
    *("hashes.input", "shards.lines", "shards.offsets", "versions.python"),
    *("options.html_rows", "options.single_file", "options.title", "options.check_suspects"),
}
"""Values of the manifest that are not compared: what the run writes once it is planned, what is
checked elsewhere, and what changes what is found on complete records, or the pages, alone."""


def leaves(values: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the keys that lead to each value of a manifest."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name)


def with_another(values: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Return a manifest with another value at the keys."""
    value = with_another(values[keys[0]], keys[1:]) if keys[1:] else "another"
    return {**values, keys[0]: value}


def spaced(name: str) -> str:
    return name.replace("_", " ").replace("-", " ")


def test_every_value_of_a_manifest_is_compared_but_for_the_named_ones(shell: Shell) -> None:
    assert shell.explain("--shard", "1/2").exit_code == DONE
    manifest = json.loads((shell.out / "manifest.json").read_text(encoding="utf-8"))
    found = {keys: differences(manifest, with_another(manifest, keys)) for keys in leaves(manifest)}
    assert {".".join(keys) for keys, told in found.items() if not told} == MAY_DIFFER
    for keys, told in found.items():
        assert not told or spaced(keys[-1]) in spaced(told[0])
