"""From options as they were given to what a run computes: presets, defaults, combinations."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from saliency_cli.attribution.maths import (
    Maths,
    MathsChoice,
    complete_maths,
)
from saliency_cli.attribution.methods import build_method
from saliency_cli.attribution.methods.allennlp_integrated import AllenNlpIntegrated
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import STDIN
from saliency_cli.runs.request import Request
from saliency_cli.settings import ExecutionChoice, ModelChoice, PresetName, TargetChoice


@dataclass(frozen=True, slots=True)
class Preset:
    """A published set of choices.

    Attributes:
        maths: What it computes; the seed and the target can be chosen.
        at_embeddings_block: Whether it explains the layer that sums token, position and type
            embeddings, rather than the token embedding.
    """

    maths: Maths
    at_embeddings_block: bool = False


PRESETS: dict[PresetName, Preset] = {
    # The article's port of AllenNLP Interpret's SmoothGrad: cross-entropy of the predicted label,
    # ten independent samples of noise at a hundredth of the embedding range, |sum| over dimensions.
    "allennlp": Preset(
        Maths(SmoothGrad(samples=10, antithetic=False), "sum", "standard", "loss"),
        at_embeddings_block=True,
    ),
    "allennlp-gradient": Preset(Maths(Gradient(), "abs-dot", "standard", "loss")),
    "allennlp-integrated": Preset(Maths(AllenNlpIntegrated(), "abs-dot", "standard", "loss")),
}
"""By the name that `--preset` takes (docs/maths.md)."""


def choose_maths(choice: MathsChoice, target: TargetChoice, parameters: Mapping[str, Any]) -> Maths:
    """Return what a run computes: the preset's choices, or those given with the method's defaults.

    Args:
        choice: Method, reduction, objective and preset.
        target: Which label is explained.
        parameters: The method's parameters as given, by name; None where not given.

    Raises:
        UsageError: An option does not fit the method, or the preset fixes it.
    """
    if choice.preset is not None:
        maths = _preset_maths(choice.preset, choice, parameters)
        return replace(maths, target=target, check_words=choice.check_words)
    return complete_maths(
        build_method(choice.method, parameters),
        reduction=choice.reduction,
        propagation=choice.propagation,
        objective=choice.objective,
        target=target,
        check_words=choice.check_words,
    )


def _preset_maths(preset: PresetName, choice: MathsChoice, parameters: Mapping[str, Any]) -> Maths:
    """Return a preset with the seed that was given; no other option may be given."""
    maths = PRESETS[preset].maths
    given = {name: value for name, value in parameters.items() if value is not None}
    seed = given.pop("seed", None) if maths.method.is_random else None
    for name in ("reduction", "propagation", "objective"):
        if getattr(choice, name) is not None:
            given[name] = getattr(choice, name)
    if choice.method != MathsChoice().method:
        given["method"] = choice.method
    for name in given:
        option = f"--{name.replace('_', '-')}"
        raise UsageError(f"--preset {preset} fixes {option}", f"leave out {option}, or the preset")
    if seed is None:
        return maths
    return replace(maths, method=replace(maths.method, seed=seed))  # type: ignore[type-var]


def with_preset_layer(model: ModelChoice, preset: PresetName | None) -> ModelChoice:
    """Return the model's options with the layer that a preset explains, unless one was given.

    Args:
        model: The model's options.
        preset: The preset, or None.
    """
    at_block = preset is not None and PRESETS[preset].at_embeddings_block
    return replace(model, embeddings_block=at_block and model.embedding_layer is None)


def choose_device_name(given: str, execution: ExecutionChoice) -> str:
    """Return the device to ask for: cuda for workers that are given GPUs, cpu for the others.

    Args:
        given: The value of `--device`.
        execution: The workers' options.
    """
    if given != "auto" or execution.gpus_per_worker is None:
        return given
    return "cuda" if execution.gpus_per_worker else "cpu"


def check_combination(request: Request, *, gated: bool) -> None:
    """Check that the options of a run fit together.

    Args:
        request: The options.
        gated: Whether `--fail-on` was given.

    Raises:
        UsageError: Two options contradict each other.
    """
    output, part = request.output, request.sharding.selection is not None
    execution, device = request.execution, request.compute.device
    if output.overwrite and output.resume:
        raise UsageError("--resume continues what --overwrite would replace; give one of them")
    if part and output.overwrite:
        raise UsageError("--overwrite would remove what the other --shard runs have done")
    if part and request.texts.path == STDIN:
        raise UsageError("--shard reads a file: each process has a standard input of its own")
    if part and execution.name != "local":
        raise UsageError("--engine ray distributes all shards itself; leave out --shard")
    if execution.gpus_per_worker and not device.startswith("cuda"):
        raise UsageError("--gpus-per-worker is for --device cuda")
    if execution.gpus_per_worker == 0 and device != "cpu":
        raise UsageError("--device cuda needs GPUs: leave out --gpus-per-worker 0")
    if part and gated:
        raise UsageError(
            "--fail-on judges a whole run, and --shard is a part of one",
            "give it to saliency report, which ends the run",
        )


def given_text(text: str) -> str:
    """Return TEXT of the command line; `-` stands for what standard input has.

    Raises:
        UsageError: Standard input is closed, or is not UTF-8.
    """
    if text != STDIN:
        return text
    if sys.stdin is None:
        raise UsageError("standard input is closed", "give the text, or pipe it into the command")
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"standard input is not UTF-8: byte {error.start + 1}", "convert it, as iconv does"
        ) from None
