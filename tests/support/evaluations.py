"""A bag-of-words model, whose exact explanation is known, and what metrics measure of it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.replicas import open_replicas
from saliency_cli.checkpoints import load
from saliency_cli.evaluation.metrics.stability import questions_of
from saliency_cli.evaluation.options import EvaluationChoice
from saliency_cli.evaluation.passes import Passes
from saliency_cli.evaluation.rescoring import Question, scores_of
from saliency_cli.evaluation.subject import Subject, target_values
from saliency_cli.evaluation.variants import parse_variants
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Row
from saliency_cli.settings import Compute, ModelChoice
from tests.support.models import WORDS, wordpiece

CODE = """
import torch
from torch import nn


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding({vocabulary}, 2)

    def forward(self, input_ids, attention_mask):
        return (self.embedding(input_ids) * attention_mask[..., None]).sum(dim=1)
"""


@dataclass(frozen=True, slots=True)
class Bag:
    """A model whose logits are the sums of its words' weights, and as many texts as are wanted.

    A word's weight is for the first label what it is against the second. The padding token, which
    takes the place of masked ones, has weight 0, and so have the special tokens.
    """

    home: Path

    @property
    def choice(self) -> ModelChoice:
        """The options that name the model."""
        module = f"{self.home / 'bag.py'}:Bag"
        return ModelChoice(self.home / "bag.pt", arch=module, embedding_layer="embedding")

    @property
    def arguments(self) -> list[str]:
        """The same as arguments of the command line."""
        module = f"{self.home / 'bag.py'}:Bag"
        layer = ["--embedding-layer", "embedding", "--device", "cpu"]
        return [str(self.home / "bag.pt"), "--arch", module, *layer]


def write_bag(home: Path) -> Bag:
    """Write the model, and return it."""
    home.mkdir(parents=True, exist_ok=True)
    tokenizer = wordpiece()
    tokenizer.save_pretrained(home)
    generator = torch.Generator().manual_seed(0)
    weights = 0.3 * torch.randn(len(tokenizer), generator=generator)
    weights[:4] = 0
    torch.save({"embedding.weight": torch.stack((weights, -weights), dim=1)}, home / "bag.pt")
    (home / "bag.py").write_text(CODE.format(vocabulary=len(tokenizer)))
    return Bag(home)


def bag_texts(count: int) -> list[str]:
    """Return texts of 4 to 16 words, the same every time; none has the last three of `WORDS`."""
    generator = torch.Generator().manual_seed(1)
    texts = []
    for number in range(count):
        size = 4 + number % 13
        words = torch.randint(len(WORDS) - 3, (size,), generator=generator).tolist()
        texts.append(" ".join(WORDS[word] for word in words))
    return texts


def write_texts(path: Path, texts: list[str]) -> Path:
    """Write texts as JSONL, and return the path."""
    lines = [json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@contextmanager
def bag_subject(
    bag: Bag,
    texts: list[str],
    methods: str = "gradient,random",
    *,
    tokens: int = 256,
    **options: object,
) -> Iterator[Subject]:
    """Yield texts and the model, with the exact scores of the predicted label for each method.

    Args:
        bag: The model.
        texts: The texts.
        methods: The methods, as `--methods` names them.
        tokens: Tokens of a batch.
        options: Fields of `EvaluationChoice`.
    """
    with subject_of(
        load(bag.choice, Compute(device="cpu")), texts, methods, tokens, **options
    ) as made:
        weights = made.engine.classifier.embedding.get_parameter("weight").detach()
        labels = made.labels.tolist()
        scores = [
            weights[list(each.ids), label].tolist()
            for each, label in zip(made.encodings, labels, strict=True)
        ]
        yield replace(made, scores=dict.fromkeys(made.variants, scores))


@contextmanager
def subject_of(
    classifier: Classifier,
    texts: list[str],
    methods: str,
    tokens: int = 256,
    **options: object,
) -> Iterator[Subject]:
    """Yield texts and a model, with the scores that the engine gives.

    Args:
        classifier: The model.
        texts: The texts.
        methods: The methods, as `--methods` names them.
        tokens: Tokens of a batch.
        options: Fields of `EvaluationChoice`.
    """
    rows = [Row(n, n + 1, str(n), text) for n, text in enumerate(texts)]
    encodings = encode(classifier.tokenizer, texts, max_length=classifier.max_length)
    variants = parse_variants(methods, seed=0)
    engine = Engine(classifier, variants[0].maths, Budget(tokens))
    with open_replicas(classifier, 1) as pool:
        passes = Passes.over(encodings, classifier, pool, engine.budget)
        logits = passes.clean_logits()
        labels = logits.argmax(dim=1)
        subject = Subject(
            rows=rows,
            encodings=encodings,
            labels=labels,
            clean=target_values(logits, labels, head="single-label"),
            scores={},
            variants={variant.name: variant for variant in variants},
            engine=engine,
            passes=passes,
            choice=EvaluationChoice(**options),  # type: ignore[arg-type]
        )
        questions = questions_of(subject, [*range(len(texts))])
        yield replace(subject, scores=_scores(subject, questions))


def _scores(subject: Subject, questions: list[Question]) -> dict[str, list[list[float]]]:
    found = {}
    for name, variant in subject.variants.items():
        scored = scores_of(questions, variant.maths, subject)
        found[name] = [[*each.scores] for each in scored if each is not None]
    return found


def with_scores(subject: Subject, scores: Mapping[str, list[list[float]]]) -> Subject:
    """Return the subject with other scores of some methods."""
    return replace(subject, scores={**subject.scores, **scores}, memory={})
