"""What the manifest says of a run before its first row, and who may go on with the run.

Everything in it means the same on another machine: no path, no clock.
"""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any, TypeAlias

import torch

from saliency_cli import __version__
from saliency_cli.attribution.engine import Engine
from saliency_cli.errors import UsageError
from saliency_cli.inputs.text_source import Source
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import SCHEMA
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.safe_text import visible
from saliency_cli.settings import Request

LIBRARIES = ("tokenizers", "torch", "transformers")
PAGES_ONLY = ("html_rows", "single_file", "title")
"""Options that change no number."""
Name: TypeAlias = tuple[str, ...]


def describe(request: Request, engine: Engine, source: Source) -> dict[str, Any]:
    """Say what a run is to be, all but which rows there are."""
    classifier = engine.classifier
    return {
        "schema": SCHEMA,
        "versions": _versions(),
        "model": _model(request, classifier),
        "input": {"name": visible(source.name)},
        "options": _options(request),
        "seed": request.maths.sampling.seed,
        "device": classifier.device.type,
        "dtype": str(classifier.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "attention": classifier.attention,
        "matmul_backend": classifier.matmul_backend,
        "deterministic": classifier.deterministic,
        "dtype_error": classifier.dtype_error,
        "streams": engine.streams,
        "batch_tokens": engine.budget.tokens,
        "hashes": {**classifier.hashes, "input": None},
        "shards": {"rows": request.division.shard_rows},
    }


def lay_down(description: dict[str, Any], source: Source, *, folder: RunFolder) -> dict[str, Any]:
    """Read the input once, and write the plan: from here on the run can be gone on with.

    Raises:
        UsageError: the input cannot be read.
        OutputError: the plan, or the copy of an input that comes only once, cannot be written.
    """
    folder.clear()
    rows = description["shards"]["rows"]
    positions = [*source.positions(rows, spool=None if source.seekable else folder.spool)]
    manifest = {
        **description,
        "hashes": {**description["hashes"], "input": source.sha256()},
        "planned": source.count,
        "shards": {
            **description["shards"],
            "offsets": [place.offset for place in positions],
            "lines": [place.line for place in positions],
        },
    }
    folder.write_manifest(manifest)
    return manifest


def as_begun(request: Request, manifest: Mapping[str, Any]) -> Request:
    """Return the request with the choices of the run that it goes on with, where it left them open.

    Number format, attention, batches and threads change the last digits; what the number format
    moves is not measured again.
    """
    compute = request.compute
    torch.set_num_threads(manifest["threads"])
    chosen = {
        name: manifest[name]
        for name in ("device", "dtype", "attention")
        if getattr(compute, name) == "auto" and _can_be_asked_for(name, manifest[name])
    }
    tokens = compute.batch_tokens or manifest["batch_tokens"]
    compute = replace(compute, batch_tokens=tokens, dtype_error=manifest["dtype_error"], **chosen)
    return replace(request, compute=compute)


def _can_be_asked_for(name: str, value: str) -> bool:
    return name != "attention" or value in {"eager", "sdpa"}


def check_same(
    before: Mapping[str, Any], now: Mapping[str, Any], *, folder: RunFolder, source: Source
) -> None:
    """See that a run can be gone on with: that it would write the same numbers.

    Raises:
        UsageError: it would not; says what differs.
    """
    found = differences(before, now)
    if not found and source.seekable and source.sha256() != before["hashes"]["input"]:
        found = [f"{visible(source.name)} is another input"]
    if found:
        name = visible(str(folder.path))
        raise UsageError(
            f"the run in {name} cannot be gone on with: {'; '.join(found[:4])}",
            "ask for the same as before, or begin anew with --overwrite",
        )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what of two runs differs that changes numbers; which rows there are is left out."""
    return [*_differences(before, now)]


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = dict(_flat(before)), dict(_flat(now))
    for name in sorted(old.keys() | new.keys(), key=lambda name: (name[0] != "hashes", name)):
        if old.get(name) != new.get(name) and not _harmless(name):
            was, now_is = (visible(str(values.get(name))) for values in (old, new))
            kind, last = name[0], name[-1]
            if kind == "hashes":
                yield f"{last} of the {name[1]} is another file"
            else:
                yield f"{_called(kind, last)} was {was}, and is {now_is}"


def _flat(values: Mapping[str, Any], above: Name = ()) -> Iterator[tuple[Name, Any]]:
    """Yield what a manifest says, each under the names that lead to it."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, (*above, name))
        else:
            yield (*above, name), value


def _harmless(name: Name) -> bool:
    """Say whether two runs may differ in this: it changes no number, or is looked at elsewhere."""
    if name[0] in {"planned", "counts", "dtype_error"} or name == ("hashes", "input"):
        return True
    if name[0] == "shards":
        return name[-1] != "rows"
    return name == ("versions", "python") or (name[0] == "options" and name[-1] in PAGES_ONLY)


def _called(kind: str, last: str) -> str:
    """Return what a person calls an entry of the manifest: an option where there is one."""
    if kind == "versions":
        return f"the version of {last}"
    if kind == "input":
        return "the input's name"
    if kind == "shards":
        return "--shard-rows"
    if kind in {"options", "seed", "device", "dtype", "attention", "batch_tokens"}:
        return f"--{last.replace('_', '-')}"
    if last in {"max_length", "embedding_layer"}:
        return f"--{last.replace('_', '-')}"
    return f"the model's {last.replace('_', ' ')}" if kind == "model" else last


def _versions() -> dict[str, str]:
    versions = {name: version(name) for name in LIBRARIES}
    return {**versions, "python": platform.python_version(), "saliency": __version__}


def _model(request: Request, classifier: Classifier) -> dict[str, Any]:
    return {
        "name": visible(request.model.checkpoint.absolute().name),
        "architecture": type(classifier.module).__name__,
        "embedding_layer": classifier.embedding_name,
        "head": classifier.head,
        "labels": list(classifier.labels),
        "max_length": classifier.max_length,
        "padding_blind": classifier.padding_blind,
        "parameters": sum(weight.numel() for weight in classifier.module.parameters()),
    }


def _options(request: Request) -> dict[str, Any]:
    maths, sampling, columns = request.maths, request.maths.sampling, request.texts.columns
    return {
        "antithetic": sampling.antithetic,
        "contrast": maths.target.contrast,
        "html_rows": request.output.pages.html_rows,
        "id_column": columns.id,
        "label_column": columns.label,
        "limit": request.texts.limit,
        "method": maths.method,
        "noise": sampling.noise,
        "objective": maths.objective,
        "pair_column": columns.pair,
        "preset": request.preset,
        "reduction": maths.reduction,
        "samples": "auto" if sampling.samples is None else sampling.samples,
        "single_file": request.output.pages.single_file,
        "stride": request.compute.stride,
        "target": maths.target.name,
        "text_column": columns.text,
        "tolerance": sampling.tolerance,
        "threshold": maths.target.threshold,
        "title": None
        if request.output.pages.title is None
        else visible(request.output.pages.title),
    }
