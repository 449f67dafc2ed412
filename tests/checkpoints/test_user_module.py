"""A user's own modules, built by `--arch` from source files as users write them."""

import json
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import DistilBertConfig, DistilBertModel
from typer.testing import CliRunner

from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.replicas import can_replicate
from saliency_cli.checkpoints import load
from saliency_cli.cli.app import app
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.explanations import Explanation
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.output_logits import read_logits
from saliency_cli.records import Row
from saliency_cli.runs.request import Request
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import Compute, ModelChoice, OutputChoice
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS, save_bert, wordpiece

CPU = Compute(device="cpu")
CLASSES = 93
MEAN_POOLING = """
import torch
from torch import nn
from transformers import DistilBertConfig, DistilBertModel


class DistilBertForSequenceClassification(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.bert = DistilBertModel(config)
        self.dropout = nn.Dropout(0.3)
        self.linear = nn.Linear(config.hidden_size, 93)

    def forward(self, input_ids, attention_mask):
        hidden = self.bert(input_ids, attention_mask=attention_mask).last_hidden_state
        return self.linear(self.dropout(hidden.mean(dim=1)))


def build():
    return DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4, hidden_dim=64,
            max_position_embeddings=64, initializer_range=0.3,
        )
    )
"""
SMALL = """
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput


class Net(nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.head = nn.Linear(8, outputs)

    def forward(self, input_ids, attention_mask):
        mask = attention_mask[..., None]
        hidden = (self.embedding(input_ids) * mask).sum(dim=1) / mask.sum(dim=1)
        return self.head(hidden.tanh())
"""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder in which a user keeps a tokenizer, a module's source and its weights."""

    home: Path

    @property
    def weights(self) -> Path:
        """The file of the state dict."""
        return self.home / "weights.pt"

    def write(self, code: str, *, name: str = "net.py") -> Path:
        """Write a module's source; return its path."""
        vocabulary = str(len(wordpiece()))
        path = self.home / name
        path.write_text(code.replace("VOCABULARY", vocabulary))
        return path

    def choice(self, name: str = "Net", *, file: str = "net.py", **options: Any) -> ModelChoice:  # noqa: ANN401
        """Return options that name the module, its weights and its embedding layer."""
        options = {"embedding_layer": "embedding"} | options
        return ModelChoice(self.weights, arch=f"{self.home / file}:{name}", **options)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    wordpiece().save_pretrained(tmp_path)
    project = Project(tmp_path)
    project.write(SMALL)
    save_small(project)
    return project


def save_small(project: Project, *, outputs: int = 3) -> None:
    """Save weights for the module of `SMALL`."""
    torch.manual_seed(3)
    torch.save(
        {
            "embedding.weight": torch.randn(len(wordpiece()), 8),
            "head.weight": torch.randn(outputs, 8),
            "head.bias": torch.randn(outputs),
        },
        project.weights,
    )


