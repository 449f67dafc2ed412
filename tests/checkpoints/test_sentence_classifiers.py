"""SetFit and sentence-transformers folders: probabilities as computed directly, and refusals."""

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer
from typer.testing import CliRunner, Result

from saliency_cli.attribution.engine import explain
from saliency_cli.checkpoints import load, load_checkpoint
from saliency_cli.checkpoints.sentence_head import CONVERT, _scikit_head, _torch_head
from saliency_cli.cli.app import app
from saliency_cli.errors import CheckpointError, SaliencyError, UsageError
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import Row
from saliency_cli.settings import Compute, ModelChoice
from tests.support.attribution import clean_texts, engine, scored
from tests.support.models import TEXTS
from tests.support.sentences import (
    WIDTH,
    save_encoder,
    save_head,
    save_sentence_folder,
    write_json,
)

CPU = Compute(device="cpu", dtype="float32")
HAS_SCIKIT = find_spec("sklearn") is not None


def embeddings(folder: Path, mode: str = "mean") -> np.ndarray:
    """Return the pooled vectors of the texts, each computed by itself in NumPy."""
    model, tokenizer = (each.from_pretrained(folder) for each in (AutoModel, AutoTokenizer))
    found = []
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=20)
        with torch.no_grad():
            tokens: np.ndarray = model(**inputs).last_hidden_state[0].numpy()
        found.append({"cls": tokens[0], "mean": tokens.mean(axis=0), "max": tokens.max(axis=0)})
    return np.stack([each[mode] for each in found])


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


