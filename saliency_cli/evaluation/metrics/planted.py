"""Whether a method finds the word that decides: a copy of the model is trained on a shortcut."""

import hashlib
import json
from typing import Any, ClassVar

from saliency_cli.evaluation.bootstrap import UNKNOWN, mean_figure
from saliency_cli.evaluation.material import material_of
from saliency_cli.evaluation.metrics.interface import Metric, Values
from saliency_cli.evaluation.ranks import descending
from saliency_cli.evaluation.rescoring import Question, Scored, scores_of
from saliency_cli.evaluation.shortcuts import SHORTCUTS, PlantedText, unused_words
from saliency_cli.evaluation.subject import Subject
from saliency_cli.evaluation.training import Learned, Lesson, predictions, train

TEXTS = 50
"""Texts with a shortcut that a method explains, at most, for each kind."""


class Planted(Metric):
    """How often the token with the largest score is a planted one: P@1, of texts that follow it.

    The number is that of the single-token shortcut. `kinds` has P@1 and MRR, the mean of 1 / rank
    of the first planted token, of each kind that the copy has learned: one token, two tokens
    together, the order of two tokens.
    """

    name: ClassVar[str] = "planted"
    title: ClassVar[str] = "how often a planted word that decides the label has the largest score"
    source: ClassVar[str] = "Bastings et al. 2022"
    pitfall: ClassVar[str] = (
        "It tests a copy of the model on a rare word; what decides in the user's own texts may be "
        "spread over many words, which is harder to find."
    )
    is_default: ClassVar[bool] = False

    def settings(self, subject: Subject) -> Values:
        """Return the hash of the texts that the copies are trained on."""
        texts = json.dumps([row.text for row in material_of(subject).rows])
        return {"training": hashlib.sha256(texts.encode()).hexdigest()}

    def reference(self, subject: Subject) -> Values:
        """Return of each kind what was planted, and the copy's accuracy with and without it."""
        found: Values = {}
        for kind, (lesson, learned) in _lessons(subject).items():
            found[kind] = {
                "words": list(lesson.words),
                "label": subject.engine.classifier.labels[lesson.label],
                "texts": len(lesson.test_texts),
                "accuracy_with": round(learned.accuracy_with, 7),
                "accuracy_without": round(learned.accuracy_without, 7),
                "is_learned": learned.is_learned,
            }
        return {"kinds": found}

    def measure(self, subject: Subject, name: str, reference: Values) -> Values:
        """Return of each kind the rank of the first planted token, from 1, of each text.

        Args:
            subject: Texts and model.
            name: The method.
            reference: What was learned.
        """
        kinds = [kind for kind, each in reference["kinds"].items() if each["is_learned"]]
        if not kinds:
            return {"reason": _why_not(subject, reference)}
        return {"ranks": {kind: _ranks(subject, name, *_lessons(subject)[kind]) for kind in kinds}}

    def summarise(self, values: Values, reference: Values) -> dict[str, Any]:
        """Return P@1 of the single token, and of each kind P@1, MRR and the texts explained.

        Args:
            values: What `measure` returned.
            reference: What was learned.
        """
        kinds = {
            kind: {
                **reference["kinds"][kind],
                "explained": len(ranks),
                "first": mean_figure([float(rank == 1) for rank in ranks]),
                "mrr": mean_figure([1 / rank for rank in ranks]),
            }
            for kind, ranks in values["ranks"].items()
        }
        not_learned = {**UNKNOWN, "reason": "the copy has not learned the single-token shortcut"}
        return {**(kinds["token"]["first"] if "token" in kinds else not_learned), "kinds": kinds}


def _why_not(subject: Subject, reference: Values) -> str:
    if reference["kinds"]:
        return "the copy has not learned the shortcut; give more --planted-steps"
    if any(row.pair is not None for row in subject.rows):
        return "it is planted in single texts, not in pairs"
    return "there are no two words for it, or too few texts of different labels"


def _lessons(subject: Subject) -> dict[str, tuple[Lesson, Learned]]:
    """Return of each kind what was learned, and the copy that did; trained once a process."""
    if "planted" not in subject.memory:
        subject.memory["planted"] = {
            kind: (lesson, train(lesson)) for kind, lesson in _planned(subject)
        }
    lessons: dict[str, tuple[Lesson, Learned]] = subject.memory["planted"]
    return lessons


def _planned(subject: Subject) -> list[tuple[str, Lesson]]:
    """Return the lessons; none if nothing can be planted."""
    classifier, labels = subject.engine.classifier, subject.labels.tolist()
    texts = [row.text for row in (*subject.rows, *material_of(subject).rows)]
    words = unused_words(classifier.tokenizer, texts, seed=subject.choice.seed)
    rarest = min(range(len(classifier.labels)), key=lambda label: (labels.count(label), label))
    lessons = {
        kind: Lesson(subject, shortcut, words, rarest) for kind, shortcut in SHORTCUTS.items()
    }
    is_pair = any(row.pair is not None for row in subject.rows)
    if is_pair or len(words) < 2 or len(lessons["token"].test_texts) < 2:
        return []
    return [*lessons.items()]


def _ranks(subject: Subject, name: str, lesson: Lesson, learned: Learned) -> list[int]:
    """Return the rank of the first planted token in each text that follows the shortcut."""
    texts = lesson.tests(lesson.shortcut.deciding, key=0)
    follows = predictions(learned.classifier, texts) == lesson.label
    chosen = [text for text, does in zip(texts, follows.tolist(), strict=True) if does][:TEXTS]
    questions = [Question(text.row, lesson.label) for text in chosen]
    scored = scores_of(
        questions, subject.variants[name].maths, subject, classifier=learned.classifier
    )
    pairs = zip(chosen, scored, strict=True)
    return [first_rank(text, each) for text, each in pairs if each is not None]


def first_rank(text: PlantedText, scored: Scored) -> int:
    """Return the rank, from 1, of the first token that is part of a planted word.

    Args:
        text: The text with the spans of its planted words.
        scored: Its tokens and their scores; special tokens have no rank.
    """
    encoding = scored.encoding
    offsets = [
        o for o, special in zip(encoding.offsets, encoding.special, strict=True) if not special
    ]
    for rank, place in enumerate(descending(scored.text_scores), 1):
        start, end = offsets[place]
        if any(start < last and first < end for first, last in text.spans):
            return rank
    return len(offsets) + 1
