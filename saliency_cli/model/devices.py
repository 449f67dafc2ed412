"""The device and number format in which passes run, and how many tokens a batch has."""

import os
import warnings
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from saliency_cli.errors import UsageError
from saliency_cli.model.hypotheses import HypothesisClassifier
from saliency_cli.model.matmul import cpu_capabilities, limit_onednn_cache
from saliency_cli.model.memory import keep_freed_memory
from saliency_cli.safe_text import visible
from saliency_cli.settings import Compute

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BFLOAT16_MIN_WIDTH = 256
"""Embedding dimensions from which on bfloat16 is used by default. At 128 dimensions it is 1.2 times
as fast for 5 times the error of `--samples auto`, at 384 it is 1.7 times as fast (AMD EPYC)."""
MAX_BATCH_TOKENS = {"cpu": 1024, "cuda": 65536}
MIN_BATCH_TOKENS = 256
"""Tokens per batch, padding included. On a CPU, twice the maximum is 6 % faster for a model 128
wide, but 4 and 8 % slower for 384 and 768, and it leaves growing gaps in memory. On an H200 a
quarter of the maximum makes runs of models 128 to 768 wide 15 to 30 % slower."""
READ_AHEAD_ROWS = {"cpu": 1024, "cuda": 4096}
"""Rows that are sorted by length together. With 1,024 rows a GPU had half-full batches, and a model
384 wide was 1.3 times slower than with 3,072."""
CPU_MEMORY = 512 << 20
CUDA_MEMORY_SHARE = 0.5
"""Estimated memory that the passes of a batch may use: bytes on a CPU, a share of the device's
memory on CUDA. A 12-layer model 768 wide is as fast with 256 and 512 tokens on a CPU as with
1,024."""

CUDA_REPLICAS = 2
"""Batches that run side by side on CUDA. A GPU with one replica waits for noise and for Python: on
an H200 the second replica made runs 1.4 to 1.8 times as fast, and a third and a fourth at most a
tenth faster again."""
TORCH_THREADS = torch.get_num_threads()
"""Threads that torch chose when it was imported: as many as the process has physical cores, or
fewer if OMP_NUM_THREADS says so. `prepare_device` sets another number."""
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much processor time the control group of a container may use."""


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is CUDA if there is a CUDA device, else the CPU.

    Raises:
        UsageError: There is no such device on this machine, or the tool does not support it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    option = f"--device {visible(name)}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"{option}: unknown device", "use cpu, cuda or cuda:0") from None
    if device.type not in MAX_BATCH_TOKENS:
        raise UsageError(f"{option}: only cpu and cuda are supported", "use cpu, cuda or cuda:0")
    if device.type == "cuda":
        _check_cuda(device, option)
    return device


def _check_cuda(device: torch.device, option: str) -> None:
    """Raise UsageError if this machine does not have the CUDA device."""
    if not torch.cuda.is_available():
        raise UsageError(f"{option}: this machine has no CUDA device", "use --device cpu")
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise UsageError(
            f"{option}: this machine has {count} CUDA devices, numbered from 0",
            "use --device cuda for the default one",
        )


def prepare_device(device: torch.device) -> None:
    """Set up torch for a device; call it before anything runs on the device.

    On CUDA torch is told to refuse kernels whose sums depend on timing, so that the same command
    gives the same bytes. With `warn_only` torch would use such a kernel for the backward pass of
    the attention. On a CPU an operation has one thread: the number of threads would change the last
    digits, and cores are used better by batches and processes side by side. Nothing else may start
    a thread there, since the process may be forked: neither the tokenizer nor, where there is a
    CUDA device, torch's autograd, which finds no device.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)  # noqa: FBT003
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    else:
        torch.set_num_threads(1)
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        keep_freed_memory()
        limit_onednn_cache()


def allow_nondeterministic_kernels() -> None:
    """Let torch use kernels whose sums depend on timing, for a model that needs one."""
    torch.use_deterministic_algorithms(True, warn_only=True)  # noqa: FBT003
    warnings.filterwarnings("ignore", message=".*deterministic")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 matrices faster than float32 ones."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    cpu = cpu_capabilities()
    return bool(cpu.get("amx_bf16") or cpu.get("avx512_bf16"))


def choose_batch_tokens(
    compute: Compute, device: torch.device, module: nn.Module, *, share: float = 1.0
) -> int:
    """Return the maximum number of tokens of a batch, padding included.

    Unless the user chose it, it is a power of two that is smaller for larger models. It depends on
    the device's total memory and not on its free memory, which differs from run to run, since other
    batches would change the last digits of the scores.

    Args:
        compute: The user's choice, if any.
        device: Where the passes run.
        module: The model.
        share: The share of a CUDA device's memory that belongs to this process.
    """
    if compute.batch_tokens is not None:
        return compute.batch_tokens
    memory = CPU_MEMORY
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        memory = int(CUDA_MEMORY_SHARE * share * total)
    tokens = max(MIN_BATCH_TOKENS, tokens_in_memory(module, memory))
    return min(MAX_BATCH_TOKENS[device.type], tokens)


def tokens_in_memory(module: nn.Module, memory: int) -> int:
    """Return the largest power of two of tokens whose passes fit into some memory, at least 1.

    Args:
        module: The model.
        memory: The memory in bytes.
    """
    return 1 << max(0, (memory // max(1, bytes_per_token(module))).bit_length() - 1)


def bytes_per_token(module: nn.Module) -> int:
    """Return an estimate of the bytes that one token of a noisy pass needs until its backward pass.

    It is the size of the inputs and outputs of all matrix products: 0.67 MB a token for a 12-layer
    BERT 768 wide, where 0.55 MB were measured on a CPU. In bfloat16 on CUDA it is 0.34 MB, where
    two replicas side by side took 0.27 MB together, so it is enough for both.
    """
    passes: int = module.passes_per_text if isinstance(module, HypothesisClassifier) else 1
    return passes * sum(
        sum(weight.shape) * weight.element_size()
        for layer in module.modules()
        if not isinstance(layer, nn.Embedding)
        for weight in layer.parameters(recurse=False)
        if weight.dim() == 2
    )


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a copy of a tensor on a device.

    It is copied to CUDA from pinned memory, so that the call does not wait for the copy.

    Args:
        tensor: A tensor of any shape, on the CPU.
        device: Where the copy goes.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def available_cores() -> int:
    """Return the number of cores that this process may use, whatever OMP_NUM_THREADS says."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS does not have it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def usable_cores(quota: Path = CPU_QUOTA) -> int:
    """Return the number of cores that a run may use, those of a container if it runs in one.

    Args:
        quota: The file with the processor time of the control group, see cgroups(7).
    """
    with suppress(OSError, ValueError):  # there is no file, or the time is "max"
        time, period = map(int, quota.read_text(encoding="ascii").split())
        return max(1, min(TORCH_THREADS, time // period))
    return TORCH_THREADS


def choose_replicas(device: torch.device, *, cores: int) -> int:
    """Return how many batches run side by side: one for each core, or two on CUDA.

    Args:
        device: Where the passes run.
        cores: The number of cores that this process may use.
    """
    return cores if device.type == "cpu" else CUDA_REPLICAS
