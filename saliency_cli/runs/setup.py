"""What shards need before they are explained: the input opened, the model loaded, a plan."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.model_checks import check_reduction
from saliency_cli.attribution.replicas import can_replicate
from saliency_cli.checkpoints import load
from saliency_cli.checkpoints.lengths import choose_stride
from saliency_cli.errors import UsageError
from saliency_cli.inputs.text_source import Source, open_texts
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import (
    READ_AHEAD_ROWS,
    choose_batch_tokens,
    choose_replicas,
    usable_cores,
)
from saliency_cli.model.heads import check_targets
from saliency_cli.progress import Progress
from saliency_cli.runs.finished_run import read_checked_manifest
from saliency_cli.runs.folder_lock import Lock, lock_folder, open_shard_locks
from saliency_cli.runs.manifest import (
    check_resumable,
    describe,
    with_planned_choices,
    write_plan,
)
from saliency_cli.runs.ownership import MANIFEST, sha256_of
from saliency_cli.runs.request import Question, Request
from saliency_cli.runs.rollback import Before
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.shard_plan import Plan
from saliency_cli.runs.shard_runner import RunContext
from saliency_cli.safe_text import visible
from saliency_cli.settings import Compute

Check: TypeAlias = Callable[[Engine], None]
"""Raises an error if what else was asked for does not fit the loaded model."""


@contextmanager
def start_run(
    request: Request,
    progress: Progress,
    *,
    check: Check = lambda _engine: None,
) -> Iterator[tuple[RunContext, Lock]]:
    """Lock the folder, and write the plan of a new run or read that of the run to resume.

    A failed start is rolled back: what it made is removed, and what was here before stays.

    Args:
        request: The options.
        progress: Shows that the model is loaded and the rows are counted.
        check: Raises an error if what else was asked for does not fit the loaded model.

    Raises:
        SaliencyError: The run cannot be started or resumed.
    """
    folder, shared = RunFolder(request.output.folder), request.sharding.selection is not None
    spooled = None if request.output.overwrite else _spooled_input(folder)
    if spooled is not None:
        _check_copy(spooled, folder)
    with open_texts(request.texts, spooled=spooled) as source:
        before = Before.of(folder)
        with lock_folder(folder.lock, shared=shared) as lock:
            try:
                with lock.planning():
                    context = _plan(request, source, folder=folder, progress=progress, check=check)
            except BaseException:
                if lock.become_exclusive():  # else another process works in the folder
                    before.restore()
                raise
            with _frozen_objects():
                yield context, lock


@contextmanager
def join_run(request: Request, engine: Engine | None = None) -> Iterator[tuple[RunContext, Lock]]:
    """Explain shards of a run that another process has planned and locked.

    Args:
        request: The options.
        engine: The loaded model, in a process that was forked with it; else the model is loaded.

    Raises:
        SaliencyError: The run cannot be joined.
    """
    folder = RunFolder(request.output.folder)
    manifest = folder.read_manifest()
    with (
        open_texts(request.texts, spooled=_spooled_input(folder)) as source,
        open_shard_locks(folder.lock) as lock,
    ):
        if engine is None:
            engine = build_engine(with_planned_choices(request, manifest))
        with _frozen_objects():
            yield RunContext(folder, manifest, Plan.from_manifest(manifest), source, engine), lock


@contextmanager
def _frozen_objects() -> Iterator[None]:
    """Freeze loaded objects, so that garbage collection skips them (a full one takes 0.2 s)."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _plan(
    request: Request, source: Source, *, folder: RunFolder, progress: Progress, check: Check
) -> RunContext:
    """Return the context of a run that is new or resumed; other processes wait meanwhile."""
    before = None if request.output.overwrite else read_checked_manifest(folder)
    if before is not None:
        request = with_planned_choices(request, before)
    with progress.waiting("loading the model"):
        engine = build_engine(request, device_share=request.execution.device_share)
        check(engine)
    now = describe(request, engine, source)
    with progress.waiting("counting the rows"):
        if before is None:
            manifest = write_plan(now, source, folder=folder)
        else:
            check_resumable(before, now, folder=folder, source=source)
            manifest = {**before, "options": now["options"]}
    return RunContext(folder, manifest, Plan.from_manifest(manifest), source, engine)


def _spooled_input(folder: RunFolder) -> Path | None:
    """Return the copy of an input that can be read only once, if a plan says that it is whole."""
    whole = folder.spool.is_file() and (folder.path / MANIFEST).exists()
    return folder.spool if whole else None


def _check_copy(copy: Path, folder: RunFolder) -> None:
    """Check the copy of an input before it is read: errors in it would be told of the input.

    Raises:
        UsageError: The copy is not the one that the run made, or the manifest is damaged.
    """
    manifest = read_checked_manifest(folder)
    planned = None if manifest is None else manifest["hashes"]["input"]
    if planned is not None and sha256_of(copy) != planned:
        raise UsageError(
            f"{visible(str(copy))} is not the copy of the input that the run made: its SHA-256 "
            f"differs from the one in {MANIFEST}",
            "start a new run with --overwrite",
        )


def build_engine(request: Request | Question, *, device_share: float = 1.0) -> Engine:
    """Return the engine for a request: the model loaded, and the maths checked against it.

    Args:
        request: The options.
        device_share: Share of the device's memory that this process may use, above 0, at most 1.

    Raises:
        CheckpointError: The model or its tokenizer is refused.
        UsageError: An option does not fit the model.
    """
    pair = request.pair if isinstance(request, Question) else request.texts.columns.pair
    if request.model.hypothesis is not None and pair is not None:
        raise UsageError(
            "--hypothesis takes the place of a second text", "leave out the pair, or --hypothesis"
        )
    classifier = load(request.model, request.compute, request.maths)
    return engine_for(classifier, request.maths, request.compute, device_share=device_share)


def engine_for(
    classifier: Classifier, maths: Maths, compute: Compute, *, device_share: float = 1.0
) -> Engine:
    """Return the engine for a loaded model, after a check that the maths fits it.

    Args:
        classifier: The model, with the propagation and the number format of the maths.
        maths: What is computed.
        compute: Size of the batches, and overlap of windows.
        device_share: Share of the device's memory that this process may use, above 0, at most 1.

    Raises:
        UsageError: An option does not fit the model.
    """
    check_targets(
        maths.target, objective=maths.objective, labels=classifier.labels, head=classifier.head
    )
    check_reduction(classifier, maths)
    maths.method.check(classifier)
    tokens = choose_batch_tokens(compute, classifier.device, classifier.module, share=device_share)
    replicas = choose_replicas(classifier.device, cores=usable_cores())
    return Engine(
        classifier,
        maths,
        Budget(tokens, equal_lengths=not classifier.padding_blind),
        replicas=replicas if can_replicate(classifier) else 1,
        stride=choose_stride(compute, classifier),
        read_ahead_rows=READ_AHEAD_ROWS[classifier.device.type],
    )