class MeanPooling(nn.Module):
    """The module of `MEAN_POOLING` again, to save weights and compare logits."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.bert = DistilBertModel(config)
        self.linear = nn.Linear(config.hidden_size, CLASSES)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.bert(input_ids, attention_mask=attention_mask).last_hidden_state
        logits: Tensor = self.linear(hidden.mean(dim=1))
        return logits


@pytest.fixture
def reference(project: Project) -> MeanPooling:
    """Save the source and weights of the mean-pooling model; return it with the same weights."""
    project.write(MEAN_POOLING, name="train.py")
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=len(wordpiece()),
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=64,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    module = MeanPooling(config).eval()
    torch.save({"epoch": 1, "model_state_dict": module.state_dict()}, project.weights)
    return module


EMBEDDING_LAYER = "bert.embeddings.word_embeddings"


def load_mean_pooling(project: Project, **options: Any) -> Classifier:  # noqa: ANN401
    """Load the mean-pooling model by its factory."""
    return load(
        project.choice("build", file="train.py", embedding_layer=EMBEDDING_LAYER, **options), CPU
    )


def test_a_model_that_pools_padding_is_explained_in_batches_of_one_length(
    project: Project, reference: MeanPooling
) -> None:
    classifier = load_mean_pooling(project)
    assert type(classifier.module).__name__ == "DistilBertForSequenceClassification"
    assert classifier.labels == tuple(f"LABEL_{index}" for index in range(CLASSES))
    assert classifier.inputs == ("input_ids", "attention_mask")
    assert (classifier.max_length, classifier.padding_blind) == (64, False)
    alone = [scored(engine(classifier, samples=4), [text])[0] for text in TEXTS]
    for together, single in zip(scored(engine(classifier, samples=4), TEXTS), alone, strict=True):
        torch.testing.assert_close(together, single, rtol=0, atol=1e-5 * float(single.abs().max()))
    ids = torch.tensor([classifier.tokenizer(TEXTS[0])["input_ids"]])
    with torch.no_grad():
        expected = reference(ids, torch.ones_like(ids))
        logits = classifier.module(ids, torch.ones_like(ids))
    assert torch.equal(logits, expected)


def test_an_operation_without_a_rule_is_named_and_gradients_are_plain(project: Project) -> None:
    layer = "        self.layer = nn.GRU(8, 8, batch_first=True)\n"
    recurrent = SMALL.replace("        self.head = ", f"{layer}        self.head = ")
    embedded = "self.embedding(input_ids)"
    source = project.write(recurrent.replace(f"({embedded} *", f"(self.layer({embedded})[0] *"))
    torch.manual_seed(0)
    torch.save(runpy.run_path(str(source))["Net"]().state_dict(), project.weights)
    texts = project.home / "texts.jsonl"
    texts.write_text(json.dumps({"text": TEXTS[0]}) + "\n")
    out = project.home / "out"
    options = ["--arch", f"{source}:Net", "--out", str(out), "--device", "cpu"]
    result = CliRunner().invoke(app, ["explain", str(project.weights), str(texts), *options])
    assert result.exit_code == 0, result.stderr
    assert "conservative propagation has no rule for " in " ".join(result.stderr.split())
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["model"]["operations_without_rule"] == ["GRU"]
    assert manifest["propagation"] == "standard"
    assert manifest["options"]["propagation"] == "conservative"


def test_a_class_is_called_with_the_config_of_the_option(
    project: Project, reference: MeanPooling
) -> None:
    reference.bert.config.save_pretrained(project.home / "config")
    classifier = load(
        project.choice(
            "DistilBertForSequenceClassification",
            file="train.py",
            embedding_layer=EMBEDDING_LAYER,
            config=project.home / "config",
        ),
        CPU,
    )
    assert len(classifier.labels) == CLASSES


@pytest.mark.usefixtures("reference")
def test_a_user_module_runs_from_the_command_line(project: Project) -> None:
    labels = [f"intent {index}" for index in range(CLASSES)]
    (project.home / "labels.txt").write_text("\n".join(labels) + "\n")
    (project.home / "texts.jsonl").write_text(
        "".join(json.dumps({"text": t}) + "\n" for t in TEXTS)
    )
    paths = [
        str(project.weights),
        str(project.home / "texts.jsonl"),
        "--out",
        str(project.home / "out"),
    ]
    options = {"--arch": f"{project.home / 'train.py'}:build", "--embedding-layer": EMBEDDING_LAYER}
    options |= {"--labels": str(project.home / "labels.txt"), "--device": "cpu", "--samples": "2"}
    flat = [part for pair in options.items() for part in pair]
    result = CliRunner().invoke(app, ["explain", *paths, *flat, "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["ok"] == len(TEXTS)
    manifest = json.loads((project.home / "out" / "manifest.json").read_text())
    assert manifest["model"]["labels"] == labels
    assert set(manifest["hashes"]["model"]) == {"weights.pt", "train.py", "labels.txt"}
    assert manifest["propagation"] == "conservative"
    assert manifest["model"]["operations_without_rule"] == []


FACTORIES = """

def without_config():
    return Net(3)


def with_config(config):
    return Net(config.num_labels)
