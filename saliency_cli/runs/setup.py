"""Getting ready to explain shards: the texts opened, the model loaded, the plan laid or found."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.model_checks import check_reduction
from saliency_cli.attribution.replicas import replicable
from saliency_cli.checkpoints import load
from saliency_cli.checkpoints.lengths import choose_stride
from saliency_cli.cli.console import Console
from saliency_cli.inputs.text_source import Source, open_texts
from saliency_cli.model.devices import WINDOW_ROWS, choose_batch_tokens, choose_streams
from saliency_cli.model.heads import check_targets
from saliency_cli.runs.finished_run import read_checked_manifest
from saliency_cli.runs.folder_lock import Lock, lock_folder, open_shard_locks
from saliency_cli.runs.manifest import as_begun, check_same, describe, lay_down
from saliency_cli.runs.run_folder import MANIFEST, RunFolder
from saliency_cli.runs.shard_plan import Plan
from saliency_cli.runs.shard_runner import RunContext
from saliency_cli.settings import Question, Request


@contextmanager
def begun(request: Request, console: Console) -> Iterator[tuple[RunContext, Lock]]:
    """Lock the folder, and lay the plan of the run there or find the one to go on with.

    Raises:
        SaliencyError: what was asked for cannot be done; nothing is left of it then.
    """
    folder, shared = RunFolder(request.output.folder), request.division.share is not None
    spooled = None if request.output.overwrite else _spooled(folder)
    with open_texts(request.texts, spooled=spooled) as source:
        fresh = not folder.path.exists()
        with lock_folder(folder.lock, shared=shared) as lock:
            try:
                with lock.planning():
                    job = _planned(request, source, folder=folder, console=console)
            except BaseException:
                if not shared:
                    folder.rollback(fresh=fresh)
                raise
            with _settled():
                yield job, lock


@contextmanager
def joined(request: Request) -> Iterator[tuple[RunContext, Lock]]:
    """Work on shards of a run that another process has begun, and has locked the folder for."""
    folder = RunFolder(request.output.folder)
    manifest = folder.read_manifest()
    with (
        open_texts(request.texts, spooled=_spooled(folder)) as source,
        open_shard_locks(folder.lock) as lock,
    ):
        engine = build_engine(as_begun(request, manifest))
        with _settled():
            yield RunContext(folder, manifest, Plan.from_manifest(manifest), source, engine), lock


@contextmanager
def _settled() -> Iterator[None]:
    """Have the collector pass over what is loaded: to look at it takes 0.2 s, every few seconds."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _planned(
    request: Request, source: Source, *, folder: RunFolder, console: Console
) -> RunContext:
    """Return the job of a run that is begun here, or gone on with; others are kept waiting."""
    before = None if request.output.overwrite else read_checked_manifest(folder)
    if before is not None:
        request = as_begun(request, before)
    elif (threads := request.engine.threads(torch.get_num_threads())) != torch.get_num_threads():
        torch.set_num_threads(threads)
    with console.waiting("loading the model"):
        engine = build_engine(request, device_share=request.engine.device_share)
    now = describe(request, engine, source)
    with console.waiting("counting the rows"):
        if before is None:
            manifest = lay_down(now, source, folder=folder)
        else:
            check_same(before, now, folder=folder, source=source)
            manifest = {**before, "options": now["options"]}
    return RunContext(folder, manifest, Plan.from_manifest(manifest), source, engine)


def _spooled(folder: RunFolder) -> Path | None:
    """Return the copy of an input that came only once; without a plan it may not be whole."""
    whole = folder.spool.is_file() and (folder.path / MANIFEST).exists()
    return folder.spool if whole else None


def build_engine(request: Request | Question, *, device_share: float = 1.0) -> Engine:
    """Load the model that is asked for, and see that the maths fits it."""
    classifier = load(request.model, request.compute)
    check_targets(request.maths, labels=classifier.labels, head=classifier.head)
    check_reduction(
        classifier, reduction=request.maths.reduction, objective=request.maths.objective
    )
    tokens = choose_batch_tokens(
        request.compute, classifier.device, classifier.module, share=device_share
    )
    budget = Budget(tokens, equal_lengths=not classifier.padding_blind)
    return Engine(
        classifier,
        request.maths,
        budget,
        streams=choose_streams(classifier.device) if replicable(classifier) else 1,
        stride=choose_stride(request.compute, classifier),
        window=WINDOW_ROWS[classifier.device.type],
    )
