"""How the texts of one read-ahead become batches; all decisions about batches are here.

Its interface is `Scheduler(engine, pool, texts).outcomes()`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING

import torch

from saliency_cli.attribution.accumulator import Draws, add_results, evaluate_draws
from saliency_cli.attribution.baselines import with_baselines
from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.draw_batch import DrawResults
from saliency_cli.attribution.replicas import BatchJob, ReplicaPool, Result
from saliency_cli.attribution.row_failures import (
    RowFailure,
    attempt,
    find_failing,
    guarded,
    stand_in_ids,
)
from saliency_cli.attribution.text_state import (
    ActiveText,
    ActiveTexts,
    EncodedRow,
    Outcome,
    activate,
    finish,
    quarantined,
)
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.memory import is_out_of_memory
from saliency_cli.model.passes import CleanPass, check_width, clean_passes
from saliency_cli.records import Encoding, Row
from saliency_cli.settings import BaselineName

if TYPE_CHECKING:
    from saliency_cli.attribution.engine import Engine

SMALLEST_SHARE = 0.25
"""The last draws are divided among the replicas, in batches of a quarter of the budget or more."""


@dataclass(frozen=True, slots=True)
class _CleanJob:
    """Clean passes that were submitted.

    `alone` is whether no other job runs meanwhile, so that this one has all the memory.
    """

    texts: Sequence[EncodedRow]
    budget: Budget
    alone: bool
    future: Future[list[CleanPass]]


@dataclass(frozen=True, slots=True)
class _DrawJob:
    """A batch of draws that was submitted, after `failures` other batches of draws had failed."""

    draws: Sequence[Draws]
    budget: Budget
    alone: bool
    failures: int
    future: Future[DrawResults]


class Scheduler:
    """Submits the texts of a read-ahead to the replicas, batch by batch, and collects the results.

    Invariant: which batch is submitted next depends on the results of all batches but the last few,
    which are not collected yet; results are collected in the order of submission. So batches depend
    on the texts alone, never on which replica was faster. After memory ran out one job runs at a
    time, which then has all of the memory. A text on which the model fails is replaced by a
    stand-in of its length, so that the batches of the other texts stay the same.
    """

    def __init__(self, engine: "Engine", pool: ReplicaPool, texts: Sequence[EncodedRow]) -> None:
        self._engine = engine
        self._pool = pool
        self._waiting = deque(texts)
        self._ahead = pool.ahead
        self._active = ActiveTexts()
        self._submitted: deque[_CleanJob | _DrawJob] = deque()
        self._failures = 0

    def outcomes(self) -> Iterator[tuple[Row, Outcome]]:
        """Yield each row with its outcome, as soon as it is explained."""
        while True:
            while len(self._submitted) < self._ahead and self._submit_next():
                pass
            if not self._submitted:
                return
            yield from self._collect_oldest()

    def _submit_next(self) -> bool:
        """Submit clean passes if draws run short, else draws; return False if nothing is left."""
        tokens, budget = self._active.tokens, self._engine.budget
        activating = any(isinstance(job, _CleanJob) for job in self._submitted)
        if self._waiting and not activating and tokens < self._pool.ahead * budget.tokens:
            texts = self._engine.clean_budget.take(self._waiting)
            self._submitted.append(self._clean_job(texts, budget))
        elif tokens >= budget.tokens or (tokens and not activating):
            budget = budget if self._waiting or activating else self._even_share(tokens)
            draws = budget.take(self._active.queue)
            self._submitted.append(self._draw_job(draws, budget))
        else:
            return False
        return True

    def _clean_job(self, texts: Sequence[EncodedRow], budget: Budget) -> _CleanJob:
        future = self._submit_clean(texts)
        return _CleanJob(texts, budget, self._ahead == 1, future)

    def _draw_job(self, draws: Sequence[Draws], budget: Budget) -> _DrawJob:
        future = self._submit_draws(draws)
        return _DrawJob(draws, budget, self._ahead == 1, self._failures, future)

    def _submit_draws(self, draws: Sequence[Draws]) -> Future[DrawResults]:
        return self._watched(self._active.ordinals(draws), partial(evaluate_draws, draws))

    def _submit_clean(self, texts: Sequence[EncodedRow]) -> Future[list[CleanPass]]:
        ordinals = [text.row.ordinal for text in texts]
        baseline = self._engine.maths.method.baseline_name
        budget = self._engine.clean_budget
        return self._watched(
            ordinals, partial(run_clean_passes, texts, budget=budget, baseline=baseline)
        )

    def _watched(self, ordinals: Sequence[int], job: BatchJob[Result]) -> Future[Result]:
        """Submit a job whose thread first reports the rows that it is about."""
        watch = self._engine.watch

        def run(classifier: Classifier) -> Result:
            watch(ordinals)
            return guarded("the model", partial(job, classifier))

        return self._pool.submit(run)

    def _even_share(self, tokens: int) -> Budget:
        """Return a budget that divides the last draws evenly, so that no replica is idle."""
        budget = self._engine.budget
        share = max(-(-tokens // self._pool.count), int(SMALLEST_SHARE * budget.tokens))
        return replace(budget, tokens=min(budget.tokens, share))

    def _collect_oldest(self) -> Iterator[tuple[Row, Outcome]]:
        """Wait for the job that was submitted first; yield the rows that it completes."""
        job = self._submitted.popleft()
        try:
            job.future.result()
        except RowFailure as failure:
            if isinstance(job, _CleanJob):
                yield from self._replace_texts(job, failure.reason)
            else:
                yield from self._replace_active(job, failure.reason)
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            yield from self._retry_smaller(job)
            return
        yield from self._activate(job) if isinstance(job, _CleanJob) else self._add(job)

    def _activate(self, job: _CleanJob) -> Iterator[tuple[Row, Outcome]]:
        """Store predictions and queue the first draws; yield the texts that need none."""
        cleans = iter(job.future.result())
        for text in job.texts:
            own = list(islice(cleans, text.passes))
            active = activate(
                text, own, classifier=self._engine.classifier, maths=self._engine.maths
            )
            self._active.add(active)
            if not active.accumulators:
                yield text.row, finish(active)

    def _add(self, job: _DrawJob) -> Iterator[tuple[Row, Outcome]]:
        """Add the results of a batch; yield the texts that are finished."""
        for accumulator in add_results(job.draws, job.future.result()):
            finished = self._active.advance(accumulator)
            if finished is not None:
                yield finished.text.row, finish(finished)

    def _replace_texts(self, job: _CleanJob, reason: str) -> Iterator[tuple[Row, Outcome]]:
        """Submit clean passes again, with stand-ins for the texts that fail alone.

        A text whose stand-in fails is quarantined. If no text fails alone, the batch is halved.
        """
        failing = find_failing(
            job.texts, lambda part: attempt(self._submit_clean(part)), reason=reason
        )
        if not failing:
            yield from self._retry_smaller(job)
            return
        kept, ids = [], stand_in_ids(self._engine.classifier)
        for position, text in enumerate(job.texts):
            if position not in failing:
                kept.append(text)
            elif text.failure is None:
                kept.append(text.replaced(ids, failure=failing[position]))
            else:
                yield text.row, quarantined(text.row, text.failure)
        if kept:
            self._submitted.appendleft(self._clean_job(kept, job.budget))

    def _replace_active(self, job: _DrawJob, reason: str) -> Iterator[tuple[Row, Outcome]]:
        """Submit draws again, with stand-ins for the texts that fail alone; see `_replace_texts`.

        A job that was submitted before the last failure may fail on the same text.
        """
        if job.failures == self._failures:
            texts = self._active.by_text(job.draws)
            failing = find_failing(
                texts, lambda part: attempt(self._submit_draws(_draws_of(part))), reason=reason
            )
            if not failing:
                yield from self._retry_smaller(job)
                return
            self._failures += 1
            ids = stand_in_ids(self._engine.classifier)
            for position, why in failing.items():
                active, _draws = texts[position]
                if active.text.failure is None:
                    active.replace_text(ids, failure=why)
                else:
                    self._active.remove(active)
                    yield active.text.row, quarantined(active.text.row, active.text.failure)
        draws = [each for each in job.draws if each.accumulator in self._active]
        if draws:
            self._submitted.appendleft(self._draw_job(draws, job.budget))

    def _retry_smaller(self, job: _CleanJob | _DrawJob) -> Iterator[tuple[Row, Outcome]]:
        """Queue a job again with half the tokens; quarantine a text that is too large by itself."""
        self._ahead = 1
        tokens = min(self._engine.budget.tokens, job.budget.halved().tokens)
        before, self._engine = self._engine, self._engine.with_batch_tokens(tokens)
        if isinstance(job, _DrawJob):
            given_up = self._active.put_back(job.draws, give_up=job.alone)
            too_large = [active.text for active in given_up]
        elif job.alone and _is_one_pass(job.texts, before.clean_budget):
            too_large = [*job.texts]
        else:
            too_large = []
            self._waiting.extendleft(reversed(job.texts))
        for text in too_large:
            reason = f"memory ran out on one pass over its {text.length} tokens"
            yield text.row, quarantined(text.row, text.failure or reason)


def _draws_of(texts: Sequence[tuple[ActiveText, list[Draws]]]) -> list[Draws]:
    return [each for _active, draws in texts for each in draws]


def _is_one_pass(texts: Sequence[EncodedRow], budget: Budget) -> bool:
    """Whether clean passes cannot be divided further."""
    return len(texts) == 1 and _passes_per_batch(texts, budget) == 1


def _passes_per_batch(texts: Sequence[EncodedRow], budget: Budget) -> int:
    """Return how many clean passes fit into a budget, at least one."""
    return max(1, budget.tokens // max(text.length for text in texts))


def run_clean_passes(
    texts: Sequence[EncodedRow],
    classifier: Classifier,
    *,
    budget: Budget,
    baseline: BaselineName | None = None,
) -> list[CleanPass]:
    """Return the clean pass of each window of some texts, in order.

    Args:
        texts: The texts; the windows of a single long one may fill many batches.
        classifier: The model or a replica of it.
        budget: Tokens of a batch.
        baseline: The method's baseline, whose embeddings are computed as well.
    """
    encodings = [window.encoding for text in texts for window in text.encoded.windows]
    size = _passes_per_batch(texts, budget)
    batch_key: Callable[[Encoding], int] = len if budget.equal_lengths else lambda _encoding: 0
    cleans: list[CleanPass] = []
    for _key, group in groupby(encodings, key=batch_key):
        while batch := list(islice(group, size)):
            found = clean_passes(classifier, batch)
            check_width(torch.stack([c.logits for c in found]), labels=len(classifier.labels))
            cleans += found if baseline is None else with_baselines(found, baseline, classifier)
    return cleans
