"""What differs between two runs, and what cannot be compared for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from saliency_cli.errors import UsageError
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.safe_text import excerpt, listed, visible

_OF_THE_SCALE = ("contrast", "objective", "reduction", "units", "baseline", "variant", "steps")
"""Options that change what a share means; of those, a run may have some or none."""
_OF_THE_NUMBERS = ("noise", "samples", "tolerance", "antithetic", "stride", "threshold")
"""Options that change numbers, but not what they mean."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What differs between two runs that can be compared.

    Attributes:
        of_saliency: why shares cannot be compared; nothing if they can.
        notes: what else differs, for the reader.
    """

    of_saliency: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def comparable(self) -> bool:
        """Whether the saliency of the two runs can be compared."""
        return not self.of_saliency


def find_differences(before: FinishedRun, after: FinishedRun) -> Differences:
    """Return what differs between two runs.

    Args:
        before: The first run.
        after: The second run.

    Raises:
        UsageError: A comparison would mean nothing: it is one run, or the models have different
            heads or no label in common.
    """
    if before.folder.path.resolve() == after.folder.path.resolve():
        raise UsageError(
            "BEFORE and AFTER are one folder", "name the earlier run first, then the later one"
        )
    old, new = before.manifest, after.manifest
    _check_heads(old["model"], new["model"])
    return Differences(tuple(_of_saliency(old, new)), tuple(_notes(old, new)))


def _check_heads(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    heads = old.get("head"), new.get("head")
    if heads[0] != heads[1]:
        raise UsageError(
            f"one model is {_head(heads[0])}, the other {_head(heads[1])}: their predictions "
            "cannot be compared",
            "compare runs of the same task",
        )
    is_regression = heads[0] == "regression"
    if not is_regression and not {*old["labels"]} & {*new["labels"]}:
        shown = (
            listed([excerpt(label) for label in each["labels"]], most=5) for each in (old, new)
        )
        raise UsageError(
            f"the models have no label in common: {' against '.join(shown)}",
            "explain the texts again with the same names in --labels FILE",
        )


def _head(head: object) -> str:
    return visible(str(head))


def _of_saliency(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the shares of the two runs do not mean the same."""
    methods = old["method"], new["method"]
    if methods[0]["name"] != methods[1]["name"]:
        yield f"the methods are {methods[0]['title']} and {methods[1]['title']}"
        return
    if old.get("propagation") != new.get("propagation"):
        yield f"gradients are {old.get('propagation')} and {new.get('propagation')}"
    yield from _changed(old, new, _OF_THE_SCALE)
    layers = old["options"].get("embedding_layer"), new["options"].get("embedding_layer")
    if layers[0] != layers[1] or old["options"].get("embeddings_block") != new["options"].get(
        "embeddings_block"
    ):
        names = [visible(str(each["model"].get("embedding_layer"))) for each in (old, new)]
        yield f"the layers that receive the noise are {' and '.join(names)}"


def _changed(
    old: Mapping[str, Any], new: Mapping[str, Any], names: tuple[str, ...]
) -> Iterator[str]:
    for name in names:
        values = old["options"].get(name), new["options"].get(name)
        if values[0] != values[1]:
            option = f"--{name.replace('_', '-')}"
            yield f"{option} is {' and '.join(excerpt(str(value)) for value in values)}"


def _notes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield what else a reader should know."""
    if old["hashes"]["input"] != new["hashes"]["input"]:
        yield "the input files differ"
    if old["hashes"]["model"] == new["hashes"]["model"]:
        yield "the models are the same files"
    labels = [*({*old["model"]["labels"]} ^ {*new["model"]["labels"]})]
    if labels:
        shown = listed(sorted(excerpt(label) for label in labels), most=5)
        yield f"only one of the models has {shown}"
    yield from _changed(old, new, _OF_THE_NUMBERS)
    for name in ("dtype", "device"):
        if old[name] != new[name]:
            yield f"the {name} is {old[name]} and {new[name]}"
