"""`load` and `explain`: the numbers of the command line, and nothing of the caller's is changed."""

import json
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer, BertForSequenceClassification, BertModel
from transformers.utils import logging
from typer.testing import CliRunner

import saliency_cli
from saliency_cli import (
    Attention,
    CheckpointError,
    Classifier,
    Gradient,
    Lime,
    Method,
    Occlusion,
    QuarantinedRow,
    SmoothGrad,
    UsageError,
)
from saliency_cli.cli.app import app
from saliency_cli.model.transformers_import import PreTrainedModel
from saliency_cli.runs.record_lines import record_line
from tests.support.models import TEXTS, bytelevel, save_bert, wordpiece

ROWS: list[Any] = [
    {"text": "free call now", "id": 7, "label": "spam"},
    {"text": "you won a prize when the call was late", "label": 0},
    {"text": ""},
    {"text": None, "id": "x"},
    {"id": "no text"},
    {"text": 3},
    {"text": "free call now", "id": "again"},
    {"text": "the heart is where home is " * 20},
    {"text": "\u0007 odd \u202e text"},
]
METHODS = [
    (SmoothGrad(), ()),
    (SmoothGrad(samples=8, seed=3), ("--samples", "8", "--seed", "3")),
    (Occlusion(units="words"), ("--method", "occlusion", "--units", "words")),
    (Attention(), ("--method", "attention")),
]


def lines(classifier: Classifier, texts: Any, **options: Any) -> list[str]:  # noqa: ANN401
    """Return the records that `explain` gives, as lines of a run."""
    return [record_line(e.to_dict()) for e in saliency_cli.explain(classifier, texts, **options)]


def run_lines(folder: Path, *arguments: object) -> list[str]:
    """Return the lines that `saliency explain` writes."""
    command = ["explain", *map(str, arguments), "--out", str(folder), "--dtype", "float32"]
    result = CliRunner().invoke(app, [*command, "--device", "cpu", "--quiet"])
    assert result.exit_code in {0, 4}, result.output
    part = folder / "records" / "part-00000.jsonl"
    return part.read_text(encoding="utf-8").splitlines(keepends=True)


@pytest.fixture(scope="module")
def classifier(bert_folder: Path) -> Classifier:
    return saliency_cli.load(bert_folder, device="cpu")


@pytest.fixture
def module(bert_folder: Path) -> BertForSequenceClassification:
    loaded: BertForSequenceClassification = BertForSequenceClassification.from_pretrained(
        bert_folder
    )
    return loaded.train()


@pytest.fixture(scope="module")
def tokenizer(bert_folder: Path) -> Any:  # noqa: ANN401
    return AutoTokenizer.from_pretrained(bert_folder)


@pytest.mark.parametrize(("method", "arguments"), METHODS, ids=lambda each: str(each)[:30])
def test_the_records_are_those_of_the_command_line_byte_for_byte(
    bert_folder: Path,
    out: Path,
    write_jsonl: Callable[..., Path],
    classifier: Classifier,
    method: Method,
    arguments: tuple[str, ...],
) -> None:
    written = run_lines(out, bert_folder, write_jsonl(*ROWS), *arguments)
    assert lines(classifier, ROWS, method=method) == written
    assert sum('"quarantined"' in line for line in written) == 4


def test_every_option_has_the_effect_of_its_namesake(
    bert_folder: Path, out: Path, write_jsonl: Callable[..., Path]
) -> None:
    loaded = saliency_cli.load(
        bert_folder, device="cpu", max_length=16, stride=4, attention="eager", multi_label=True
    )
    options = {"target": "spam", "reduction": "abs-dot", "propagation": "standard"}
    found = lines(loaded, ROWS, objective="probability", check_words=2, threshold=0.2, **options)
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    arguments = "--max-length 16 --stride 4 --attention eager --multi-label --check-words 2".split()
    arguments += ["--objective", "probability", "--threshold", "0.2", *given]
    assert found == run_lines(out, bert_folder, write_jsonl(*ROWS), *arguments)


def test_pairs_are_tuples_or_mappings(
    bert_folder: Path, out: Path, write_jsonl: Callable[..., Path], classifier: Classifier
) -> None:
    pairs = [("free call", "now"), ("the heart", "is home")]
    rows = [{"text": text, "pair": pair} for text, pair in pairs]
    written = run_lines(out, bert_folder, write_jsonl(*rows), "--pair-column", "pair")
    assert lines(classifier, pairs) == lines(classifier, rows) == written
    (wrong,) = saliency_cli.explain(classifier, [("a", "b", "c")])  # type: ignore[list-item]
    assert isinstance(wrong, QuarantinedRow)
    assert wrong.reason == "a pair has 2 texts, and this has 3"


