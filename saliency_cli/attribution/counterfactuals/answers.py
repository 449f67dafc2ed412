"""The answers about one text, as fields of its record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from saliency_cli.attribution.counterfactuals.input_reduction import fewest_kept_words
from saliency_cli.attribution.counterfactuals.predictor import Decision, Predictor, Texts
from saliency_cli.attribution.counterfactuals.text_words import TextWords, WordSet
from saliency_cli.attribution.counterfactuals.token_replacement import (
    Replaced,
    fewest_replaced_tokens,
    with_token_embedding,
)
from saliency_cli.attribution.counterfactuals.word_removal import fewest_removed_words
from saliency_cli.attribution.counterfactuals.word_search import Found, WordSearch
from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.replicas import open_replicas
from saliency_cli.attribution.row_failures import RowFailure
from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import choose_targets, predict
from saliency_cli.model.tokenization import encode_rows
from saliency_cli.records import Record, Row
from saliency_cli.settings import TargetChoice


@dataclass(frozen=True, slots=True)
class AskedText:
    """The text that is asked about.

    Attributes:
        words: Its words.
        decision: The model's decision on what it reads of the text.
        predictor: Predicts variants of it.
    """

    words: TextWords
    decision: Decision
    predictor: Predictor

    @property
    def read(self) -> Texts:
        """What the model reads of the texts: all, unless they are too long."""
        return self.words.joined(self.words.all)

    def fields(self) -> Record:
        """Return the label of the decision, and its probability before any change."""
        label = self.predictor.classifier.labels[self.decision.target.plus]
        return {"label": label, "before": self.predicted(self.read)["probabilities"][label]}

    def predicted(self, texts: Texts) -> Record:
        """Return a variant with its prediction."""
        classifier, logits = self.predictor.classifier, self.predictor.logits([texts])
        (prediction,) = predict(logits, labels=classifier.labels, head=classifier.head)
        return {"text": texts[0], "pair": (*texts, None)[1], **prediction.fields()}

    def spans(self, places: Sequence[tuple[int, int, int]]) -> Record:
        """Return (segment, start, end) of words or tokens as fields, as records have them."""
        fields: Record = {"spans": [[start, end] for _, start, end in places]}
        if len(self.words.texts) > 1:
            fields["segments"] = [segment for segment, _, _ in places]
        return fields


def counterfactuals(row: Row, engine: Engine, *, reduce: bool, flip: bool) -> Record:
    """Return the answers to questions about a text that can be explained.

    Args:
        row: The text.
        engine: Model, target and batches.
        reduce: Whether to return `reduction`: the fewest words that keep the label.
        flip: Whether to return `flip`: the fewest words removed, and tokens replaced, that change
            it.

    Raises:
        UsageError: The questions have no answer for the model or the text.
    """
    classifier = engine.classifier
    if classifier.head == "regression":
        raise UsageError(
            "--reduce and --flip need labels, and the model has a regression head",
            "leave out --reduce and --flip",
        )
    (encoded,) = encode_rows(
        classifier.tokenizer, [row], max_length=classifier.max_length, stride=engine.stride
    )
    if len(encoded.windows) > 1:
        raise UsageError(
            "--reduce and --flip need a text that is read in one window",
            "leave out --stride to ask about the beginning of the text",
        )
    words = TextWords.of(row, encoded.whole)
    if reduce and len(words) <= len(words.texts):
        raise UsageError("--reduce needs a text of two words or more", "leave out --reduce")
    questions = {"reduction": reduction_fields} if reduce else {}
    if flip:
        questions["flip"] = flip_fields
        classifier = with_token_embedding(classifier, encoded.whole)
    try:
        return {
            name: _answer(question, words, classifier, engine)
            for name, question in questions.items()
        }
    except RowFailure as failure:
        raise UsageError(f"a variant of the text cannot be predicted: {failure.reason}") from None


def _answer(
    question: Callable[[AskedText], Record],
    words: TextWords,
    classifier: Classifier,
    engine: Engine,
) -> Record:
    """Return the answer to one question, whose predictor counts the passes of no other."""
    with open_replicas(classifier, engine.replicas) as pool:
        predictor = Predictor(classifier, engine.budget, pool)
        logits = predictor.logits([words.joined(words.all)])
        (prediction,) = predict(logits, labels=classifier.labels, head=classifier.head)
        choice = engine.maths.target if classifier.head == "multi-label" else TargetChoice()
        target = choose_targets(prediction, None, choice=choice, head=classifier.head)[0]
        asked = AskedText(words, Decision.of(target, logits[0], classifier.head), predictor)
        answer = question(asked)
        return {**asked.fields(), **answer, "evaluations": predictor.evaluations}


def reduction_fields(asked: AskedText) -> Record:
    """Return the fewest words that keep the label, and the prediction for them alone."""
    found = fewest_kept_words(WordSearch(asked.words, asked.decision, asked.predictor))
    return _word_fields(asked, found, found.kept)


def flip_fields(asked: AskedText) -> Record:
    """Return the fewest words removed, and the fewest tokens replaced, that change the label."""
    search = WordSearch(asked.words, asked.decision, asked.predictor)
    removal = fewest_removed_words(search)
    (encoding,) = asked.predictor.encode([asked.read])
    start = Replaced(asked.read, encoding)
    replacement = fewest_replaced_tokens(start, asked.decision, asked.predictor)
    return {
        "removal": removal and _word_fields(asked, removal, asked.words.without(removal.kept)),
        "replacement": replacement and _replacement_fields(asked, start, replacement),
    }


def _word_fields(asked: AskedText, found: Found, shown: WordSet) -> Record:
    """Return a variant that some words were removed from.

    Args:
        asked: The text.
        found: The words that stay.
        shown: The words that the fields list.
    """
    words = asked.words
    spans = [words.spans[number] for number in shown]
    return {
        **asked.predicted(words.joined(found.kept)),
        "words": [words.texts[segment][start:end] for segment, start, end in spans],
        **asked.spans(spans),
        "total": len(words),
        "smallest": found.smallest,
    }


def _replacement_fields(asked: AskedText, start: Replaced, replaced: Replaced) -> Record:
    """Return a variant with replaced tokens: what stood there, what stands there, and where."""
    old, new, places = [], [], []
    for position, text in sorted(replaced.replacements):
        segment = start.encoding.segments[position]
        first, last = start.encoding.offsets[position]
        old.append(start.texts[segment][first:last])
        new.append(text)
        shift = asked.words.read_from(segment)
        places.append((segment, first + shift, last + shift))
    fields = {"old": old, "new": new, **asked.spans(places)}
    return {**asked.predicted(replaced.texts), **fields}