def unit(vectors: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def probabilities(classifier: Classifier) -> np.ndarray:
    """Return the probabilities of the texts, as `explain` predicts them in one batch."""
    rows = [Row(number, number + 1, None, text) for number, text in enumerate(TEXTS)]
    found = []
    for outcome in explain(rows, engine(classifier, samples=1)):
        assert isinstance(outcome, Explanation)
        found.append(outcome.prediction.probabilities)
    return np.array(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_sentence_folder(tmp_path / "model")


@pytest.mark.parametrize("mode", ["cls", "max", "mean"])
@pytest.mark.parametrize("normalized", [False, True])
def test_probabilities_are_those_of_a_direct_computation(
    tmp_path: Path, mode: str, *, normalized: bool
) -> None:
    name = "cls_token" if mode == "cls" else f"{mode}_tokens"
    steps = ["Normalize"] if normalized else []
    folder = save_sentence_folder(tmp_path, modes=[name], steps=steps)
    coef, intercept = save_head(folder, outputs=3)
    vectors = embeddings(folder, mode)
    vectors = unit(vectors) if normalized else vectors
    expected = softmax(vectors @ coef.numpy().T + intercept.numpy())
    assert probabilities(load(ModelChoice(folder), CPU)) == pytest.approx(expected, abs=1e-5)


def test_a_dense_layer_and_two_modes_are_computed_in_their_order(tmp_path: Path) -> None:
    folder = save_sentence_folder(
        tmp_path, modes=["mean_tokens", "cls_token"], steps=["Dense", "Normalize"]
    )
    coef, intercept = save_head(folder, outputs=2, width=8)
    dense = torch.load(folder / "2_Dense" / "pytorch_model.bin")
    vectors = np.concatenate([embeddings(folder, "cls"), embeddings(folder, "mean")], axis=1)
    weight, bias = (dense[f"linear.{name}"].numpy() for name in ("weight", "bias"))
    vectors = unit(np.tanh(vectors @ weight.T + bias))
    expected = softmax(vectors @ coef.numpy().T + intercept.numpy())
    assert probabilities(load(ModelChoice(folder), CPU)) == pytest.approx(expected, abs=1e-5)


def test_a_binary_head_has_two_labels_whose_logits_are_opposite(folder: Path) -> None:
    coef, intercept = save_head(folder, outputs=1)
    classifier = load(ModelChoice(folder), CPU)
    z = embeddings(folder) @ coef.numpy()[0] + intercept.numpy()
    positive = 1 / (1 + np.exp(-z))
    expected = np.stack([1 - positive, positive], axis=1)
    assert probabilities(classifier) == pytest.approx(expected, abs=1e-5)
    logits = clean_texts(classifier, TEXTS).logits
    assert torch.equal(logits[:, 0], -logits[:, 1])


def test_with_multi_label_each_output_has_a_probability_of_its_own(folder: Path) -> None:
    coef, intercept = save_head(folder, outputs=3)
    classifier = load(ModelChoice(folder, multi_label=True), CPU)
    z = embeddings(folder) @ coef.numpy().T + intercept.numpy()
    assert classifier.head == "multi-label"
    assert probabilities(classifier) == pytest.approx(1 / (1 + np.exp(-z)), abs=1e-5)


def test_scores_are_those_of_a_text_alone_and_sum_to_one(folder: Path) -> None:
    save_head(folder, outputs=3)
    classifier = load(ModelChoice(folder), CPU)
    together = scored(engine(classifier, samples=2), TEXTS)
    (alone,) = scored(engine(classifier, samples=2), [TEXTS[0]])
    assert torch.allclose(together[0], alone, atol=1e-5)
    assert together[0].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "keys", [("coef", "intercept"), ("linear.weight", "linear.bias"), ("weight", "bias")]
)
def test_every_naming_of_a_head_is_the_same_model(folder: Path, keys: tuple[str, str]) -> None:
    tensors = save_head(folder, outputs=3)
    expected = probabilities(load(ModelChoice(folder), CPU))
    (folder / "head.safetensors").unlink()
    save_file(dict(zip(keys, tensors, strict=True)), folder / "model_head.safetensors")
    assert np.array_equal(probabilities(load(ModelChoice(folder), CPU)), expected)


def test_settings_of_setfit_are_read(folder: Path) -> None:
    coef, intercept = save_head(folder, outputs=3)
    settings = {"labels": ["ham", "spam", "other"], "normalize_embeddings": True}
    write_json(folder / "config_setfit.json", settings)
    classifier = load(ModelChoice(folder), CPU)
    assert classifier.labels == ("ham", "spam", "other")
    expected = softmax(unit(embeddings(folder)) @ coef.numpy().T + intercept.numpy())
    assert probabilities(classifier) == pytest.approx(expected, abs=1e-5)


def test_an_encoder_in_a_folder_of_its_own_is_found(tmp_path: Path) -> None:
    folder = save_sentence_folder(tmp_path, encoder="0_Transformer")
    save_head(folder, outputs=2)
    loaded = load_checkpoint(ModelChoice(folder), CPU)
    assert loaded.format == "sentence-transformers folder, head in head.safetensors"
    assert loaded.classifier.max_length == 20
    assert set(loaded.classifier.hashes["model"]) == {
        *("0_Transformer/model.safetensors", "0_Transformer/sentence_bert_config.json"),
        *("1_Pooling/config.json", "config.json", "head.safetensors", "modules.json"),
    }


def refused(choice: ModelChoice, error: type[SaliencyError] = CheckpointError) -> str:
    with pytest.raises(error) as caught:
        load(choice, CPU)
    assert "\n" not in f"{caught.value.message}{caught.value.hint}"
    return f"{caught.value.message} | {caught.value.hint}"


def test_a_pickled_head_is_not_opened_without_unsafe_pickle(folder: Path, tmp_path: Path) -> None:
    (folder / "model_head.pkl").write_bytes(b"cos\nsystem\n(S'touch trace'\ntR.")
    message = refused(ModelChoice(folder))
    assert "can run code, and was not opened" in message
    assert CONVERT in message
    assert not (tmp_path / "trace").exists()


def test_a_head_without_code_is_preferred(folder: Path) -> None:
    save_head(folder, outputs=2)
    (folder / "model_head.pkl").write_bytes(b"cos\nsystem\n(S'touch trace'\ntR.")
    assert load(ModelChoice(folder), CPU).labels == ("LABEL_0", "LABEL_1")


@pytest.mark.skipif(HAS_SCIKIT, reason="scikit-learn is installed")
def test_without_scikit_learn_a_pickled_head_says_how_to_convert_it(folder: Path) -> None:
    (folder / "model_head.pkl").write_bytes(b"\x80\x04.")
    message = refused(ModelChoice(folder, unsafe_pickle=True))
    assert "needs scikit-learn" in message
    assert CONVERT in message


@pytest.mark.skipif(not HAS_SCIKIT, reason="scikit-learn is not installed")
@pytest.mark.parametrize("labels", [["ham", "spam"], ["a", "b", "c"]])
def test_a_trained_head_of_scikit_learn_gives_its_probabilities(
    folder: Path, labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    joblib, linear_model = import_module("joblib"), import_module("sklearn.linear_model")
    vectors = embeddings(folder)
    head = linear_model.LogisticRegression().fit(
        vectors, [labels[n % len(labels)] for n in range(len(TEXTS))]
    )
    joblib.dump(head, folder / "model_head.pkl")
    classifier = load(ModelChoice(folder, unsafe_pickle=True), CPU)
    assert classifier.labels == tuple(labels)
    assert probabilities(classifier) == pytest.approx(head.predict_proba(vectors), abs=1e-5)
    monkeypatch.chdir(folder)
    exec(CONVERT)  # noqa: S102 - the lines that the message prints
    converted = load(ModelChoice(folder), CPU)
    assert np.array_equal(probabilities(converted), probabilities(classifier))


class LogisticRegression:
    """The attributes of scikit-learn's class that are read."""

    def __init__(self, coef: object, *, solver: str = "lbfgs", multi_class: str = "auto") -> None:
        self.coef_ = np.asarray(coef, dtype=float)
        self.intercept_ = np.zeros(len(self.coef_))
        self.classes_ = np.arange(max(2, len(self.coef_)))
        self.solver, self.multi_class = solver, multi_class


class MultiOutputClassifier:
    """The attribute of scikit-learn's class that is read."""

    def __init__(self, estimators: list[object]) -> None:
        self.estimators_ = estimators


def test_only_heads_whose_probabilities_are_known_are_read() -> None:
    three = [[1, 2], [3, 4], [5, 6]]
    head = _scikit_head(LogisticRegression(three))
    assert head is not None
    assert head.weight.tolist() == three
    assert head.names == ()
    assert _scikit_head(LogisticRegression(three, multi_class="ovr")) is None
    assert _scikit_head(LogisticRegression(three, solver="liblinear")) is None
    assert _scikit_head(LogisticRegression([[1, 2]], solver="liblinear")) is not None
    assert _scikit_head(nn.ReLU()) is None
    several = _scikit_head(MultiOutputClassifier([LogisticRegression([row]) for row in three]))
    assert several is not None
    assert several.multi_label
    assert several.weight.tolist() == three
    assert _scikit_head(MultiOutputClassifier([LogisticRegression(three)])) is None


def test_setfits_own_head_is_read() -> None:
    module = nn.Module()
    module.linear = nn.Linear(4, 3, bias=False)
    head = _torch_head(module)
    assert head is not None
    assert torch.equal(head.weight, module.linear.weight)
    assert head.bias.tolist() == [0, 0, 0]
    vars(module).update(temperature=1.5, eps=0.5)
    scaled = _torch_head(module)
    assert scaled is not None
    assert torch.equal(scaled.weight, module.linear.weight / 2)
    assert _torch_head(nn.ReLU()) is None


def _pooling(name: str) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / "1_Pooling" / "config.json", {name: True})


def _modules(*kinds: str) -> Callable[[Path], None]:
    modules = [{"type": f"own.{kind}", "path": ""} for kind in kinds]
    return lambda folder: write_json(folder / "modules.json", modules)


def _outside(folder: Path) -> None:
    modules = [{"type": "x.Transformer", "path": "../encoder"}, {"type": "x.Pooling", "path": "1"}]
    write_json(folder / "modules.json", modules)


def _head(**tensors: torch.Tensor) -> Callable[[Path], None]:
    return lambda folder: save_file(tensors, folder / "head.safetensors")


def _write(name: str, content: object) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / name, content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_pooling("pooling_mode_lasttoken"), "pooling by lasttoken is not supported"),
        (_pooling("other"), "pooling by nothing"),
        (_modules("Transformer", "LSTM"), "lists Transformer, LSTM; expected"),
        (_modules("Transformer", "Pooling", "LSTM"), "and after them Dense, Normalize"),
        (_modules("Transformer", "Pooling", "Pooling"), "and after them Dense, Normalize"),
        (_modules("Pooling", "Transformer"), "expected Transformer, Pooling"),
        (_modules(), "lists no module"),
        (_outside, "no folder beside it"),
        (_write("modules.json", {"type": "x.Transformer"}), "no list of JSON objects"),
        (_head(coef=torch.ones(2, 5)), "the head takes 5 dimensions, and gets 32"),
        (_head(coef=torch.ones(2, 2, 2)), "no linear head"),
        (_head(coef=torch.full((2, WIDTH), torch.nan)), "not finite (NaN or infinity): weight"),
        (_head(other=torch.ones(2)), "expected coef and intercept"),
        (_write("config_setfit.json", {"labels": ["a"]}), "names 1 labels, but its head has 3"),
        (_write("sentence_bert_config.json", {"do_lower_case": True}), "do_lower_case"),
        (_write("sentence_bert_config.json", {"max_seq_length": "x"}), "max_seq_length is x"),
        (_write("config_sentence_transformers.json", {"default_prompt_name": "q"}), "a prompt"),
    ],
)
def test_a_folder_that_cannot_be_read_is_refused(
    folder: Path, change: Callable[[Path], None], message: str
) -> None:
    save_head(folder, outputs=3)
    change(folder)
    assert message in refused(ModelChoice(folder))