def test_bfloat16_is_that_of_the_command_line(
    bert_folder: Path, out: Path, write_jsonl: Callable[..., Path]
) -> None:
    loaded = saliency_cli.load(bert_folder, device="cpu", dtype="bfloat16")
    path = write_jsonl(*ROWS)
    command = ["explain", str(bert_folder), str(path), "--out", str(out), "--dtype", "bfloat16"]
    CliRunner().invoke(app, [*command, "--device", "cpu"])
    part = (out / "records" / "part-00000.jsonl").read_text(encoding="utf-8")
    assert "".join(lines(loaded, ROWS)) == part
    assert lines(loaded, ROWS, method=Lime(samples=20))  # on the same classifier, in its format


def test_a_live_module_has_the_numbers_of_its_path(
    module: PreTrainedModel,
    tokenizer: Any,  # noqa: ANN401
    bert_folder: Path,
    classifier: Classifier,
) -> None:
    expected = lines(classifier, ROWS)
    live = saliency_cli.load(module, tokenizer=tokenizer)
    assert lines(live, ROWS) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of torch's compiler, while it is imported
        compiled: Any = torch.compile(module)
    by_path = saliency_cli.load(compiled, tokenizer=bert_folder)
    assert lines(by_path, ROWS) == expected
    assert lines(saliency_cli.load(module.half(), tokenizer=tokenizer), ["ok"]) != expected[:1]


def test_a_live_module_is_not_changed_and_can_be_trained_further(
    module: PreTrainedModel,
    tokenizer: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    config, backend = module.config.to_dict(), tokenizer.backend_tokenizer.to_str()
    weights = {name: each.clone() for name, each in module.state_dict().items()}
    live = saliency_cli.load(module, tokenizer=tokenizer, labels=["no", "yes"])
    for method in (SmoothGrad(samples=4), Attention(), Occlusion()):
        before = lines(live, TEXTS, method=method)
    assert module.training
    assert all(each.requires_grad and each.grad is None for each in module.parameters())
    assert module.config.to_dict() == config
    assert tokenizer.backend_tokenizer.to_str() == backend
    assert all(torch.equal(each, weights[name]) for name, each in module.state_dict().items())
    assert not any(each._forward_hooks for each in module.modules())

    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    inputs = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    module(**inputs, labels=torch.tensor([0, 1, 0, 1, 1])).loss.backward()
    optimizer.step()
    after = lines(live, TEXTS, method=Occlusion())
    assert after != before
    module.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    saved = saliency_cli.load(tmp_path, labels=["no", "yes"], device="cpu")
    assert after == lines(saved, TEXTS, method=Occlusion())


class Pooled(torch.nn.Module):
    """A classifier as users write them: no config, and logits of three labels."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(words, 8)
        self.linear = torch.nn.Linear(8, 3)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = attention_mask[..., None]
        mean = (self.embedding(input_ids) * mask).sum(1) / mask.sum(1)
        logits: torch.Tensor = self.linear(mean.tanh())
        return logits


def test_a_module_of_the_users_own_is_explained() -> None:
    torch.manual_seed(0)
    words = wordpiece()
    own = Pooled(len(words))
    live = saliency_cli.load(own, tokenizer=words, labels=["a", "b", "c"])
    assert live.labels == ("a", "b", "c")
    assert live.embedding_layer == "embedding"
    (found,) = saliency_cli.explain(live, ["free call now"], method=Gradient(), target="all")
    assert isinstance(found, saliency_cli.Explanation)
    assert {*found.targets} == {"a", "b", "c"}
    assert saliency_cli.load(own, tokenizer=words).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


class Dropping(Pooled):
    """A classifier whose passes differ, since its dropout is always on."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits = super().forward(input_ids, attention_mask)
        return torch.nn.functional.dropout(logits, 0.5)


def test_what_a_model_does_not_allow_is_a_warning() -> None:
    words = wordpiece()
    live = saliency_cli.load(Dropping(len(words)), tokenizer=words)
    with pytest.warns(UserWarning, match="no score or prediction repeats"):
        saliency_cli.explain(live, ["ok"])


def test_what_the_command_line_refuses_is_refused(
    module: PreTrainedModel,
    tokenizer: Any,  # noqa: ANN401
    tmp_path: Path,
    classifier: Classifier,
) -> None:
    def refused(kind: type[Exception], words: str, *arguments: Any, **options: Any) -> str:  # noqa: ANN401
        with pytest.raises(kind, match=words) as caught:
            saliency_cli.load(*arguments, **options)
        return " ".join(getattr(caught.value, "__notes__", ()))

    assert "give tokenizer=" in refused(UsageError, "has no tokenizer", module)
    assert "leave out arch" in refused(
        UsageError, "arch is for the path", module, tokenizer=tokenizer, arch="a.py:B"
    )
    refused(UsageError, "type int cannot be loaded", 3)
    refused(UsageError, "is no tokenizer of transformers", module, tokenizer=3.5)
    refused(UsageError, "names 3 labels, but", module, tokenizer=tokenizer, labels=["a", "b", "c"])
    refused(UsageError, "list of names", module, tokenizer=tokenizer, labels="ab")
    refused(UsageError, "accepts 64 tokens at most", module, tokenizer=tokenizer, max_length=65)
    refused(CheckpointError, "does not fit the model", module, tokenizer=bytelevel())
    refused(CheckpointError, "logits", BertModel(module.config), tokenizer=tokenizer)
    refused(CheckpointError, "it holds no config.json", tmp_path)
    module.classifier.weight.data[0] = float("nan")
    refused(CheckpointError, "classifier.weight", module, tokenizer=tokenizer)
    with pytest.raises(UsageError, match="no such label") as caught:
        saliency_cli.explain(classifier, [], target="nothing")
    assert caught.value.__notes__ == ["hint: use one of its labels: ham, spam"]
    with pytest.raises(UsageError, match="texts is one text"):
        saliency_cli.explain(classifier, "one text")
    with pytest.raises(UsageError, match="has no --reduction"):
        saliency_cli.explain(classifier, [], method=Occlusion(), reduction="l2")


def test_labels_are_names_or_a_file(bert_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("no\nyes\n", encoding="utf-8")
    for labels in (["no", "yes"], file):
        loaded = saliency_cli.load(bert_folder, labels=labels, device="cpu")
        assert loaded.labels == ("no", "yes")


def test_the_rows_of_a_data_frame_are_texts(classifier: Classifier) -> None:
    frame = pd.DataFrame({"text": ["ok", None], "label": ["ham", float("nan")], "id": [1, 2]})
    with pytest.raises(UsageError, match="data frame") as caught:
        saliency_cli.explain(classifier, frame)
    assert caught.value.__notes__ == ['hint: give frame.to_dict("records")']
    first, second = saliency_cli.explain(classifier, frame.to_dict("records"))
    assert isinstance(first, saliency_cli.Explanation)
    assert (first.id, first.gold) == ("1", "ham")
    assert isinstance(second, QuarantinedRow)
    assert (second.id, second.reason) == ("2", "text is missing")


def test_texts_are_read_as_they_are_needed(classifier: Classifier) -> None:
    read = []

    def endless() -> Iterator[str]:
        for number in count():
            read.append(number)
            yield f"free call {number}"

    found = saliency_cli.explain(classifier, endless(), method=Gradient(), read_ahead=4)
    assert read == []
    assert [next(found).ordinal for _ in range(3)] == [0, 1, 2]
    assert len(read) <= 5


def test_calls_side_by_side_do_not_disturb_each_other(classifier: Classifier) -> None:
    texts = [f"{text} {number}" for number in range(4) for text in TEXTS]
    methods = [SmoothGrad(samples=4), Gradient(), SmoothGrad(samples=8, seed=1)]
    alone = [lines(classifier, texts, method=method) for method in methods]
    streams = [saliency_cli.explain(classifier, texts, method=method) for method in methods]
    together = zip(*streams, strict=True)
    assert [[record_line(e.to_dict()) for e in row] for row in together] == [
        [*row] for row in zip(*alone, strict=True)
    ]
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(lines, classifier, texts, method=method) for method in methods]
    assert [call.result() for call in calls] == alone


def test_the_process_keeps_its_settings(bert_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "TOKENIZERS_PARALLELISM"):
        monkeypatch.delenv(name, raising=False)

    def state() -> tuple[object, ...]:
        shown = logging.is_progress_bar_enabled(), logging.get_verbosity()
        modes = torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()
        return dict(os.environ), torch.get_num_threads(), *shown, *modes

    threads, verbosity = torch.get_num_threads(), logging.get_verbosity()
    torch.set_num_threads(2)
    logging.set_verbosity(logging.INFO)
    logging.enable_progress_bar()
    try:
        before = state()
        found = saliency_cli.explain(saliency_cli.load(bert_folder, device="cpu"), TEXTS)
        next(found)
        assert state() == before
        assert len([*found]) == len(TEXTS) - 1
        assert state() == before
    finally:
        torch.set_num_threads(threads)
        logging.set_verbosity(verbosity)


def test_a_classifier_says_what_it_is(tmp_path: Path) -> None:
    labels = ("a", "b", "c")
    loaded = saliency_cli.load(save_bert(tmp_path, labels=labels), device="cpu")
    assert repr(loaded) == (
        "<Classifier BertForSequenceClassification on cpu: single-label, ('a', 'b', 'c')>"
    )
    assert (loaded.head, loaded.max_length, str(loaded.device)) == ("single-label", 64, "cpu")


def test_a_record_can_be_written_as_json_and_changed(classifier: Classifier) -> None:
    (found,) = saliency_cli.explain(classifier, ["free call now"])
    first = found.to_dict()
    first["scores"].clear()
    first["text"] = "other"
    assert json.loads(json.dumps(found.to_dict()))["text"] == "free call now"
    assert found.to_dict()["scores"]
