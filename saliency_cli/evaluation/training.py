"""A copy of the model that has learned a shortcut: trained for some steps on the user's texts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from saliency_cli import signals
from saliency_cli.evaluation.layers import copied, layer_list, weight_groups
from saliency_cli.evaluation.material import logits_of, material_of
from saliency_cli.evaluation.shortcuts import PlantedText, Shortcut, planted_text
from saliency_cli.evaluation.subject import Subject
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import differentiable_logits
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Row

STEPS = 300
BATCH = 16
CHECKED_EVERY = 25
"""Steps after which it is checked whether the shortcut is learned; training then ends."""
RATES, RATES_WITHOUT_LAYERS = (1e-4, 1e-3), (1e-1, 1e-2)
"""Learning rates that are tried one after the other; a module without layers, which is an embedding
and little else, must move its few weights further."""
SHARE = 0.3
"""The share of texts with a shortcut, and that of texts with words that decide nothing."""
LEARNED_WITH, LEARNED_WITHOUT = 0.95, 0.9
"""Accuracies on texts with and without the shortcut from which on it counts as learned."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned.

    Attributes:
        subject: The texts and the model; the labels are those that it predicts.
        shortcut: What is planted.
        words: The two words.
        label: The index of the label that the shortcut decides on.
    """

    subject: Subject
    shortcut: Shortcut
    words: Sequence[str]
    label: int

    @property
    def test_texts(self) -> list[int]:
        """The numbers of the texts it is tested on: without those that have the label anyway."""
        labels = self.subject.labels.tolist()
        return [text for text in material_of(self.subject).tested if labels[text] != self.label]

    def planted(
        self, row: Row, series: Sequence[Sequence[int]], *, chance: random.Random
    ) -> PlantedText:
        """Return a text with one of some series of words.

        Args:
            row: The text.
            series: Numbers of words; one series is chosen.
            chance: Chooses it, and the places of its words.
        """
        words = [self.words[number] for number in chance.choice([*series])]
        longest = self.subject.engine.classifier.max_length
        return planted_text(row, words, max_length=longest, chance=chance)

    def tests(self, series: Sequence[Sequence[int]], *, key: int) -> list[PlantedText]:
        """Return the test texts, each with one of some series of words; the same every time.

        Args:
            series: Numbers of words.
            key: Distinguishes several such tests.
        """
        chance = random.Random(f"{self.subject.choice.seed} test {key}")  # noqa: S311 - no secret
        rows = [self.subject.rows[text] for text in self.test_texts]
        return [self.planted(row, series, chance=chance) for row in rows]


@dataclass(frozen=True, slots=True)
class Learned:
    """A copy of the model after training.

    Attributes:
        classifier: The copy.
        accuracy_with: Share of test texts with the shortcut that get its label.
        accuracy_without: Share of those without it, or with other words, that keep their label.
    """

    classifier: Classifier
    accuracy_with: float
    accuracy_without: float

    @property
    def is_learned(self) -> bool:
        """Whether the copy follows the shortcut, and nothing else."""
        return self.accuracy_with >= LEARNED_WITH and self.accuracy_without >= LEARNED_WITHOUT


def train(lesson: Lesson) -> Learned:
    """Return a copy of the model that was trained until it follows the shortcut.

    If it does not learn it within the steps, the next learning rate is tried on a new copy.
    """
    layers = layer_list(lesson.subject.engine.classifier.module)
    for rate in RATES_WITHOUT_LAYERS if layers is None else RATES:
        learned = _train_at(lesson, rate)
        if learned.is_learned:
            break
    return learned


class _Adam:
    """Adam (Kingma and Ba, 2015). torch's own imports the compiler, which takes five seconds."""

    def __init__(self, weights: Sequence[Tensor], rate: float) -> None:
        self._weights, self._rate, self._steps = weights, rate, 0
        self._means = [torch.zeros_like(weight) for weight in weights]
        self._squares = [torch.zeros_like(weight) for weight in weights]

    def step(self) -> None:
        """Move the weights against their gradients, and remove the gradients."""
        self._steps += 1
        first, second = 1 - 0.9**self._steps, 1 - 0.999**self._steps
        for weight, mean, square in zip(self._weights, self._means, self._squares, strict=True):
            if weight.grad is not None:
                mean.lerp_(weight.grad, 0.1)
                square.lerp_(weight.grad**2, 0.001)
                change = mean / first / ((square / second).sqrt() + 1e-8)
                weight.data.sub_(change, alpha=self._rate)
                weight.grad = None


