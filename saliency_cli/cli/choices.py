"""What was given on the command line -> what is chosen: presets, defaults, what goes together."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import STDIN
from saliency_cli.settings import (
    ExecutionChoice,
    Maths,
    MethodName,
    PresetName,
    ReductionName,
    Request,
    Sampling,
    ShardSelection,
    TargetChoice,
)

# The article's port of AllenNLP Interpret: cross-entropy of the predicted label, ten independent
# samples of noise at a hundredth of the range, |sum| over the dimension (docs/maths.md).
ALLENNLP = Maths(
    reduction="sum",
    objective="loss",
    sampling=Sampling(samples=10, antithetic=False, noise=0.01),
)
PRESETS: dict[str, Maths] = {"allennlp": ALLENNLP}


def preset_maths(preset: PresetName, *, seed: int, given: Mapping[str, object]) -> Maths:
    """Return the maths of a preset, which nothing in `given` (option -> value) may change.

    Raises:
        UsageError: an option was given that the preset fixes.
    """
    for option, value in given.items():
        if value is not None:
            raise UsageError(
                f"--preset {preset} fixes {option}", f"leave out {option}, or the preset"
            )
    maths = PRESETS[preset]
    return replace(maths, sampling=replace(maths.sampling, seed=seed))


@dataclass(frozen=True, slots=True)
class MathsGiven:
    """What of the maths was given on the command line and a preset fixes; None was not given."""

    reduction: ReductionName | None = None
    samples: str | None = None
    antithetic: bool | None = None
    noise: float | None = None
    tolerance: float | None = None

    def by_option(self) -> dict[str, object]:
        """Return what was given under the names of the options."""
        return {f"--{field.name}": getattr(self, field.name) for field in fields(self)}

    def sampling(self, *, seed: int) -> Sampling:
        """Return how the noise is drawn, with the defaults for what was not given."""
        return Sampling(
            samples=parse_samples(self.samples),
            antithetic=self.antithetic is not False,
            noise=0.01 if self.noise is None else self.noise,
            seed=seed,
            tolerance=0.02 if self.tolerance is None else self.tolerance,
        )


def choose_maths(
    given: MathsGiven,
    *,
    method: MethodName,
    preset: PresetName | None,
    seed: int,
    target: TargetChoice,
) -> Maths:
    """Return the maths of a preset, or what was given and the defaults.

    Raises:
        UsageError: an option was given that the preset fixes, or one that makes no sense.
    """
    if preset is not None:
        return replace(preset_maths(preset, seed=seed, given=given.by_option()), target=target)
    return Maths(
        method=method,
        reduction=given.reduction or "l2",
        sampling=given.sampling(seed=seed),
        target=target,
    )


def parse_samples(text: str | None) -> int | None:
    """Read `--samples`: a number, or None for "auto".

    Raises:
        UsageError: it is neither.
    """
    if text is None or text == "auto":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"--samples {text!r}: give a number of passes, or auto")
    return int(text)


def parse_shard_selection(text: str | None) -> ShardSelection | None:
    """Read `--shard`: I/N, as in 2/8, or None for all.

    Raises:
        UsageError: it is something else.
    """
    if text is None:
        return None
    index, _, count = text.partition("/")
    if all(part.isascii() and part.isdecimal() and len(part) < 10 for part in (index, count)):
        share = ShardSelection(int(index), int(count))
        if 1 <= share.index <= share.count:
            return share
    raise UsageError(f"--shard {text!r}: give I/N, such as 2/8 for the second of eight parts")


def choose_device_name(given: str, engine: ExecutionChoice) -> str:
    """Return the device to ask for: workers that are given a GPU use it, and others do not."""
    if given != "auto" or engine.gpus_per_worker is None:
        return given
    return "cuda" if engine.gpus_per_worker else "cpu"


def check_together(request: Request, *, gated: bool) -> None:
    """See that what was given goes together.

    Raises:
        UsageError: it does not.
    """
    output, part = request.output, request.division.share is not None
    if output.overwrite and output.resume:
        raise UsageError("--resume goes on with what --overwrite would replace; give one of them")
    if part and output.overwrite:
        raise UsageError("--overwrite would remove what the other --shard runs have done")
    if part and request.texts.path == STDIN:
        raise UsageError("--shard reads a file: each process has a standard input of its own")
    if part and request.engine.name != "local":
        raise UsageError("--engine ray gives out all shards itself; leave out --shard")
    if request.engine.gpus_per_worker and not request.compute.device.startswith("cuda"):
        raise UsageError("--gpus-per-worker is for --device cuda")
    if request.engine.gpus_per_worker == 0 and request.compute.device != "cpu":
        raise UsageError("--device cuda needs GPUs: leave out --gpus-per-worker 0")
    if part and gated:
        raise UsageError("--fail-on judges a whole run, and --shard is a part of one")
