"""Number format and attention of the passes, by rules that the benchmarks justify; no stopwatch."""

from dataclasses import replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from saliency_cli.attribution.model_checks import embedding_width, plain_scores
from saliency_cli.attribution.reduction import sizes
from saliency_cli.checkpoints.build import attention
from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import BFLOAT16_WIDTH, DTYPES, multiplies_bfloat16
from saliency_cli.model.matmul import choose_matmul_backend
from saliency_cli.safe_text import visible
from saliency_cli.settings import Compute


def settle(classifier: Classifier, compute: Compute) -> Classifier:
    """Return the classifier, so far in float32, in the number format that it is to run in.

    What that moves becomes part of every error. It is measured against float32 on plain sentences,
    unless that was done when the run was begun.

    Raises:
        UsageError: the model cannot compute the attention asked for.
    """
    dtype = _dtype(classifier, compute)
    if dtype == classifier.dtype:
        return _attending(classifier, compute)
    before = plain_scores(classifier) if compute.dtype_error is None else []
    products = choose_matmul_backend(classifier.device, dtype)
    module = classifier.module.to(dtype)
    classifier = replace(classifier, module=module, dtype=dtype, matmul_backend=products)
    classifier = _attending(classifier, compute)
    rounding = compute.dtype_error
    if rounding is None:
        rounding = _moved(plain_scores(classifier), before)
    return replace(classifier, dtype_error=rounding)


def _dtype(classifier: Classifier, compute: Compute) -> torch.dtype:
    """Return the format asked for; "auto" is bfloat16 where machine and model gain by it."""
    if compute.dtype != "auto":
        return DTYPES[compute.dtype]
    if multiplies_bfloat16(classifier.device) and embedding_width(classifier) >= BFLOAT16_WIDTH:
        return torch.bfloat16
    return torch.float32


def _attending(classifier: Classifier, compute: Compute) -> Classifier:
    """Have the attention computed as asked for; "auto" leaves it to the model.

    But in bfloat16 on a CPU: there the backward pass of the fused attention is slower than all of
    the rest (the eager one made a 6-layer model 1.8 times as fast, AMD EPYC).
    """
    name = compute.attention
    if name == "auto":
        if classifier.dtype != torch.bfloat16 or classifier.device.type != "cpu":
            return classifier
        name = "eager"
    for each in classifier.module.modules():
        if isinstance(each, PreTrainedModel):
            each.set_attn_implementation(name)  # where there is none, it only warns
    found = attention(classifier.module)
    if compute.attention not in {"auto", found}:
        raise UsageError(
            f"--attention {name}: {visible(type(classifier.module).__name__)} computes {found} only"
        )
    return replace(classifier, attention=found)


def _moved(after: list[Tensor], before: list[Tensor]) -> float:
    """Return by how much scores have moved, as a share of their size: the root mean square.

    To the three digits that the manifest keeps, so that who goes on with a run has the same.
    """
    off = [(one - other) / sizes(other) for one, other in zip(after, before, strict=True)]
    return float(f"{float(torch.cat(off).square().mean().sqrt()):.3g}")
