"""Runs the rounds of the texts of a read-ahead; what happens when a round fails is decided here.

Its interface is `Scheduler(engine, pool).outcomes(texts)`.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.replicas import ReplicaPool
from saliency_cli.attribution.rounds import FirstRound, LaterRound, PartBatch, RoundResult
from saliency_cli.attribution.row_failures import (
    RowFailure,
    attempt,
    find_failing,
    guarded,
    stand_in_ids,
)
from saliency_cli.attribution.text_state import (
    ActiveText,
    EncodedRow,
    Outcome,
    finish,
    quarantined,
)
from saliency_cli.attribution.word_checks import CheckedText, CheckRound, strongest_words
from saliency_cli.explanations import Explanation, WordCheck
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.memory import is_out_of_memory
from saliency_cli.records import Row

if TYPE_CHECKING:
    from saliency_cli.attribution.engine import Engine

Round: TypeAlias = FirstRound | LaterRound | CheckRound


@dataclass(frozen=True, slots=True)
class _Job:
    """A round that was submitted.

    Attributes:
        round: The round.
        budget: Tokens of its batches.
        alone: Whether no other job runs meanwhile, so that this one has all the memory.
        future: Its result.
    """

    round: Round
    budget: Budget
    alone: bool
    future: Future[RoundResult]


class Scheduler:
    """Submits rounds to the replicas, and collects the results in the order of submission.

    Invariant: the rounds, and the batches of each, follow from the texts, the maths and the budget
    alone, never from the number of replicas or from which of them was faster. So a machine with
    more cores gives the same bytes. Texts that need more draws wait until all texts of the wave
    have made as many as they, and then share batches.

    After memory ran out one job runs at a time, which then has all of the memory. A text on which
    the model fails is replaced by a stand-in of its length, so that the batches of the other texts
    stay the same.
    """

    def __init__(self, engine: "Engine", pool: ReplicaPool) -> None:
        self._engine = engine
        self._pool = pool
        self._ahead = pool.ahead
        self._budget = engine.budget
        self._submitted: deque[_Job] = deque()

    def outcomes(self, texts: Sequence[EncodedRow]) -> Iterator[tuple[Row, Outcome]]:
        """Yield each row with its outcome, as soon as it is explained.

        Args:
            texts: The texts, longest first.
        """
        for wave in self._waves(texts):
            rounds: list[Round] = [FirstRound(tuple(batch)) for batch in wave]
            explained: list[tuple[ActiveText, Explanation]] = []
            while rounds:
                unfinished: list[tuple[PartBatch, int]] = []
                for found in self._run(rounds, unfinished):
                    if not isinstance(found, ActiveText):
                        yield found
                        continue
                    outcome = self._finish(found)
                    if self._engine.maths.check_words and isinstance(outcome, Explanation):
                        explained.append((found, outcome))
                    else:
                        yield found.text.row, outcome
                rounds = [*self._next_rounds(unfinished)]
            yield from self._checked(explained)

    def _checked(
        self, explained: Sequence[tuple[ActiveText, Explanation]]
    ) -> Iterator[tuple[Row, Outcome]]:
        """Yield explained texts with the checks of their strongest words."""
        most = self._engine.maths.check_words
        texts = [
            CheckedText(
                active.text,
                explanation,
                active.targets[0],
                tuple(strongest_words(explanation, most=most)),
            )
            for active, explanation in explained
        ]
        texts.sort(key=lambda text: (-text.length, text.text.row.ordinal))
        queue = deque(text for text in texts if text.words)
        rounds = []
        while queue:
            rounds.append(CheckRound(tuple(self._budget.take(queue))))
        checks: dict[int, tuple[WordCheck, ...]] = {}
        for found in self._run(rounds, [], checks):
            assert not isinstance(found, ActiveText)  # noqa: S101 - texts are active no more
        for text in texts:
            row = text.text.row
            yield row, replace(text.explanation, checks=checks.get(row.ordinal, ()))

    def _waves(self, texts: Sequence[EncodedRow]) -> Iterator[list[list[EncodedRow]]]:
        """Yield the batches of texts in groups whose sums fit into memory together."""
        queue, budget = deque(texts), self._engine.clean_budget
        while queue:
            wave: list[list[EncodedRow]] = []
            tokens = 0
            while queue and (not wave or tokens < self._engine.wave_tokens):
                batch = budget.take(queue)
                tokens += sum(text.length * text.passes for text in batch)
                wave.append(batch)
            yield wave

    def _next_rounds(self, unfinished: Sequence[tuple[PartBatch, int]]) -> Iterator[LaterRound]:
        """Yield rounds of the parts that need more draws, packed anew."""
        if not unfinished:
            return
        batch, total = PartBatch.join([batch for batch, _ in unfinished]), unfinished[0][1]
        order = sorted(range(len(batch.keys)), key=lambda n: -batch.keys[n].length)
        method = self._engine.maths.method
        steps = (total - batch.parts.made) * batch.parts.steps_per_draw(method)
        passes = (steps * method.passes_per_draw).tolist()
        queue = deque(_Waiting(n, batch.keys[n].length, passes[n]) for n in order)
        while queue:
            taken = self._budget.take(queue)
            yield LaterRound(batch.select([each.number for each in taken]), total)

    def _run(
        self,
        rounds: Iterable[Round],
        unfinished: list[tuple[PartBatch, int]],
        checks: dict[int, tuple[WordCheck, ...]] | None = None,
    ) -> Iterator[ActiveText | tuple[Row, Outcome]]:
        """Run rounds; yield texts that are complete, and the rows that are quarantined.

        Args:
            rounds: The rounds.
            unfinished: Gets the parts that need more draws.
            checks: Gets the checks of words, by the ordinal of their row.
        """
        waiting = iter(rounds)
        while True:
            while len(self._submitted) < self._ahead and (each := next(waiting, None)):
                self._submitted.append(self._submit(each))
            if not self._submitted:
                return
            for found in self._collect(self._submitted.popleft()):
                if not isinstance(found, RoundResult):
                    yield found
                    continue
                yield from self._complete(found)
                if checks is not None:
                    checks.update(found.checks)
                if found.unfinished is not None:
                    unfinished.append((found.unfinished, found.next_total))

    def _complete(self, found: RoundResult) -> Iterator[ActiveText]:
        """Add the results of a round to their texts; yield the texts that are complete."""
        yield from (active for active in found.active if not active.targets)
        for key, result in found.results:
            key.active.results[key.target, key.window] = result
            if key.active.complete:
                yield key.active

    def _finish(self, active: ActiveText) -> Outcome:
        engine = self._engine
        return finish(active, engine.maths, dtype_error=engine.classifier.dtype_error)

    def _submit(self, each: Round) -> _Job:
        """Submit a round, whose thread first reports the rows that it is about."""
        budget, maths, watch = self._budget, self._engine.maths, self._engine.watch
        ordinals = [text.row.ordinal for text in each.encoded]

        def run(classifier: Classifier) -> RoundResult:
            watch(ordinals)
            return guarded("the model", lambda: each.run(classifier, maths, budget))

        return _Job(each, budget, self._ahead == 1, self._pool.submit(run))

    def _collect(self, job: _Job) -> Iterator[RoundResult | tuple[Row, Outcome]]:
        """Yield the result of a job, or what its texts give after it failed."""
        try:
            yield job.future.result()
        except RowFailure as failure:
            yield from self._replace_texts(job, failure.reason)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            yield from self._retry_smaller(job)

    def _rerun(self, each: Round) -> Iterator[RoundResult | tuple[Row, Outcome]]:
        yield from self._collect(self._submit(each))

    def _replace_texts(self, job: _Job, reason: str) -> Iterator[RoundResult | tuple[Row, Outcome]]:
        """Run a round again, with stand-ins for the texts that fail alone.

        A text whose stand-in fails is quarantined. If no text fails alone, the round is divided.
        """
        texts = job.round.encoded
        failing = find_failing(
            texts, lambda part: attempt(self._submit(job.round.only(part)).future), reason=reason
        )
        if not failing:
            yield from self._retry_smaller(job)
            return
        ids = stand_in_ids(self._engine.classifier)
        replaced: dict[int, EncodedRow] = {}
        given_up = {}
        for position, why in failing.items():
            text = texts[position]
            if text.failure is None:
                replaced[position] = text.replaced(ids, failure=why)
            else:
                given_up[position] = text
                yield text.row, quarantined(text.row, text.failure)
        if len(given_up) < len(texts):
            again = job.round.with_stand_ins(replaced, self._engine.classifier)
            kept = [text for n, text in enumerate(again.encoded) if n not in given_up]
            yield from self._rerun(again.only(kept) if given_up else again)

    def _retry_smaller(self, job: _Job) -> Iterator[RoundResult | tuple[Row, Outcome]]:
        """Run a round again by itself, with fewer tokens in a batch, or in halves.

        A single text whose single draws do not fit is too large: it is quarantined.
        """
        self._ahead = 1
        wait([other.future for other in self._submitted])
        texts = job.round.encoded
        smallest = max(text.length for text in texts) * self._engine.maths.method.passes_per_draw
        if job.budget.tokens > smallest:
            self._budget = min(self._budget, job.budget.halved(), key=lambda each: each.tokens)
            yield from self._rerun(job.round)
        elif len(texts) > 1:
            middle = len(texts) // 2
            for half in (texts[:middle], texts[middle:]):
                yield from self._rerun(job.round.only(half))
        elif not job.alone:
            yield from self._rerun(job.round)
        else:
            text = texts[0]
            reason = f"memory ran out on one pass over its {text.length} tokens"
            yield text.row, quarantined(text.row, text.failure or reason)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A part that needs more draws.

    Attributes:
        number: Its number among them.
        length: Tokens of its window.
        passes: Passes of its next round.
    """

    number: int
    length: int
    passes: int
