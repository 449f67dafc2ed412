"""The manifest of a run: what decides its numbers, and which processes may join or resume it.

The options in it are derived from the fields of `Request`, so a new option is recorded and compared
unless its declaration says otherwise (`settings.Effect`). The manifest holds no path, no clock and
no host name.
"""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from saliency_cli import __version__
from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.reduction import is_signed, promises_completeness
from saliency_cli.errors import UsageError
from saliency_cli.inputs.text_source import Source
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import DTYPES
from saliency_cli.model.instruction_set import instruction_set
from saliency_cli.records import SCHEMA, RowPosition
from saliency_cli.runs.request import Request
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.shard_plan import choose_shards
from saliency_cli.safe_text import excerpt, visible
from saliency_cli.settings import Effect, Setting, settings_of

LIBRARIES = ("tokenizers", "torch", "transformers")
KeyPath: TypeAlias = tuple[str, ...]
"""The keys that lead to a value of the manifest."""
_RECORDED = (Effect.NUMBERS, Effect.PAGES)
_PAGE_OPTIONS = {each.name for each in settings_of(Request) if each.option.effect is Effect.PAGES}
_OPTIONS_AT_TOP = ("seed", "device", "dtype", "attention", "batch_tokens", "propagation")
"""Keys of the manifest's top level that are named like the option that decides them."""
_OPTIONS_BELOW = ("max_length", "embedding_layer", "encoding", "delimiter")
"""Keys of `model` and `input` that are."""


def describe(request: Request, engine: Engine, source: Source) -> dict[str, Any]:
    """Return the manifest of a run without its rows: everything that decides numbers.

    Args:
        request: The options.
        engine: The loaded model, and what was chosen for options left at "auto".
        source: The open input.
    """
    classifier = engine.classifier
    options = recorded_options(request)
    return {
        "schema": SCHEMA,
        "versions": _versions(),
        "model": _model(request, classifier),
        "method": method_fields(request.maths),
        "input": {"name": visible(source.name), **source.dialect._asdict()},
        "options": options,
        "seed": options.get("seed"),
        "device": classifier.device.type,
        "dtype": str(classifier.dtype).removeprefix("torch."),
        "attention": classifier.attention,
        "propagation": classifier.propagation if request.maths.propagation else None,
        "matmul_backend": classifier.matmul_backend,
        "instruction_set": instruction_set(classifier.device),
        "deterministic": classifier.deterministic,
        "dtype_error": classifier.dtype_error,
        "batch_tokens": engine.budget.tokens,
        "hashes": {**classifier.hashes, "input": None},
        "shards": {"rows": request.sharding.shard_rows},
    }


def recorded_options(request: Request) -> dict[str, Any]:
    """Return the options that the manifest records, by name, derived from their declarations."""
    options: dict[str, Any] = {}
    for setting in settings_of(Request):
        value = reduce(getattr, setting.path, request)
        if isinstance(value, Method):
            options["method"] = value.name
            parameters = ((each, getattr(value, each.path[0])) for each in settings_of(type(value)))
            options |= {each.name: _recorded_value(each, given) for each, given in parameters}
        elif setting.option.effect in _RECORDED:
            options[setting.name] = _recorded_value(setting, value)
    return options


def _recorded_value(setting: Setting, value: Any) -> Any:  # noqa: ANN401 - whatever an option holds
    if setting.option.record is not None:
        value = setting.option.record(value)
    return visible(value) if isinstance(value, str) else value


def write_plan(description: dict[str, Any], source: Source, *, folder: RunFolder) -> dict[str, Any]:
    """Read the input once, write the plan and return it: from here on the run can be resumed.

    Args:
        description: What `describe` returned.
        source: The open input; one that can be read only once is copied into the folder.
        folder: The run folder. It is cleared once the rows are counted; a stream is copied into
            the folder meanwhile.

    Raises:
        UsageError: The input cannot be read.
        OutputError: The plan, or the copy of the input, cannot be written.
    """
    chosen = description["shards"]["rows"]
    spool = None if source.seekable else folder.start_spool()
    rows, positions = _shards(chosen, source, spool=spool)
    sha256 = source.sha256()
    if spool is None:
        folder.clear()
    else:
        folder.finish_spool()
    manifest = {
        **description,
        "hashes": {**description["hashes"], "input": sha256},
        "planned": source.count,
        "shards": {
            "rows": rows,
            "offsets": [position.offset for position in positions],
            "lines": [position.line for position in positions],
        },
    }
    folder.write_manifest(manifest)
    return manifest


def _shards(
    chosen: int | None, source: Source, *, spool: Path | None = None
) -> tuple[int, list[RowPosition]]:
    """Return the rows of a shard, and where each shard begins; the rows are counted meanwhile."""
    if chosen is None:
        return choose_shards(source, spool=spool)
    return chosen, [*source.positions(chosen, spool=spool)]


