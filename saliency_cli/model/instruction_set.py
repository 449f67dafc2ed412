"""What torch, oneDNN and MKL choose their kernels by; it changes the last digits of scores."""

import os
from typing import Any

import torch

from saliency_cli.model.matmul import cpu_capabilities

KERNEL_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
)
"""Environment variables by which torch, oneDNN, MKL and CUDA take other kernels."""
SIMD_PREFIXES = ("amx_", "avx", "fma")


def instruction_set(device: torch.device) -> dict[str, Any]:
    """Return what decides the choice of kernels on this machine, for the manifest.

    MKL chooses by the vendor as well (on other processors than Intel's it does not use AVX-512),
    and oneDNN, which no call can be asked, by the processor's own flags and its variables.
    """
    cpu = cpu_capabilities()
    return {
        "architecture": str(cpu.get("architecture", "")),
        "vendor": str(cpu.get("cpu_name", "")).partition(" ")[0],
        "simd": sorted(name for name, has in cpu.items() if has and name.startswith(SIMD_PREFIXES)),
        "torch": torch.backends.cpu.get_cpu_capability(),  # follows ATEN_CPU_CAPABILITY
        "variables": {name: os.environ[name] for name in KERNEL_VARIABLES if name in os.environ},
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }
