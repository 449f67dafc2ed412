"""Tiny models and tokenizers, built where the tests run; the sample model; Chromium."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # a core each, and threads that do not wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings as hypothesis_settings
from playwright.sync_api import Browser
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
)

from saliency_cli.batching import Budget
from saliency_cli.checkpoints import load
from saliency_cli.classifier import Classifier
from saliency_cli.explain import Engine, explain
from saliency_cli.records import Explanation, Row
from saliency_cli.settings import Compute, Maths, ModelChoice, Sampling

from .chromium import Watched, launched_browser
from .shell import Shell

if TYPE_CHECKING:
    from .faults import Desk

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "sample_data"
WORDS = "free call now you won a prize text me when home is where the heart was late ok".split()
TEXTS = (
    "free call now",
    "you won a prize",
    "text me when you are home ok",
    "the heart is where home is, a prize you won when the call was late",
    "ok",
)

LONGEST = ("test_ray", "test_faults", "test_workers", "test_killers", "test_browser")
"""Files that take minutes, in an order that puts beside a cluster of processes only single ones."""

hypothesis_settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
hypothesis_settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
    parser.addoption("--device", default="cpu", help="where the engine's promises are tested")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, lest one core be at the last of them while the others rest."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def wordpiece() -> PreTrainedTokenizerFast:
    """Build a WordPiece tokenizer: known words whole, others in letters."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.!?&;<>/"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *letters, *(f"##{c}" for c in letters)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def bytelevel() -> PreTrainedTokenizerFast:
    """Build a byte-level BPE tokenizer without merges and without special tokens in a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    vocabulary["<|endoftext|>"] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|endoftext|>", model_max_length=128
    )


def save_bert(
    folder: Path, *, labels: tuple[str, ...] = ("ham", "spam"), problem: str | None = None
) -> Path:
    """Save a two-layer BERT with weights large enough for its labels to differ between texts."""
    torch.manual_seed(0)
    tokenizer = wordpiece()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type=problem,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_gpt2(folder: Path) -> Path:
    """Save a two-layer GPT-2, which finds its last token by the padding id."""
    torch.manual_seed(0)
    tokenizer = bytelevel()
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=128,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.2,
        num_labels=3,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=None,
    )
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


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
    return load(ModelChoice(bert_folder), compute)


@pytest.fixture(scope="session")
def gpt2(gpt2_folder: Path, compute: Compute) -> Classifier:
    return load(ModelChoice(gpt2_folder), compute)


@pytest.fixture(scope="session")
def sample(compute: Compute) -> Classifier:
    return load(ModelChoice(SAMPLE / "model.pt"), compute)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("pristine") / "bert")


@pytest.fixture
def shell(pristine: Path, tmp_path: Path) -> Shell:
    return Shell.beside(pristine, tmp_path / "home")


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Desk]":
    from .faults import laid  # noqa: PLC0415 - which imports what stands here

    with laid(tmp_path_factory.mktemp("faults")) as made:
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


def engine(classifier: Classifier, *, tokens: int = 1024, **maths: Any) -> Engine:  # noqa: ANN401
    """Return an engine; what is not a field of Maths is one of Sampling."""
    sampling = {k: v for k, v in maths.items() if k in Sampling.__slots__}
    rest = {k: v for k, v in maths.items() if k not in sampling}
    chosen = Maths(sampling=Sampling(**sampling), **rest)
    return Engine(classifier, chosen, Budget(tokens, equal_lengths=not classifier.padding_blind))


def scored(engine: Engine, texts: Sequence[str]) -> list[Tensor]:
    """Explain texts and return their scores."""
    rows = (Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(texts))
    found = []
    for outcome in explain(rows, engine):
        assert isinstance(outcome, Explanation), outcome
        found.append(torch.tensor(outcome.attribution.scores, dtype=torch.float64))
    return found


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
