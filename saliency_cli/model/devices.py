"""Which device and number format the passes run in, and how many tokens at a time."""

import os
import warnings

import torch
from torch import Tensor, nn

from saliency_cli.errors import UsageError
from saliency_cli.model.matmul import bound_caches, this_cpu
from saliency_cli.model.memory import keep_between_batches
from saliency_cli.safe_text import visible
from saliency_cli.settings import Compute

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BFLOAT16_WIDTH = 256
"""Dimensions of the embedding from which on bfloat16 is worth its rounding: 128 gain 1.2 times the
speed for 5 times the error of `--samples auto`, 384 gain 1.7 times (AMD EPYC)."""
BATCH_TOKENS = {"cpu": 1024, "cuda": 65536}
LEAST_TOKENS = 256
"""Tokens per batch, at most and at least. On a CPU, twice as many are 6 % faster for a model 128
wide, 4 and 8 % slower for 384 and 768, and leave gaps in memory that grow. On an H200 a quarter as
many make runs of models 128 to 768 wide 15 to 30 % slower."""
WINDOW_ROWS = {"cpu": 1024, "cuda": 4096}
"""Rows that are sorted by length together: with 1,024 a GPU had half-full batches, and a model 384
wide was 1.3 times slower than with 3,072."""
CPU_MEMORY = 512 << 20
CUDA_SHARE = 0.5
"""What the passes of a batch may take by the estimate of them; on CUDA, of the device's memory. A
12-layer model 768 wide is as fast with 256 and 512 tokens on a CPU as with 1024."""

MOST_STREAMS = 2
"""Batches side by side: on a CPU a small model gains a tenth from the second one, a larger one
nothing, and each takes its memory. A GPU would wait for noise and for Python: on an H200 the second
made runs 1.4 to 1.8 times as fast, a third and a fourth at most a tenth more."""


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is CUDA where there is one.

    Raises:
        UsageError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {visible(name)}: name cpu, cuda or cuda:0") from None
    if device.type not in BATCH_TOKENS:
        raise UsageError(f"--device {visible(name)}: only cpu and cuda are supported")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {visible(name)}: there is no CUDA device here", "try cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {visible(name)}: there are {torch.cuda.device_count()} here")
    return device


def prepare(device: torch.device) -> None:
    """Make a device ready, before anything runs on it.

    On CUDA no kernel is used whose sums depend on timing: the same command gives the same bytes. A
    mere warning is not enough: torch then takes those kernels for the attention's backward pass.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)  # noqa: FBT003
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    else:
        keep_between_batches()
        bound_caches()


def allow_any_kernel() -> None:
    """Take kernels whose sums depend on timing, too, for a model that asks for one."""
    torch.use_deterministic_algorithms(True, warn_only=True)  # noqa: FBT003
    warnings.filterwarnings("ignore", message=".*deterministic")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Say whether a device multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    cpu = this_cpu()
    return bool(cpu.get("amx_bf16") or cpu.get("avx512_bf16"))


def choose_batch_tokens(
    compute: Compute, device: torch.device, module: nn.Module, *, share: float = 1.0
) -> int:
    """Return the tokens of a batch, padding counted; a large model gets fewer, a power of two.

    It counts all the memory that a device has, or our share of it, for what is free differs from
    run to run, and so would the last digits.
    """
    if compute.batch_tokens is not None:
        return compute.batch_tokens
    memory = CPU_MEMORY
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        memory = int(CUDA_SHARE * share * total)
    fitting = max(LEAST_TOKENS, fitting_tokens(module, memory))
    return min(BATCH_TOKENS[device.type], fitting)


def fitting_tokens(module: nn.Module, memory: int) -> int:
    """Return how many tokens of passes fit into so many bytes: a power of two."""
    return 1 << max(0, (memory // max(1, bytes_per_token(module))).bit_length() - 1)


def bytes_per_token(module: nn.Module) -> int:
    """Estimate what one token of a noisy pass holds until its backward pass is done.

    As much as what all matrix products take in and give out: 0.67 MB a token of a 12-layer BERT 768
    wide, where 0.55 MB were measured on a CPU. In bfloat16 on CUDA it is 0.34 MB, and two streams
    side by side took 0.27 MB together, so there it is enough for both.
    """
    return sum(
        sum(weight.shape) * weight.element_size()
        for layer in module.modules()
        if not isinstance(layer, nn.Embedding)
        for weight in layer.parameters(recurse=False)
        if weight.dim() == 2
    )


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device; to CUDA from pinned memory, for which nobody has to wait."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def cores() -> int:
    """Return how many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def choose_streams(device: torch.device) -> int:
    """Return how many batches run side by side, on a CPU each on its share of torch's threads."""
    return min(torch.get_num_threads(), MOST_STREAMS) if device.type == "cpu" else MOST_STREAMS
