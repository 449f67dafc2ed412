"""Modules of a user's own, built by `--arch` from a file as a user writes it."""

import json
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
from saliency_cli.attribution.replicas import replicable
from saliency_cli.checkpoints import load
from saliency_cli.cli.app import app
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import read_logits
from saliency_cli.records import Explanation, Row
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import Compute, Maths, ModelChoice, OutputChoice, Request, TextsChoice
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS, save_bert, wordpiece

CPU = Compute(device="cpu")
CLASSES = 93
ARTICLE = """
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
class Desk:
    """A folder with a tokenizer, as the place where a user keeps a module and its weights."""

    home: Path

    @property
    def weights(self) -> Path:
        """The state dict."""
        return self.home / "weights.pt"

    def write(self, code: str, *, name: str = "net.py") -> Path:
        """Write a module's source."""
        vocabulary = str(len(wordpiece()))
        path = self.home / name
        path.write_text(code.replace("VOCABULARY", vocabulary))
        return path

    def choice(self, name: str = "Net", *, file: str = "net.py", **options: Any) -> ModelChoice:  # noqa: ANN401
        """Return the choice that a user makes, with the layer named."""
        options = {"embedding_layer": "embedding"} | options
        return ModelChoice(self.weights, arch=f"{self.home / file}:{name}", **options)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    wordpiece().save_pretrained(tmp_path)
    found = Desk(tmp_path)
    found.write(SMALL)
    save_small(found)
    return found


def save_small(desk: Desk, *, outputs: int = 3) -> None:
    """Save weights for the small module."""
    torch.manual_seed(3)
    torch.save(
        {
            "embedding.weight": torch.randn(len(wordpiece()), 8),
            "head.weight": torch.randn(outputs, 8),
            "head.bias": torch.randn(outputs),
        },
        desk.weights,
    )


class Article(nn.Module):
    """What the article trains, written once more, to save the weights of."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.bert = DistilBertModel(config)
        self.linear = nn.Linear(config.hidden_size, CLASSES)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.bert(input_ids, attention_mask=attention_mask).last_hidden_state
        logits: Tensor = self.linear(hidden.mean(dim=1))
        return logits


@pytest.fixture
def article(desk: Desk) -> Article:
    """Save the article's model and its source; returns it with the same weights."""
    desk.write(ARTICLE, name="train.py")
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
    module = Article(config).eval()
    torch.save({"epoch": 1, "model_state_dict": module.state_dict()}, desk.weights)
    return module


LAYER = "bert.embeddings.word_embeddings"


def load_article(desk: Desk, **options: Any) -> Classifier:  # noqa: ANN401
    """Load the article's model by its factory."""
    return load(desk.choice("build", file="train.py", embedding_layer=LAYER, **options), CPU)


def test_the_articles_model_is_explained_in_batches_of_one_length(
    desk: Desk, article: Article
) -> None:
    classifier = load_article(desk)
    assert type(classifier.module).__name__ == "DistilBertForSequenceClassification"
    assert classifier.labels == tuple(f"LABEL_{index}" for index in range(CLASSES))
    assert classifier.inputs == ("input_ids", "attention_mask")
    assert (classifier.max_length, classifier.padding_blind) == (64, False)
    alone = [scored(engine(classifier, samples=4), [text])[0] for text in TEXTS]
    for together, single in zip(scored(engine(classifier, samples=4), TEXTS), alone, strict=True):
        torch.testing.assert_close(together, single, rtol=0, atol=1e-5 * float(single.abs().max()))
    ids = torch.tensor([classifier.tokenizer(TEXTS[0])["input_ids"]])
    with torch.no_grad():
        wanted = article(ids, torch.ones_like(ids))
        found = classifier.module(ids, torch.ones_like(ids))
    assert torch.equal(found, wanted)


def test_the_articles_class_takes_the_config_that_is_named(desk: Desk, article: Article) -> None:
    article.bert.config.save_pretrained(desk.home / "config")
    classifier = load(
        desk.choice(
            "DistilBertForSequenceClassification",
            file="train.py",
            embedding_layer=LAYER,
            config=desk.home / "config",
        ),
        CPU,
    )
    assert len(classifier.labels) == CLASSES


