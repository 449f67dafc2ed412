"""The settings of the process that passes need, restored when a call ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from saliency_cli.model.devices import allow_nondeterministic_kernels, prepare_device
from saliency_cli.model.transformers_import import logging

_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "TOKENIZERS_PARALLELISM")


@contextmanager
def passes_state(device: torch.device, *, deterministic: bool = True) -> Iterator[None]:
    """Set torch and transformers up as the command line does, and restore the caller's settings.

    Args:
        device: Where the passes run.
        deterministic: Whether torch refuses CUDA kernels that add up in no fixed order.
    """
    if torch.cuda.is_available():  # else the setup for a CPU would hide the devices for good
        torch.cuda.init()  # type: ignore[no-untyped-call]
    with _environment(), _transformers_logging(), _torch_settings():
        prepare_device(device)
        if device.type == "cuda" and not deterministic:
            allow_nondeterministic_kernels()
        yield


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _VARIABLES}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _transformers_logging() -> Iterator[None]:
    verbosity, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()


@contextmanager
def _torch_settings() -> Iterator[None]:
    threads = torch.get_num_threads()
    deterministic = _deterministic_mode()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if _deterministic_mode() != deterministic:  # the call imports torch's compiler, in 1.5 s
            torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def _deterministic_mode() -> tuple[bool, bool]:
    """Return whether torch refuses nondeterministic kernels, and whether it only warns of them."""
    enabled = torch.are_deterministic_algorithms_enabled()
    return enabled, torch.is_deterministic_algorithms_warn_only_enabled()
