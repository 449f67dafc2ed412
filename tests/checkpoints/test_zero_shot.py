"""Zero-shot classifiers: as transformers' pipeline predicts, with gradients of single pairs."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
from typer.testing import CliRunner, Result

from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.checkpoints import load
from saliency_cli.cli.app import app
from saliency_cli.errors import CheckpointError, SaliencyError, UsageError
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import bytes_per_token
from saliency_cli.model.hypotheses import HypothesisClassifier
from saliency_cli.records import Row
from saliency_cli.settings import Compute, ModelChoice
from tests.support.architectures import save_architecture
from tests.support.attribution import clean_texts, engine, scored
from tests.support.models import TEXTS

CPU = Compute(device="cpu", dtype="float32")
LABELS = ("free prize", "home", "heart now ok")
TEMPLATE = "text {} is ok"
NAMES = ("contradiction", "neutral", "entailment")
PAIR_ARCHITECTURES = ("BERT", "RoBERTa", "MPNet", "DeBERTa", "ModernBERT", "BART")


@pytest.fixture(scope="session")
def label_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("\n".join(LABELS))
    return path


def name_labels(folder: Path, names: Sequence[str] = NAMES) -> Path:
    """Write the names of a model's labels into its config."""
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(index): name for index, name in enumerate(names)}
    config["label2id"] = {name: index for index, name in enumerate(names)}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def with_pair_template(folder: Path, template: str) -> Path:
    """Give a tokenizer a template of pairs whose first part is that of a single text."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in ("<s>", "</s>")}
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=template.partition(" |")[0],
        pair=template.replace("| ", ""),
        special_tokens=[(name, ids[name]) for name in ids if name in template],
    )
    tokenizer.save_pretrained(folder)
    return folder


def save_inference_model(name: str, folder: Path) -> Path:
    """Save a tiny model whose labels and whose template of pairs are those of an NLI model."""
    name_labels(save_architecture(name, folder))
    if name not in {"BERT", "MPNet"}:
        with_pair_template(folder, "<s> $A </s> | </s> $B </s>")
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: save_inference_model(name, tmp_path_factory.mktemp("nli"))
        for name in PAIR_ARCHITECTURES
    }


@pytest.fixture(scope="session")
def folder(folders: dict[str, Path]) -> Path:
    return folders["BERT"]


@pytest.fixture(scope="session")
def nli(folder: Path, label_file: Path) -> Classifier:
    return load(choice(folder, label_file), CPU)


def choice(
    folder: Path, labels: Path | None, *, hypothesis: str = TEMPLATE, multi_label: bool = False
) -> ModelChoice:
    return ModelChoice(folder, hypothesis=hypothesis, labels=labels, multi_label=multi_label)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("name", PAIR_ARCHITECTURES)
def test_probabilities_are_those_of_transformers_pipeline(
    folders: dict[str, Path], label_file: Path, name: str, *, multi_label: bool
) -> None:
    classifier = load(choice(folders[name], label_file, multi_label=multi_label), CPU)
    zero_shot = pipeline("zero-shot-classification", str(folders[name]))
    rows = [Row(number, number + 1, None, text) for number, text in enumerate(TEXTS)]
    for outcome in explain(rows, engine(classifier, samples=1)):
        assert isinstance(outcome, Explanation)
        expected = zero_shot(
            outcome.row.text, [*LABELS], hypothesis_template=TEMPLATE, multi_label=multi_label
        )
        scores = dict(zip(expected["labels"], expected["scores"], strict=True))
        assert outcome.prediction.labels == LABELS
        assert outcome.prediction.probabilities == pytest.approx(
            [scores[label] for label in LABELS], abs=1e-5
        )


@pytest.mark.parametrize("name", PAIR_ARCHITECTURES)
def test_scores_are_the_gradient_of_the_pair_alone(
    folders: dict[str, Path], label_file: Path, name: str
) -> None:
    classifier = load(choice(folders[name], label_file), CPU)
    model = AutoModelForSequenceClassification.from_pretrained(folders[name]).eval()
    tokenizer = AutoTokenizer.from_pretrained(folders[name])
    text = TEXTS[2]
    (outcome,) = explain([Row(0, 1, None, text)], engine(classifier, method=Gradient()))
    assert isinstance(outcome, Explanation)
    label = LABELS[outcome.prediction.probabilities.index(max(outcome.prediction.probabilities))]
    inputs = tokenizer(text, TEMPLATE.replace("{}", label), return_tensors="pt")
    leaves: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, __: object, output: torch.Tensor) -> None:
        output.retain_grad()
        leaves.append(output)

    embedding = model.get_input_embeddings()
    shared = [each for each in model.modules() if getattr(each, "weight", 0) is embedding.weight]
    for layer in shared:
        if isinstance(layer, torch.nn.Embedding):
            layer.register_forward_hook(keep)
    model(**inputs).logits[0, 2].backward()
    gradient = leaves[0].grad
    assert gradient is not None
    if len(leaves) > 1:  # the decoder's embeddings are those of the ids shifted right by one
        shifted = leaves[1].grad
        assert shifted is not None
        gradient = gradient + torch.nn.functional.pad(shifted[:, 1:], (0, 0, 0, 1))
    length = len(outcome.encoding)
    expected = gradient[0, :length].norm(dim=-1)
    expected = expected / expected.sum()
    assert list(outcome.attribution.scores) == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_texts_scores_do_not_depend_on_other_texts(nli: Classifier) -> None:
    together = scored(engine(nli, samples=2), TEXTS)
    alone = [scored(engine(nli, samples=2), [TEXTS[0]])[0], together[1]]
    assert torch.allclose(together[0], alone[0], atol=1e-5)
    assert [len(each) for each in together] == [
        len(nli.tokenizer(text)["input_ids"]) for text in TEXTS
    ]


def test_the_logits_of_a_label_do_not_depend_on_the_other_labels(
    nli: Classifier, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "two.txt").write_text("\n".join(LABELS[:2]))
    two = load(choice(folder, tmp_path / "two.txt"), CPU)
    logits = [clean_texts(each, TEXTS).logits for each in (nli, two)]
    assert torch.allclose(logits[0][:, :2], logits[1], atol=1e-5)


def test_texts_leave_room_for_the_longest_hypothesis(nli: Classifier, folder: Path) -> None:
    module = nli.module
    assert isinstance(module, HypothesisClassifier)
    pair = AutoTokenizer.from_pretrained(folder)("ok", TEMPLATE.replace("{}", LABELS[2]))
    assert module.longest == len(pair["input_ids"]) - len("[CLS] ok [SEP]".split())
    assert nli.max_length == 64 - module.longest
    (outcome,) = explain([Row(0, 1, None, "free call " * 200)], engine(nli, samples=1))
    assert isinstance(outcome, Explanation)
    assert outcome.encoding.truncated


def test_a_pass_counts_as_the_passes_of_all_hypotheses(nli: Classifier) -> None:
    module = nli.module
    assert isinstance(module, HypothesisClassifier)
    assert bytes_per_token(module) == len(LABELS) * bytes_per_token(module.model)


def test_hypothesis_tokens_are_no_part_of_the_record(nli: Classifier) -> None:
    (outcome,) = explain([Row(0, 1, None, "free call")], engine(nli, samples=1))
    assert isinstance(outcome, Explanation)
    assert outcome.record()["tokens"] == ["[CLS]", "free", "call", "[SEP]"]


def refused(model: ModelChoice, error: type[SaliencyError]) -> str:
    with pytest.raises(error) as caught:
        load(model, CPU)
    return f"{caught.value.message} | {caught.value.hint}"


@pytest.mark.parametrize(
    ("hypothesis", "labels", "message"),
    [
        ("no place", "a\nb", "must stand once"),
        ("{} or {}", "a\nb", "must stand once"),
        (TEMPLATE, None, "--labels"),
        (TEMPLATE, "one", "two labels or more"),
        (TEMPLATE, "same\nsame", "same name"),
        (f"{'ok ' * 130}{{}}", "a\nb", "shorten --hypothesis"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    folder: Path, tmp_path: Path, hypothesis: str, labels: str | None, message: str
) -> None:
    path = None if labels is None else tmp_path / "labels.txt"
    if path is not None:
        path.write_text(str(labels))
    error = CheckpointError if "same" in message else UsageError
    assert message in refused(choice(folder, path, hypothesis=hypothesis), error)


def test_a_model_without_an_entailment_label_is_refused(
    bert_folder: Path, label_file: Path
) -> None:
    assert "natural language inference" in refused(choice(bert_folder, label_file), CheckpointError)


def test_a_model_that_reads_a_text_at_its_end_is_refused(tmp_path: Path, label_file: Path) -> None:
    folder = name_labels(save_architecture("XLNet", tmp_path))
    message = refused(choice(folder, label_file), CheckpointError)
    assert "does not put a second text behind" in message


def test_a_model_that_cannot_be_padded_is_refused(tmp_path: Path, label_file: Path) -> None:
    folder = name_labels(save_architecture("Llama", tmp_path))
    with_pair_template(folder, "$A | $B")
    assert "depend on the padding" in refused(choice(folder, label_file), CheckpointError)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"])


def test_explain_writes_the_template_into_the_manifest(
    folder: Path, label_file: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("text\nfree call now\nok home\n")
    options = ("--hypothesis", TEMPLATE, "--labels", label_file, "--out", tmp_path / "run")
    done = run("explain", folder, texts, *options)
    assert done.exit_code == 0, done.stderr
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["options"]["hypothesis"] == TEMPLATE
    assert manifest["model"]["labels"] == [*LABELS]
    assert manifest["propagation"] == "conservative"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a second text"], "takes the place of a second text"),
        (["--method", "attention"], "attention"),
        (["--preset", "allennlp"], "no other layer"),
    ],
)
def test_what_a_zero_shot_classifier_cannot_do_is_said(
    folder: Path, label_file: Path, arguments: list[str], message: str
) -> None:
    options = ("--hypothesis", TEMPLATE, "--labels", label_file)
    done = run("show", folder, "free call", *arguments, *options)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