@pytest.mark.usefixtures("article")
def test_the_articles_model_runs_from_the_command_line(desk: Desk) -> None:
    labels = [f"intent {index}" for index in range(CLASSES)]
    (desk.home / "labels.txt").write_text("\n".join(labels) + "\n")
    (desk.home / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    paths = [str(desk.weights), str(desk.home / "texts.jsonl"), "--out", str(desk.home / "out")]
    options = {"--arch": f"{desk.home / 'train.py'}:build", "--embedding-layer": LAYER}
    options |= {"--labels": str(desk.home / "labels.txt"), "--device": "cpu", "--samples": "2"}
    flat = [part for pair in options.items() for part in pair]
    result = CliRunner().invoke(app, ["explain", *paths, *flat, "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["ok"] == len(TEXTS)
    manifest = json.loads((desk.home / "out" / "manifest.json").read_text())
    assert manifest["model"]["labels"] == labels
    assert set(manifest["hashes"]["model"]) == {"weights.pt", "train.py", "labels.txt"}


FACTORY = (
    "\n\ndef make():\n    return Net(3)\n\n\ndef of(config):\n    return Net(config.num_labels)\n"
)


@pytest.mark.parametrize("name", ["Net", "make", "of"])
def test_a_class_or_a_factory_is_built(desk: Desk, name: str) -> None:
    desk.write(SMALL + FACTORY)
    DistilBertConfig(num_labels=3).save_pretrained(desk.home)
    assert load(desk.choice(name), CPU).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_a_module_of_a_package_is_imported(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.home / "their_package").mkdir()
    (desk.home / "their_package" / "__init__.py").write_text("")
    desk.write("from their_package.part import Net", name="their_package/nets.py")
    desk.write(SMALL, name="their_package/part.py")
    monkeypatch.chdir(desk.home)
    monkeypatch.setattr(sys, "path", [*sys.path])
    choice = replace(desk.choice(), arch="their_package.nets:Net")
    assert len(load(choice, CPU).labels) == 3


def test_a_file_may_import_its_neighbours(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    desk.write(SMALL, name="a_neighbour.py")
    desk.write("from a_neighbour import Net")
    assert len(load(desk.choice(), CPU).labels) == 3


@pytest.mark.parametrize(
    ("arch", "told"),
    [
        ("net.py", "give file.py:Name"),
        ("net.py:", "give file.py:Name"),
        (":Net", "give file.py:Name"),
        ("nowhere.py:Net", "no file"),
        ("net.py:None_such", "no class or factory"),
        ("net.py:CONSTANT", "no class or factory"),
        ("net.py:two", "takes more than a config: first, second"),
        ("net.py:of", "there is none"),
    ],
)
def test_an_arch_that_cannot_be_used_is_usage(desk: Desk, arch: str, told: str) -> None:
    desk.write(f"{SMALL}{FACTORY}\n\nCONSTANT = 3\n\n\ndef two(first, second):\n    return Net()\n")
    choice = replace(desk.choice(), arch=arch if arch.startswith(":") else str(desk.home / arch))
    with pytest.raises(UsageError, match=told):
        load(choice, CPU)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def Net(:", "SyntaxError"),
        ("import a_package_that_nobody_has", "ModuleNotFoundError: No module named 'a_package"),
        ("raise SystemExit('usage: train.py DATA')", "SystemExit: usage"),
        ("def Net():\n    return 1 / 0", "ZeroDivisionError: division by zero"),
        ("def Net():\n    return [1]", "gives a list, no nn.Module"),
        ("def Net():\n    raise ValueError('a\\x1b[31mb\\nc')", r"ValueError: a\\x1b\[31mb$"),
    ],
)
def test_what_the_users_code_raises_is_told_in_one_line(desk: Desk, code: str, told: str) -> None:
    desk.write(code)
    with pytest.raises(CheckpointError, match=told) as caught:
        load(desk.choice(), CPU)
    assert "\n" not in caught.value.message


def test_a_package_that_is_not_there_is_told(desk: Desk) -> None:
    with pytest.raises(CheckpointError, match="ModuleNotFoundError"):
        load(replace(desk.choice(), arch="a_package_that_nobody_has:Net"), CPU)


@pytest.mark.parametrize("spoil", ["missing", "unexpected", "wrong shape"])
def test_weights_go_in_strictly(desk: Desk, spoil: str) -> None:
    weights = torch.load(desk.weights, weights_only=True)
    if spoil == "missing":
        del weights["head.bias"]
    elif spoil == "unexpected":
        weights["head.scale"] = torch.ones(1)
    else:
        weights["head.bias"] = torch.ones(4)
    torch.save(weights, desk.weights)
    with pytest.raises(CheckpointError, match=rf"does not fit Net: {spoil}: head\.\w+( 4 for 3)?$"):
        load(desk.choice(), CPU)


def test_a_tied_weight_needs_only_one_of_its_names(desk: Desk) -> None:
    desk.write(
        SMALL.replace("\n    def forward", "        self.twin = self.head\n\n    def forward")
    )
    assert len(load(desk.choice(), CPU).labels) == 3


INPUTS = {
    "input_ids": ("input_ids",),
    "input_ids, attention_mask=None": ("input_ids", "attention_mask"),
    "input_ids, token_type_ids=None": ("input_ids", "token_type_ids"),
    "input_ids, **others": ("input_ids",),
    "input_ids, labels=None, output_attentions=False": ("input_ids",),
}


@pytest.mark.parametrize("signature", INPUTS)
def test_forward_is_given_what_it_takes(desk: Desk, signature: str) -> None:
    body = "return self.head(self.embedding(input_ids).mean(1))"
    head = SMALL.partition("def forward")[0]
    desk.write(f"{head}def forward(self, {signature}):\n        {body}")
    classifier = load(desk.choice(), CPU)
    assert classifier.inputs == INPUTS[signature]
    assert not classifier.padding_blind
    assert scored(engine(classifier, samples=2), TEXTS)[0].sum() == pytest.approx(1)


def test_a_forward_that_takes_any_name_is_given_ids_and_mask(desk: Desk) -> None:
    wanted = scored(engine(load(desk.choice(), CPU), samples=2), TEXTS)
    desk.write(
        SMALL.replace("class Net", "class Inner")
        + "\n\nclass Net(Inner):\n    def forward(self, *args, **kwargs):\n"
        + "        return super().forward(*args, **kwargs)\n"
    )
    classifier = load(desk.choice(), CPU)
    assert classifier.inputs == ("input_ids", "attention_mask")
    assert all(map(torch.equal, scored(engine(classifier, samples=2), TEXTS), wanted))


def test_a_forward_without_input_ids_is_refused(desk: Desk) -> None:
    desk.write(SMALL.partition("def forward")[0] + "def forward(self, x):\n        return x")
    with pytest.raises(CheckpointError, match="takes no input_ids"):
        load(desk.choice(), CPU)


OUTPUTS = {
    "tuple": "({}, None)",
    "list": "[{}, None]",
    "dict": "{{'loss': None, 'logits': {}}}",
    "ModelOutput": "SequenceClassifierOutput(logits={})",
}


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_logits_are_found_in_what_forward_gives(desk: Desk, output: str) -> None:
    plain = scored(engine(load(desk.choice(), CPU), samples=2), TEXTS)
    logits = "self.head(hidden.tanh())"
    desk.write(SMALL.replace(f"return {logits}", f"return {output.format(logits)}"))
    wrapped = scored(engine(load(desk.choice(), CPU), samples=2), TEXTS)
    assert all(map(torch.equal, wrapped, plain))


@pytest.mark.parametrize(
    "output", ["None", "{'scores': 1}", "()", "'x', hidden", "hidden[:, None]"]
)
def test_an_output_without_logits_is_refused(desk: Desk, output: str) -> None:
    desk.write(SMALL.replace("return self.head(hidden.tanh())", f"return {output}"))
    with pytest.raises(CheckpointError, match="logits"):
        load(desk.choice(), CPU)


def test_a_bare_tensor_is_taken_as_it_is() -> None:
    logits = torch.zeros(2, 3)
    assert read_logits(logits) is logits


LABELS: dict[str, Callable[[list[str]], str]] = {
    "labels.txt": "\n".join,
    "dos.txt": lambda names: "\ufeff" + "\r\n".join(names) + "\r\n\r\n",
    "list.json": json.dumps,
    "index.json": lambda names: json.dumps({str(i): name for i, name in enumerate(names)}),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_come_from_the_file_the_config_or_their_number(desk: Desk, name: str) -> None:
    names = ["yes", "no, thanks", "später"]
    path = desk.home / name
    path.write_bytes(LABELS[name](names).encode())
    assert load(desk.choice(labels=path), CPU).labels == tuple(names)
    assert load(desk.choice(), CPU).labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    DistilBertConfig(id2label=dict(enumerate("abc"))).save_pretrained(desk.home)
    assert load(desk.choice(), CPU).labels == ("a", "b", "c")
    assert load(desk.choice(labels=path), CPU).labels == tuple(names)


def test_labels_override_those_of_a_config(bert_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("0\n1")
    assert load(ModelChoice(bert_folder, labels=path), CPU).labels == ("0", "1")
    path.write_text("0\n1\n2")
    with pytest.raises(CheckpointError, match=r"classifier\.bias 2 for 3"):
        load(ModelChoice(bert_folder, labels=path), CPU)


def test_labels_tell_how_many_there_are_where_a_config_does_not(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    folder = save_bert(tmp_path / "model", labels=names)
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"], config["label2id"]  # as the config of a base model, which says nothing
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"classifier\.bias 3 for 2"):
        load(ModelChoice(folder), CPU)
    (tmp_path / "labels").write_text("\n".join(names))
    assert load(ModelChoice(folder, labels=tmp_path / "labels"), CPU).labels == names


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a\nb", "names 2 labels, and the model gives 3"),
        ("a\n\nb\nc", "a line is empty"),
        ("", "a line is empty"),
        ("a\nb\na", "same name"),
        ('["a", "b", 3]', "no string"),
        ('["a", "b"', "cannot be read"),
        ('{"0": "a", "2": "b"}', "indexes"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_file_of_labels_that_does_not_fit_is_refused(desk: Desk, content: str, told: str) -> None:
    path = desk.home / "labels"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises((UsageError, CheckpointError), match=told):
        load(desk.choice(labels=path), CPU)


def test_a_file_of_labels_that_is_not_there_is_usage(desk: Desk) -> None:
    with pytest.raises(UsageError, match="no file"):
        load(desk.choice(labels=desk.home / "nowhere"), CPU)


@pytest.mark.parametrize("squeezed", ["", ".squeeze(-1)", ".squeeze()"])
def test_one_output_is_regression(desk: Desk, squeezed: str) -> None:
    save_small(desk, outputs=1)
    code = SMALL.replace("outputs=3", "outputs=1")
    desk.write(code.replace("self.head(hidden.tanh())", f"self.head(hidden.tanh()){squeezed}"))
    classifier = load(desk.choice(embedding_layer=None), CPU)  # and its layer is found by a trace
    assert (classifier.head, classifier.embedding_name) == ("regression", "embedding")
    rows = [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(TEXTS)]
    for outcome in explain(rows, engine(classifier, samples=4)):
        assert isinstance(outcome, Explanation)
        ids = torch.tensor([outcome.encoding.ids])
        value = classifier.module(ids, torch.ones_like(ids)).flatten()
        assert outcome.record()["value"] == pytest.approx(float(value), rel=1e-5)


def test_a_module_that_cannot_be_copied_runs_in_one_stream(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    texts, output = TextsChoice("texts.jsonl"), OutputChoice(desk.home / "out")
    request = Request(desk.choice(), texts, CPU, Maths(), output)
    assert build_engine(request).streams == 2
    lock = "        self.lock = __import__('threading').Lock()\n\n    def forward"
    desk.write(SMALL.replace("\n    def forward", lock))
    alone = build_engine(request)
    assert alone.streams == 1
    assert not replicable(alone.classifier)
    assert len(scored(alone, TEXTS)) == len(TEXTS)