"""


@pytest.mark.parametrize("name", ["Net", "without_config", "with_config"])
def test_a_class_or_a_factory_is_built(project: Project, name: str) -> None:
    project.write(SMALL + FACTORIES)
    DistilBertConfig(num_labels=3).save_pretrained(project.home)
    assert load(project.choice(name), CPU).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_an_importable_module_is_imported(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.home / "their_package").mkdir()
    (project.home / "their_package" / "__init__.py").write_text("")
    project.write("from their_package.part import Net", name="their_package/nets.py")
    project.write(SMALL, name="their_package/part.py")
    monkeypatch.chdir(project.home)
    monkeypatch.setattr(sys, "path", [*sys.path])
    choice = replace(project.choice(), arch="their_package.nets:Net")
    assert len(load(choice, CPU).labels) == 3


def test_a_file_may_import_its_neighbours(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    project.write(SMALL, name="a_neighbour.py")
    project.write("from a_neighbour import Net")
    assert len(load(project.choice(), CPU).labels) == 3


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("net.py", "give file.py:Name"),
        ("net.py:", "give file.py:Name"),
        (":Net", "give file.py:Name"),
        ("nowhere.py:Net", "no file"),
        ("net.py:None_such", "no class or factory"),
        ("net.py:CONSTANT", "no class or factory"),
        ("net.py:two", "takes more than a config: first, second"),
        ("net.py:with_config", "there is none"),
    ],
)
def test_an_invalid_arch_is_a_usage_error(project: Project, arch: str, message: str) -> None:
    project.write(
        f"{SMALL}{FACTORIES}\n\nCONSTANT = 3\n\n\ndef two(first, second):\n    return Net()\n"
    )
    choice = replace(
        project.choice(), arch=arch if arch.startswith(":") else str(project.home / arch)
    )
    with pytest.raises(UsageError, match=message):
        load(choice, CPU)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def Net(:", "SyntaxError"),
        ("import a_package_that_does_not_exist", "ModuleNotFoundError: No module named 'a_package"),
        ("raise SystemExit('usage: train.py DATA')", "SystemExit: usage"),
        ("def Net():\n    return 1 / 0", "ZeroDivisionError: division by zero"),
        ("def Net():\n    return [1]", "returns a list, not an nn.Module"),
        ("def Net():\n    raise ValueError('a\\x1b[31mb\\nc')", r"ValueError: a\\x1b\[31mb$"),
    ],
)
def test_an_exception_of_the_users_code_becomes_one_line(
    project: Project, code: str, message: str
) -> None:
    project.write(code)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(project.choice(), CPU)
    assert "\n" not in caught.value.message


def test_a_missing_package_is_refused(project: Project) -> None:
    with pytest.raises(CheckpointError, match="ModuleNotFoundError"):
        load(replace(project.choice(), arch="a_package_that_does_not_exist:Net"), CPU)


@pytest.mark.parametrize("problem", ["missing", "unexpected", "wrong shape"])
def test_weights_are_loaded_strictly(project: Project, problem: str) -> None:
    weights = torch.load(project.weights, weights_only=True)
    if problem == "missing":
        del weights["head.bias"]
    elif problem == "unexpected":
        weights["head.scale"] = torch.ones(1)
    else:
        weights["head.bias"] = torch.ones(4)
    torch.save(weights, project.weights)
    with pytest.raises(
        CheckpointError, match=rf"does not fit Net: {problem}: head\.\w+( 4 for 3)?$"
    ):
        load(project.choice(), CPU)


def test_one_name_of_a_tied_weight_is_enough(project: Project) -> None:
    project.write(
        SMALL.replace("\n    def forward", "        self.twin = self.head\n\n    def forward")
    )
    assert len(load(project.choice(), CPU).labels) == 3


INPUTS = {
    "input_ids": ("input_ids",),
    "input_ids, attention_mask=None": ("input_ids", "attention_mask"),
    "input_ids, token_type_ids=None": ("input_ids", "token_type_ids"),
    "input_ids, **others": ("input_ids",),
    "input_ids, labels=None, output_attentions=False": ("input_ids",),
}


@pytest.mark.parametrize("signature", INPUTS)
def test_forward_receives_the_inputs_that_it_names(project: Project, signature: str) -> None:
    body = "return self.head(self.embedding(input_ids).mean(1))"
    head = SMALL.partition("def forward")[0]
    project.write(f"{head}def forward(self, {signature}):\n        {body}")
    classifier = load(project.choice(), CPU)
    assert classifier.inputs == INPUTS[signature]
    assert not classifier.padding_blind
    assert scored(engine(classifier, samples=2), TEXTS)[0].sum() == pytest.approx(1)


def test_forward_with_any_keywords_receives_ids_and_mask(project: Project) -> None:
    expected = scored(engine(load(project.choice(), CPU), samples=2), TEXTS)
    project.write(
        SMALL.replace("class Net", "class Inner")
        + "\n\nclass Net(Inner):\n    def forward(self, *args, **kwargs):\n"
        + "        return super().forward(*args, **kwargs)\n"
    )
    classifier = load(project.choice(), CPU)
    assert classifier.inputs == ("input_ids", "attention_mask")
    assert all(map(torch.equal, scored(engine(classifier, samples=2), TEXTS), expected))


def test_a_forward_without_input_ids_is_refused(project: Project) -> None:
    project.write(SMALL.partition("def forward")[0] + "def forward(self, x):\n        return x")
    with pytest.raises(CheckpointError, match="takes no input_ids"):
        load(project.choice(), CPU)


OUTPUTS = {
    "tuple": "({}, None)",
    "list": "[{}, None]",
    "dict": "{{'loss': None, 'logits': {}}}",
    "ModelOutput": "SequenceClassifierOutput(logits={})",
}


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_logits_are_found_in_the_output_of_forward(project: Project, output: str) -> None:
    plain = scored(engine(load(project.choice(), CPU), samples=2), TEXTS)
    logits = "self.head(hidden.tanh())"
    project.write(SMALL.replace(f"return {logits}", f"return {output.format(logits)}"))
    wrapped = scored(engine(load(project.choice(), CPU), samples=2), TEXTS)
    assert all(map(torch.equal, wrapped, plain))


@pytest.mark.parametrize(
    "output", ["None", "{'scores': 1}", "()", "'x', hidden", "hidden[:, None]"]
)
def test_an_output_without_logits_is_refused(project: Project, output: str) -> None:
    project.write(SMALL.replace("return self.head(hidden.tanh())", f"return {output}"))
    with pytest.raises(CheckpointError, match="logits"):
        load(project.choice(), CPU)


def test_a_tensor_is_taken_as_the_logits() -> None:
    logits = torch.zeros(2, 3)
    assert read_logits(logits) is logits


LABELS: dict[str, Callable[[list[str]], str]] = {
    "labels.txt": "\n".join,
    "dos.txt": lambda names: "\ufeff" + "\r\n".join(names) + "\r\n\r\n",
    "list.json": json.dumps,
    "index.json": lambda names: json.dumps({str(i): name for i, name in enumerate(names)}),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_come_from_the_file_else_the_config_else_their_number(
    project: Project, name: str
) -> None:
    names = ["yes", "no, thanks", "später"]
    path = project.home / name
    path.write_bytes(LABELS[name](names).encode())
    assert load(project.choice(labels=path), CPU).labels == tuple(names)
    assert load(project.choice(), CPU).labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    DistilBertConfig(id2label=dict(enumerate("abc"))).save_pretrained(project.home)
    assert load(project.choice(), CPU).labels == ("a", "b", "c")
    assert load(project.choice(labels=path), CPU).labels == tuple(names)


def test_labels_of_the_option_override_those_of_a_config(bert_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("0\n1")
    assert load(ModelChoice(bert_folder, labels=path), CPU).labels == ("0", "1")
    path.write_text("0\n1\n2")
    with pytest.raises(CheckpointError, match=r"classifier\.bias 2 for 3"):
        load(ModelChoice(bert_folder, labels=path), CPU)


def test_the_label_file_sets_the_number_of_labels(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    folder = save_bert(tmp_path / "model", labels=names)
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"], config["label2id"]  # as in the config of a base model
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"classifier\.bias 3 for 2"):
        load(ModelChoice(folder), CPU)
    (tmp_path / "labels").write_text("\n".join(names))
    assert load(ModelChoice(folder, labels=tmp_path / "labels"), CPU).labels == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nb", "names 2 labels, but the model has 3"),
        ("a\n\nb\nc", "a line is empty"),
        ("", "a line is empty"),
        ("a\nb\na", "same name"),
        ('["a", "b", 3]', "not a string"),
        ('["a", "b"', "cannot be read"),
        ('{"0": "a", "2": "b"}', "indexes"),
        ("\udcff", "cannot be read"),
    ],
)
def test_an_invalid_label_file_is_refused(project: Project, content: str, message: str) -> None:
    path = project.home / "labels"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises((UsageError, CheckpointError), match=message):
        load(project.choice(labels=path), CPU)


def test_a_missing_label_file_is_a_usage_error(project: Project) -> None:
    with pytest.raises(UsageError, match="no file"):
        load(project.choice(labels=project.home / "nowhere"), CPU)


@pytest.mark.parametrize("squeezed", ["", ".squeeze(-1)", ".squeeze()"])
def test_one_output_is_regression(project: Project, squeezed: str) -> None:
    save_small(project, outputs=1)
    code = SMALL.replace("outputs=3", "outputs=1")
    project.write(code.replace("self.head(hidden.tanh())", f"self.head(hidden.tanh()){squeezed}"))
    classifier = load(project.choice(embedding_layer=None), CPU)  # the layer is found by a trace
    assert (classifier.head, classifier.embedding_name) == ("regression", "embedding")
    rows = [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(TEXTS)]
    for outcome in explain(rows, engine(classifier, samples=4)):
        assert isinstance(outcome, Explanation)
        ids = torch.tensor([outcome.encoding.ids])
        value = classifier.module(ids, torch.ones_like(ids)).flatten()
        assert outcome.record()["value"] == pytest.approx(float(value), rel=1e-5)


def test_a_module_that_cannot_be_copied_runs_in_one_stream(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saliency_cli.runs.setup.usable_cores", lambda: 2)
    texts, output = TextsChoice("texts.jsonl"), OutputChoice(project.home / "out")
    request = Request(project.choice(), texts, CPU, Maths(), output)
    assert build_engine(request).replicas == 2
    lock = "        self.lock = __import__('threading').Lock()\n\n    def forward"
    project.write(SMALL.replace("\n    def forward", lock))
    single = build_engine(request)
    assert single.replicas == 1
    assert not can_replicate(single.classifier)
    assert len(scored(single, TEXTS)) == len(TEXTS)
