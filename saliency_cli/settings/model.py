"""Options of the model and of what its passes run on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from saliency_cli.settings.names import (
    AttentionName,
    DtypeName,
    SpecialTokens,
)
from saliency_cli.settings.option import NOTHING, RESOLVED, Option


def _module_name(arch: str | None) -> str | None:
    """Return `--arch` as the manifest holds it: the file's name without its folder."""
    if arch is None:
        return None
    where, _, name = arch.rpartition(":")
    return f"{Path(where).name}:{name}"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Where the classifier comes from, and the layer at which it is explained."""

    panel: ClassVar[str] = "Model"

    checkpoint: Annotated[
        Path,
        Option(
            "A Hugging Face or adapter folder, or a .safetensors .pt .pth .bin .ckpt file.",
            flag="MODEL",
            argument=True,
            effect=RESOLVED,
        ),
    ]
    tokenizer: Annotated[
        Path | None,
        Option(
            "The tokenizer's folder.",
            metavar="DIR",
            default="MODEL, or the folder that holds MODEL",
            effect=RESOLVED,
        ),
    ] = None
    config: Annotated[
        Path | None,
        Option(
            "The config.json that describes a state dict.",
            metavar="FILE_OR_DIR",
            default="beside MODEL, then beside the tokenizer",
            effect=RESOLVED,
        ),
    ] = None
    arch: Annotated[
        str | None,
        Option(
            "Your own nn.Module: a class or a factory in a .py file or an importable module. "
            "Its code is run.",
            more="([more](checkpoints.md#your-own-module))",
            metavar="WHERE:NAME",
            record=_module_name,
            trusted_only=True,
        ),
    ] = None
    labels: Annotated[
        Path | None,
        Option(
            "The labels' names in the order of the logits: one a line, a JSON list, or "
            'an object {"0": name}.',
            metavar="FILE",
            default="the config's, else `LABEL_0` …",
            effect=RESOLVED,
        ),
    ] = None
    base_model: Annotated[
        Path | None,
        Option(
            "The model that an adapter was trained on.",
            metavar="DIR",
            default="where the adapter says, if that is on this disk",
            effect=RESOLVED,
        ),
    ] = None
    unsafe_pickle: Annotated[
        bool,
        Option(
            "Open MODEL as a pickle that may run any code: only if you trust its author.",
            default="refuse",
            trusted_only=True,
        ),
    ] = False
    embedding_layer: Annotated[
        str | None,
        Option(
            "Dotted name of the layer whose output is explained.",
            metavar="NAME",
            default="the token embedding",
            effect=RESOLVED,
        ),
    ] = None
    hypothesis: Annotated[
        str | None,
        Option(
            "Classify by a model of natural language inference: the hypothesis of each label, with "
            "{} for the label's name of --labels.",
            more="([more](checkpoints.md#zero-shot-classifiers))",
            metavar="TEMPLATE",
            default="none",
        ),
    ] = None
    multi_label: Annotated[
        bool,
        Option(
            "Give each label a probability of its own, whatever the config says.",
            default="as the config says",
        ),
    ] = False
    special_tokens: Annotated[
        SpecialTokens,
        Option(
            "How the name of a special token inside a text is read, such as [SEP]: as plain text, "
            "or kept as that token.",
            more="`keep` is for models that were trained on texts with such markers.",
        ),
    ] = "text"
    # Whether the layer is the block that sums token, position and type embeddings (--preset).
    embeddings_block: bool = False


@dataclass(frozen=True, slots=True)
class Compute:
    """What the passes run on and how many tokens they take; None and "auto" follow rules."""

    panel: ClassVar[str] = "Compute"

    max_length: Annotated[
        int | None,
        Option(
            "Tokens after which a text is cut, special tokens counted.",
            metavar="N",
            default="what model and tokenizer allow",
            minimum=1,
            effect=RESOLVED,
        ),
    ] = None
    stride: Annotated[
        int | None,
        Option(
            "Read longer texts in windows that overlap by N tokens, instead of cutting them.",
            more="The records hold each token once.",
            metavar="N",
            default="cut them",
            minimum=0,
        ),
    ] = None
    device: Annotated[
        str,
        Option(
            "auto, cpu, cuda or cuda:0.",
            # Not "DEVICE": Typer 0.27 loses an option whose metavar is its name in capitals.
            metavar="NAME",
            default="`auto`: CUDA where there is one",
            effect=RESOLVED,
        ),
    ] = "auto"
    dtype: Annotated[
        DtypeName,
        Option(
            "Number format of the model's passes: auto, float32 or bfloat16.",
            default="`auto`: `bfloat16` for embeddings of 256 dimensions or more where the machine "
            "multiplies it faster (AMX, AVX512-BF16, CUDA 8.0), else `float32`; `show` takes "
            "`float32`",
            effect=RESOLVED,
        ),
    ] = "auto"
    attention: Annotated[
        AttentionName,
        Option(
            "How attention is computed: auto, eager or sdpa.",
            default="`auto`: `eager` in `bfloat16` on a CPU, else the model's own",
            effect=RESOLVED,
        ),
    ] = "auto"
    batch_tokens: Annotated[
        int | None,
        Option(
            "Tokens in a batch, padding counted.",
            metavar="N",
            default="1024 on a CPU, 65536 on CUDA; fewer for a model that is large for the memory",
            minimum=1,
            effect=RESOLVED,
        ),
    ] = None
    # What the number format moves scores by, where an earlier process of the run measured it. Not
    # compared: it follows from the model and the dtype, and is not measured again.
    dtype_error: Annotated[float | None, Option(internal=True, effect=NOTHING)] = None
