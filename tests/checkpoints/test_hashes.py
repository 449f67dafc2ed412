"""Every file that is read has its hash in the manifest, under a name of its own."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from saliency_cli.checkpoints import load
from saliency_cli.checkpoints.hashes import ReadFile, hash_files, identities
from saliency_cli.errors import CheckpointError
from saliency_cli.settings import Compute, ModelChoice
from tests.support.hostile_configs import edit_json
from tests.support.models import save_bert
from tests.support.shell import DONE, USAGE, Shell

CPU = Compute(device="cpu")
NET = """
from {helper} import CONFIG
from transformers import BertConfig, BertForSequenceClassification

class Net(BertForSequenceClassification):
    def __init__(self):
        super().__init__(BertConfig.from_pretrained(CONFIG))

    def forward(self, input_ids=None, attention_mask=None):
        import {late}
        return super().forward(input_ids, attention_mask).logits
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model in `bert`, from which modules are imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    save_bert(tmp_path / "bert")
    return tmp_path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_code(home: Path, package: str, *, net: Path) -> list[str]:
    """Write a module and two that it imports, the second in its first pass; return their names."""
    folder = home / package
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "paths.py").write_text(f"CONFIG = {str(home / 'bert')!r}\n")
    (folder / "late.py").write_text("")
    net.write_text(NET.format(helper=f"{package}.paths", late=f"{package}.late"))
    return [f"{package}/__init__.py", f"{package}/paths.py", f"{package}/late.py"]


def code_hashes(home: Path, choice: ModelChoice) -> dict[str, str]:
    """Return the hashes of source files of a model, after checking that its weights have one."""
    hashes = load(choice, CPU).hashes["model"]
    assert str(home) not in json.dumps(hashes)
    return {name: digest for name, digest in hashes.items() if name.endswith(".py")}


def test_modules_that_a_file_imports_are_hashed(home: Path) -> None:
    names = [*write_code(home, "one_helper", net=home / "one_net.py"), "one_net.py"]
    choice = ModelChoice(home / "bert", arch="one_net.py:Net")
    for _ in range(2):  # the second time, Python has the helpers already
        assert code_hashes(home, choice) == {name: sha256(home / name) for name in names}


def test_modules_of_a_package_are_hashed(home: Path) -> None:
    names = write_code(home, "two_package", net=home / "net.py")
    (home / "net.py").rename(home / "two_package" / "net.py")
    choice = ModelChoice(home / "bert", arch="two_package.net:Net")
    assert code_hashes(home, choice) == {
        name: sha256(home / name) for name in (*names, "two_package/net.py")
    }


def test_an_installed_package_is_hashed_if_it_defines_the_model(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = home / "site-packages"
    installed.mkdir()
    monkeypatch.syspath_prepend(installed)
    names = write_code(home, "three_package", net=home / "net.py")
    (home / "three_package").rename(installed / "three_package")
    (home / "net.py").rename(installed / "three_package" / "net.py")
    choice = ModelChoice(home / "bert", arch="three_package.net:Net")
    assert code_hashes(home, choice) == {
        name: sha256(installed / name) for name in (*names, "three_package/net.py")
    }


def test_a_run_is_not_resumed_with_another_helper_module(shell: Shell) -> None:
    net = shell.home / "five_net.py"
    write_code(shell.home, "five_helper", net=net)
    arch = ("--arch", f"{net}:Net")
    assert shell.explain(*arch).exit_code == DONE
    with (shell.home / "five_helper" / "paths.py").open("a") as stream:
        stream.write("# changed\n")
    outcome = shell.explain(*arch, "--resume")
    assert outcome.exit_code == USAGE
    assert "five_helper/paths.py of the model is another file" in outcome.refusal()


def test_files_of_one_name_have_a_hash_each(home: Path) -> None:
    labels = home / "config.json"
    labels.write_text("no\nyes\n")
    hashes = load(ModelChoice(home / "bert", labels=labels), CPU).hashes["model"]
    assert hashes["config.json"] == sha256(home / "bert" / "config.json")
    assert hashes["labels:config.json"] == sha256(labels)


def test_every_file_of_a_tokenizer_is_hashed(home: Path) -> None:
    folder = home / "bert"
    (folder / "tokenizer.json").rename(folder / "tokenizer.4.0.0.json")
    edit_json(
        folder / "tokenizer_config.json",
        lambda content: content.update(fast_tokenizer_files=["tokenizer.4.0.0.json"]),
    )
    (folder / "additional_chat_templates").mkdir()
    names = ("tokenizer.4.0.0.json", "chat_template.jinja", "additional_chat_templates/a.jinja")
    for name in names[1:]:
        (folder / name).write_text("text")
    hashes = load(ModelChoice(folder), CPU).hashes["tokenizer"]
    expected = (*names, "tokenizer_config.json")
    assert hashes == {name: sha256(folder / name) for name in expected}


def test_a_file_that_is_written_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({}, path)
    files = [ReadFile.alone(path, "model")]
    before = identities(files)
    assert hash_files([*files, *files], before=before) == {"model.pt": sha256(path)}
    path.write_bytes(b"another")
    with pytest.raises(CheckpointError, match=r"model\.pt has changed while it was read"):
        hash_files(files, before=before)