def with_planned_choices(request: Request, manifest: Mapping[str, Any]) -> Request:
    """Return the request with the plan's choices where it leaves them open.

    Device, number format, attention, batches and shards change the last digits; the error of the
    number format is not measured again.

    Args:
        request: The options of the process that resumes or joins.
        manifest: The plan.
    """
    compute = request.compute
    chosen = {
        name: manifest[name]
        for name in ("device", "dtype", "attention")
        if getattr(compute, name) == "auto" and _is_option_value(name, manifest[name])
    }
    tokens = compute.batch_tokens or manifest["batch_tokens"]
    compute = replace(compute, batch_tokens=tokens, dtype_error=manifest["dtype_error"], **chosen)
    rows = request.sharding.shard_rows or manifest["shards"]["rows"]
    return replace(request, compute=compute, sharding=replace(request.sharding, shard_rows=rows))


def _is_option_value(name: str, value: str) -> bool:
    """Whether an option takes a value of the manifest; a model may have another attention.

    A value that is left out is compared with the process's own, and told of as a difference.
    """
    if name == "dtype":
        return value in DTYPES
    return name != "attention" or value in {"eager", "sdpa"}


def check_resumable(
    before: Mapping[str, Any], now: Mapping[str, Any], *, folder: RunFolder, source: Source
) -> None:
    """Check that a run can be resumed: that this process would write the same records.

    Args:
        before: The manifest in the run folder.
        now: What `describe` returned for this process.
        folder: The run folder, for the message.
        source: The open input; its hash is compared if it can be read twice, and what arrives at
            standard input is compared with the copy in the folder.

    Raises:
        UsageError: This process would write other records; the message names what differs.
    """
    found = differences(before, now)
    if not found and source.seekable and source.sha256() != before["hashes"]["input"]:
        found = [f"{visible(source.name)} is another input"]
    if not found and not source.matches_arriving():
        found = [f"{_shown_name(source)} is another input"]
    if found:
        name = visible(str(folder.path))
        raise UsageError(
            f"the run in {name} cannot be resumed: {'; '.join(found[:4])}",
            "give the same options and files as before, or start a new run with --overwrite",
        )


def _shown_name(source: Source) -> str:
    return "standard input" if source.name == "-" else visible(source.name)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between two manifests and changes numbers, files first.

    Args:
        before: The manifest of the run.
        now: That of the process which is about to write into it; rows and counts are left out.
    """
    old, new = dict(_flat(before)), dict(_flat(now))
    keys = sorted(old.keys() | new.keys(), key=lambda key: (key[0] != "hashes", key))
    return [
        _difference(key, old.get(key), new.get(key))
        for key in keys
        if old.get(key) != new.get(key) and not _may_differ(key)
    ]


def _difference(key: KeyPath, before: object, now: object) -> str:
    if key[0] == "hashes":
        return f"{excerpt(key[-1])} of the {key[1]} is another file"
    was, is_now = excerpt(str(before)), excerpt(str(now))
    return f"{excerpt(_spelled(key))} was {was}, and is {is_now}"


def _flat(values: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the values of a manifest with the keys that lead to each."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, (*above, name))
        else:
            yield (*above, name), value


def _may_differ(key: KeyPath) -> bool:
    """Whether two processes of a run may differ in a value of the manifest.

    Everything counts but what is listed here: what the run writes once it is planned, what is
    checked elsewhere, and options that change the pages alone.
    """
    if key[0] in {"planned", "counts", "dtype_error", "gates"} or key == ("hashes", "input"):
        return True
    if key[0] == "shards":
        return key[-1] != "rows"
    if key[0] == "options":
        return key[-1] in _PAGE_OPTIONS
    return key == ("versions", "python")


def _spelled(key: KeyPath) -> str:
    """Return what a user calls a value of the manifest: an option where there is one."""
    kind, last = key[0], key[-1]
    option = f"--{last.replace('_', '-')}"
    if kind in {"options", *_OPTIONS_AT_TOP} or last in _OPTIONS_BELOW:
        return option
    names = {"input": "the input's name", "shards": "--shard-rows"}
    names |= {"versions": f"the version of {last}", "model": f"the model's {_words(last)}"}
    names |= {"instruction_set": f"the machine's instruction set ({_words(last)})"}
    return names.get(kind, _words(last))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _versions() -> dict[str, str]:
    versions = {name: version(name) for name in LIBRARIES}
    return {**versions, "python": platform.python_version(), "saliency": __version__}


def method_fields(maths: Maths) -> dict[str, Any]:
    """Return what the method is, as the pages describe it."""
    method = maths.method
    return {
        "name": method.name,
        "title": method.title,
        "is_random": method.is_random,
        "is_signed": is_signed(maths),
        "has_flip_rate": method.has_flip_rate,
        "is_complete": promises_completeness(maths),
        "removed_by": method.removed_by,
    }


def _model(request: Request, classifier: Classifier) -> dict[str, Any]:
    return {
        "name": visible(request.model.checkpoint.absolute().name),
        "architecture": type(classifier.module).__name__,
        "embedding_layer": classifier.embedding_name,
        "head": classifier.head,
        "labels": list(classifier.labels),
        "max_length": classifier.max_length,
        "padding_blind": classifier.padding_blind,
        "operations_without_rule": list(classifier.without_rule),
        "parameters": sum(weight.numel() for weight in classifier.module.parameters()),
    }
