"""Choose number format and attention by rules that the benchmarks justify; no timing decides."""

from dataclasses import replace

import torch
from torch import Tensor

from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.base import Needs
from saliency_cli.attribution.model_checks import embedding_width, plain_scores
from saliency_cli.attribution.reduction import sizes
from saliency_cli.checkpoints.build import attention_implementation
from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import BFLOAT16_MIN_WIDTH, DTYPES, has_fast_bfloat16
from saliency_cli.model.matmul import choose_matmul_backend
from saliency_cli.model.transformers_import import PreTrainedModel
from saliency_cli.safe_text import visible
from saliency_cli.settings import Compute


def apply_precision(classifier: Classifier, compute: Compute, maths: Maths) -> Classifier:
    """Return a float32 classifier in the number format and with the attention that it will use.

    In another format than float32 the scores change. That dtype error becomes part of every score's
    standard error. It is measured here against float32 on plain sentences, unless the plan of the
    run already has it.

    Args:
        classifier: The classifier in float32.
        compute: The user's options.
        maths: What will be computed; its scores are compared.

    Raises:
        UsageError: The model has no such attention.
    """
    dtype = _choose_dtype(classifier, compute, maths)
    if dtype == classifier.dtype:
        return _with_attention(classifier, compute, maths)
    in_float32 = plain_scores(classifier, maths) if compute.dtype_error is None else []
    backend = choose_matmul_backend(classifier.device, dtype)
    module = classifier.module.to(dtype)
    classifier = replace(classifier, module=module, dtype=dtype, matmul_backend=backend)
    classifier = _with_attention(classifier, compute, maths)
    dtype_error = compute.dtype_error
    if dtype_error is None:
        dtype_error = _relative_change(plain_scores(classifier, maths), in_float32)
    return replace(classifier, dtype_error=dtype_error)


def _choose_dtype(classifier: Classifier, compute: Compute, maths: Maths) -> torch.dtype:
    """Return the format of `--dtype`; "auto" is bfloat16 where it makes device and model faster.

    Methods without gradients take float32: they compare outputs of the model that differ little,
    and bfloat16 has three digits.
    """
    if compute.dtype != "auto":
        return DTYPES[compute.dtype]
    if maths.method.needs is not Needs.GRADIENT_PASSES:
        return torch.float32
    if has_fast_bfloat16(classifier.device) and embedding_width(classifier) >= BFLOAT16_MIN_WIDTH:
        return torch.bfloat16
    return torch.float32


def _with_attention(classifier: Classifier, compute: Compute, maths: Maths) -> Classifier:
    """Return the classifier with the attention of `--attention`; "auto" keeps the model's own.

    Two exceptions: a method may need the weights, which eager attention alone gives; and in
    bfloat16 on a CPU, "auto" is eager, since the backward pass of the fused attention is slower
    there than the rest of the model together (eager attention made a 6-layer model 1.8 times as
    fast, AMD EPYC).

    Raises:
        UsageError: The model has no such attention, or the method needs another.
    """
    name = compute.attention
    if maths.method.needs_eager_attention:
        if name not in {"auto", "eager"}:
            option = f"--method {maths.method.name}"
            raise UsageError(f"{option} needs --attention eager", "leave out --attention")
        name = "eager"
    if name == "auto":
        if classifier.dtype != torch.bfloat16 or classifier.device.type != "cpu":
            return classifier
        name = "eager"
    for module in classifier.module.modules():
        if isinstance(module, PreTrainedModel):
            module.set_attn_implementation(name)  # only warns if the model does not have it
    applied = attention_implementation(classifier.module)
    if compute.attention not in {"auto", applied}:
        model = visible(type(classifier.module).__name__)
        raise UsageError(
            f"--attention {name}: {model} supports only {applied}", "leave out --attention"
        )
    return replace(classifier, attention=applied)


def _relative_change(scores: list[Tensor], exact: list[Tensor]) -> float:
    """Return the root mean square of the change of the scores [L], as a share of their size.

    Rounded to the three digits that the manifest keeps, so that a resumed run has the same value.
    """
    changes = [(one - other) / sizes(other) for one, other in zip(scores, exact, strict=True)]
    return float(f"{float(torch.cat(changes).square().mean().sqrt()):.3g}")