def test_a_dense_layer_with_an_unknown_activation_is_refused(tmp_path: Path) -> None:
    folder = save_sentence_folder(tmp_path, steps=["Dense"])
    save_head(folder, outputs=2, width=8)
    path = folder / "2_Dense" / "config.json"
    write_json(path, json.loads(path.read_text()) | {"activation_function": "os.system"})
    assert "the activation system is not supported" in refused(ModelChoice(folder))


def test_heads_of_other_formats_say_how_to_write_one(folder: Path) -> None:
    (folder / "model_head.skops").write_bytes(b"PK\3\4")
    assert "write coef and intercept" in refused(ModelChoice(folder))


def test_an_encoder_without_a_head_is_told_of(folder: Path) -> None:
    assert "an encoder without a head (BertModel)" in refused(ModelChoice(folder))


def test_unsafe_pickle_needs_a_pickled_head(folder: Path, tmp_path: Path) -> None:
    save_head(folder, outputs=2)
    message = refused(ModelChoice(folder, unsafe_pickle=True), UsageError)
    assert "is not a pickle file" in message
    shutil.rmtree(tmp_path / "model")
    save_encoder(tmp_path / "model")
    refused(ModelChoice(folder, unsafe_pickle=True), UsageError)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"])


def test_inspect_names_the_format(folder: Path) -> None:
    save_head(folder, outputs=2)
    described = json.loads(run("inspect", folder, "--json").stdout)
    assert described["format"] == "sentence-transformers folder, head in head.safetensors"
    assert described["architecture"] == "SentenceClassifier"
    assert described["ready"]
    assert described["max_length"] == 20