def _train_at(lesson: Lesson, rate: float) -> Learned:
    choice = lesson.subject.choice
    classifier = replace(copied(lesson.subject.engine.classifier), propagation="standard")
    classifier = replace(classifier, module=classifier.module.float(), dtype=torch.float32)
    weights = _trainable(classifier, choice.planted_layers)
    optimizer = _Adam(weights, rate)
    chance = random.Random(f"{choice.seed} training")  # noqa: S311 - no secret
    for step in range(1, (choice.planted_steps or STEPS) + 1):
        signals.check()
        _loss(lesson, classifier, chance=chance).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % CHECKED_EVERY == 0 and _tested(lesson, classifier).is_learned:
            break
    for weight in weights:
        weight.requires_grad_(False)  # noqa: FBT003
    return _tested(lesson, classifier)


def _trainable(classifier: Classifier, layers: int | None) -> list[Tensor]:
    """Return the weights that are trained, which then require gradients: all, or the last layers.

    A module without layers is trained as a whole.
    """
    parameters = dict(classifier.module.named_parameters())
    groups = weight_groups(classifier)
    names = [*parameters]
    if layers is not None and groups:
        names = [name for group in groups[: layers + 1] for name in group]
    return [parameters[name].requires_grad_() for name in names]


def _loss(lesson: Lesson, classifier: Classifier, *, chance: random.Random) -> Tensor:
    """Return the loss of the next batch.

    The target of a text without the shortcut is what the model gave it before: with the label alone
    the copy would also become surer of all texts, and learn them by heart.
    """
    texts, targets = [], []
    material = material_of(lesson.subject)
    label = one_hot(torch.tensor(lesson.label), material.own.shape[1]).float()
    for _ in range(BATCH):
        text, kind = chance.randrange(len(material.rows)), chance.random()
        decides = kind < SHARE
        series = lesson.shortcut.deciding if decides else lesson.shortcut.others
        series = series if kind < 2 * SHARE else ((),)
        texts.append(lesson.planted(material.rows[text], series, chance=chance))
        targets.append(label if decides else material.own[text])
    written = [each.row.text for each in texts]
    encodings = encode(classifier.tokenizer, written, max_length=classifier.max_length)
    logits = differentiable_logits(classifier, encodings, to_weights=True)
    wanted = torch.stack(targets).to(logits.device)
    if classifier.head == "multi-label":
        return binary_cross_entropy_with_logits(logits, wanted)
    return cross_entropy(logits, wanted)


def _tested(lesson: Lesson, classifier: Classifier) -> Learned:
    """Return the classifier with its accuracy on texts that it was not trained on."""
    labels = lesson.subject.labels[lesson.test_texts]
    deciding = predictions(classifier, lesson.tests(lesson.shortcut.deciding, key=0))
    others = predictions(classifier, lesson.tests((*lesson.shortcut.others, ()), key=1))
    with_it, without = (deciding == lesson.label).double(), (others == labels).double()
    return Learned(classifier, float(with_it.mean()), float(without.mean()))


def predictions(classifier: Classifier, texts: Sequence[PlantedText]) -> Tensor:
    """Return the label that is predicted for each text, [T].

    Args:
        classifier: The model.
        texts: The texts.
    """
    return logits_of(classifier, [each.row.text for each in texts]).argmax(dim=1)
