"""`explain`: an iterator of texts to an iterator of explanations, in the same order."""

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from saliency_cli.api.classifier import Classifier
from saliency_cli.api.explanation import Explanation, QuarantinedRow, shown_row
from saliency_cli.api.hints import notes_of_hints
from saliency_cli.api.process_state import passes_state
from saliency_cli.attribution import engine
from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.maths import complete_maths
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.attribution.replicas import can_replicate, replica
from saliency_cli.errors import UsageError
from saliency_cli.inputs.formats.interface import ParsedRow
from saliency_cli.inputs.options import Columns
from saliency_cli.inputs.row_builder import build_row
from saliency_cli.model.limitations import limitations
from saliency_cli.records import BadRow, Row
from saliency_cli.settings import ObjectiveName, PropagationName, ReductionName, TargetChoice

Text: TypeAlias = str | tuple[str, str] | Mapping[str, object]
"""What `explain` takes as a text: a string; a pair of strings; or a mapping with `text` and, where
there are such, `pair`, `label` (the gold label) and `id`."""


def explain(  # noqa: PLR0913 - the options of the command line
    classifier: Classifier,
    texts: Iterable[Text],
    *,
    method: Method = SmoothGrad(),
    target: str = "predicted",
    contrast: str | None = None,
    threshold: float = 0.5,
    reduction: ReductionName | None = None,
    propagation: PropagationName | None = None,
    objective: ObjectiveName | None = None,
    check_words: int = 1,
    read_ahead: int | None = None,
) -> Iterator[Explanation | QuarantinedRow]:
    """Return an iterator over the explanations of some texts, in input order.

    Texts are read as they are needed, and batches are filled from those that are read ahead. A text
    that cannot be explained gives a `QuarantinedRow` with the reason, and no exception. Defaults
    and numbers are those of [`saliency explain`](command-line.md) with `--dtype float32`; options
    mean what those of the same name mean there.

    Args:
        classifier: What `load` returned.
        texts: Strings, pairs as tuples, or mappings with `text`, `pair`, `label` and `id`.
        method: The attribution method with its parameters, such as `SmoothGrad(samples=8)`.
        target: `predicted`, `gold`, `all`, or a label.
        contrast: A label; the scores then say why the target and not this label.
        threshold: Probability from which a label of a multi-label model counts as predicted.
        reduction: How a gradient becomes one number a token; None for the method's own.
        propagation: How backward passes run; None for the method's own.
        objective: What is explained: `logit`, `loss` or `probability`; None for the logit.
        check_words: How many of a text's strongest words are checked by leaving them out.
        read_ahead: Texts that are read and sorted by length together; None for 1024, on CUDA 4096.
            With fewer, the first explanations come earlier, and batches are less full.

    Raises:
        UsageError: An option does not fit the model or the method.

    Example:
        >>> import saliency_cli
        >>> from saliency_cli import SmoothGrad
        >>> classifier = saliency_cli.load("sample_data/model.pt")
        >>> texts = ["win a free prize now", "", {"id": "7", "text": "see you at home"}]
        >>> for each in saliency_cli.explain(classifier, texts, method=SmoothGrad(samples=8)):
        ...     print(each.ordinal, each.id, each.label if each.explained else each.reason)
        0 None spam
        1 None text is empty
        2 7 ham
    """
    with notes_of_hints():
        _check_texts(texts, read_ahead)
        maths = complete_maths(
            method,
            reduction=reduction,
            propagation=propagation,
            objective=objective,
            target=TargetChoice(target, contrast, threshold),
            check_words=check_words,
        )
        with passes_state(classifier.device):
            chosen = _own_engine(classifier.engine(maths))
    for warning in limitations(chosen.classifier):
        warnings.warn(warning, stacklevel=2)
    if read_ahead is not None:
        chosen = replace(chosen, read_ahead_rows=read_ahead)
    return _explanations(texts, chosen)


def _own_engine(shared: Engine) -> Engine:
    """Return an engine for one call, since calls may run side by side.

    With several replicas each call has copies of the module anyway; with one it needs its own.
    """
    if shared.replicas > 1 or not can_replicate(shared.classifier):
        return shared
    return replace(shared, classifier=replica(shared.classifier))


def _check_texts(texts: object, read_ahead: int | None) -> None:
    """Check that the texts are an iterable of texts, and that some are read at a time.

    Raises:
        UsageError: It is one text or a data frame, or no text would be read.
    """
    if isinstance(texts, str | bytes | Mapping):
        raise UsageError("texts is one text, and must be an iterable of texts", "give [text]")
    if hasattr(texts, "iterrows"):  # else the names of its columns would be the texts
        raise UsageError("texts is a data frame", 'give frame.to_dict("records")')
    if read_ahead is not None and read_ahead < 1:
        raise UsageError(f"read_ahead {read_ahead}: give 1 or more")


def _explanations(texts: Iterable[Text], chosen: Engine) -> Iterator[Explanation | QuarantinedRow]:
    """Yield what the engine gives; between two rows the process has the caller's settings."""
    device, deterministic = chosen.classifier.device, chosen.classifier.deterministic
    rows = (as_row(ordinal, text) for ordinal, text in enumerate(texts))
    outcomes = engine.explain(rows, chosen)
    while True:
        with notes_of_hints(), passes_state(device, deterministic=deterministic):
            outcome = next(outcomes, None)
        if outcome is None:
            return
        yield shown_row(outcome.record())


def as_row(ordinal: int, text: object) -> Row | BadRow:
    """Return the row of a text, or a bad row if it is none; the same as of a line of JSONL.

    Args:
        ordinal: The text's number, from 0.
        text: What the caller gave.
    """
    values, problem = _values(text)
    pair = "pair" if values.get("pair") is not None else None
    data = text if isinstance(text, str) else json.dumps(text, default=str, ensure_ascii=False)
    parsed = ParsedRow(ordinal + 1, values, problem, data.encode("utf-8", "surrogatepass"), 0)
    return build_row(ordinal, parsed, Columns(pair=pair))


def _values(text: object) -> tuple[dict[str, Any], str | None]:
    """Return a text as columns and values, and what is wrong with it, or None."""
    if isinstance(text, Mapping):
        # Data frames have NaN, which equals nothing, where there is no value.
        return {name: each for name, each in text.items() if each == each}, None  # noqa: PLR0124
    if not isinstance(text, tuple | list):
        return {"text": text}, None
    if len(text) != 2:
        return {}, f"a pair has 2 texts, and this has {len(text)}"
    return {"text": text[0], "pair": text[1]}, None
