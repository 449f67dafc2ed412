"""Checks shortcut suspects with the model: each is taken out of texts, and put into others."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from saliency_cli.analysis.even_sample import EvenSample
from saliency_cli.analysis.near_duplicates import SeenTexts
from saliency_cli.analysis.suspect_checks import Flips, SuspectCheck
from saliency_cli.analysis.suspects import Suspect
from saliency_cli.analysis.word_pairs import PairSuspect, strongest
from saliency_cli.analysis.word_shares import RowStats, row_stats
from saliency_cli.analysis.word_statistics import WordFindings
from saliency_cli.attribution.changed_texts import (
    ChangedText,
    encoded_rows,
    predicted_labels,
    spelling,
    with_words,
    without_words,
)
from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.replicas import ReplicaPool, open_replicas
from saliency_cli.records import Encoded, Record, Row

CHECKED_TEXTS = 50
"""Texts that a suspect is taken out of at most, and others that it is put into."""

_Read = list[tuple[Row, Encoded]]


def _sample() -> EvenSample[Row]:
    return EvenSample(CHECKED_TEXTS)


@dataclass(slots=True)
class _SuspectTexts:
    """The texts of a suspect.

    Attributes:
        suspect: The suspect.
        led: Texts of its label that it leads.
        others: Texts of other labels that have none of its words.
    """

    suspect: Suspect | PairSuspect
    led: EvenSample[Row] = field(default_factory=_sample)
    others: EvenSample[Row] = field(default_factory=_sample)

    def add(self, row: RowStats) -> None:
        """Take a text into one of the samples, or none."""
        words = self.suspect.words
        if row.record["predicted"] == self.suspect.label:
            leaders = [row.leading_word] if len(words) == 1 else strongest(row.shares)
            if {*words} <= {*leaders}:
                self.led.add(_row(row.record))
        elif row.record["predicted"] is not None and not {*words} & row.shares.keys():
            self.others.add(_row(row.record))


def check_suspects(
    findings: WordFindings, lines: Iterable[str], engine: Engine
) -> tuple[SuspectCheck, ...]:
    """Return the checks of all suspects, single words before pairs, the largest effect first.

    Args:
        findings: The suspects.
        lines: The lines of the records that they were found in; they are read once more.
        engine: Model and batches.
    """
    suspects: list[Suspect | PairSuspect] = [*findings.suspects, *findings.pairs]
    if not suspects:
        return ()
    texts, first_with = _choose_texts(suspects, lines, words={*findings.controls.values()})
    with open_replicas(engine.classifier, engine.replicas) as pool:
        checker = _Checker(engine, pool, findings.controls, first_with)
        return findings.with_checks(map(checker.check, texts)).checks


def _choose_texts(
    suspects: Sequence[Suspect | PairSuspect], lines: Iterable[str], *, words: set[str]
) -> tuple[list[_SuspectTexts], dict[str, Row]]:
    """Return evenly spaced texts of each suspect, and the first text with each of some words.

    Args:
        suspects: The suspects.
        lines: The lines of the records.
        words: The words.
    """
    chosen, first_with, seen = [*map(_SuspectTexts, suspects)], dict[str, Row](), SeenTexts()
    for record in map(json.loads, lines):
        if record["status"] != "ok" or record["predicted"] is None:
            continue
        row = row_stats(record)
        if not seen.is_new(row.shares):
            continue
        for each in chosen:
            each.add(row)
        for word in words & row.shares.keys():
            first_with.setdefault(word, _row(record))
    return chosen, first_with


def _row(record: Record) -> Row:
    ordinal = record["ordinal"]
    return Row(ordinal, ordinal + 1, None, record["text"], pair=record["pair"])


@dataclass(frozen=True, slots=True)
class _Checker:
    """Runs the model over the changed texts of a suspect.

    Attributes:
        engine: Model and batches.
        pool: The model's replicas.
        controls: A suspect's word -> its control word.
        first_with: Control word -> a text that has it, which shows how it is written.
    """

    engine: Engine
    pool: ReplicaPool
    controls: Mapping[str, str]
    first_with: Mapping[str, Row]

    def check(self, texts: _SuspectTexts) -> SuspectCheck:
        """Return the check of a suspect."""
        words, label = texts.suspect.words, texts.suspect.label
        led, others = self._read(texts.led.items()), self._read(texts.others.items())
        written = [spelling(*led[0], word) if led else word for word in words]
        controls = tuple(self.controls[word] for word in words if word in self.controls)
        if len(controls) < len(words):
            controls = ()
        insertions = [" ".join(written), " ".join(map(self._written_control, controls))]
        insertions += written if len(words) > 1 else []
        changed = [[without_words(*each, words) for each in led]]
        changed += [self._with(others, text) if text else [] for text in insertions]
        labels = iter(predicted_labels([*chain.from_iterable(changed)], self.engine, self.pool))
        found = [[*filter(None, islice(labels, len(each)))] for each in changed]
        counts = [Flips(len(each), each.count(label)) for each in found]
        removed, inserted, control, *alone = counts
        removed = Flips(removed.texts, removed.texts - removed.flipped)
        return SuspectCheck(words, label, removed, inserted, control, controls, tuple(alone))

    def _written_control(self, word: str) -> str:
        read = self._read([self.first_with[word]])
        return spelling(*read[0], word) if read else word

    def _with(self, others: _Read, written: str) -> list[ChangedText]:
        rows = [with_words(row, encoded, written) for row, encoded in others]
        return [ChangedText(encoded) for _, encoded in self._read(rows)]

    def _read(self, rows: Sequence[Row]) -> _Read:
        """Return rows with their tokens, without those on which the tokenizer fails."""
        pairs = zip(rows, encoded_rows(rows, self.engine), strict=True)
        return [(row, encoded) for row, encoded in pairs if encoded is not None]
