"""The names of transformers that are used here. No other file imports transformers.

Its import would take longer than torch's: it imports torch's compiler and sharded tensors, and
reads the source of all models twice. None of them is used here, so three things differ while it is
imported:

- The compiler, `torch._dynamo`, and the list of models, `transformers.models`, are deferred until
  an attribute of them is read. A model's own module is found without that list.
- The compiler's decorators return the function that they are given.
- `torch.distributed.is_available` returns False, as in a torch that was built without it.

Another version of transformers may read more of the compiler. It then gets the real one, and only
the start takes longer.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Read when transformers is imported: a file that is not on disk is an error, never a download.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from saliency_cli.model.deferred_package import (
    DeferredPackage,
    defer_package,
    import_before_submodules,
)

COMPILER_DECORATORS = ("allow_in_graph", "assume_constant_result", "disable")
"""What transformers decorates functions with; it has no effect on one that is not compiled."""


def _undecorated(function: Callable[..., Any] | None = None, *_: object, **__: object) -> Any:  # noqa: ANN401
    """Return the function of a decorator, or a decorator that returns it."""
    return _undecorated if function is None else function


@contextmanager
def _without_compiler() -> Iterator[None]:
    defer_package("torch._dynamo")
    compiler = torch._dynamo  # noqa: SLF001 - torch.compiler's decorators call it
    deferred = COMPILER_DECORATORS if isinstance(compiler, DeferredPackage) else ()
    vars(compiler).update(dict.fromkeys(deferred, _undecorated))
    try:
        yield
    finally:
        for name in deferred:
            delattr(compiler, name)


@contextmanager
def _without_sharded_tensors() -> Iterator[None]:
    is_available = torch.distributed.is_available
    torch.distributed.is_available = lambda: False
    try:
        yield
    finally:
        torch.distributed.is_available = is_available


with _without_compiler(), _without_sharded_tensors():
    import transformers  # noqa: F401 - the parent of the package that is deferred

    defer_package("transformers.models")

    from transformers import (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        MODEL_MAPPING,
        AutoConfig,
        AutoTokenizer,
        PreTrainedConfig,
        PreTrainedModel,
        activations,
        masking_utils,  # noqa: F401 - all models import it, and it imports the compiler
    )
    from transformers.initialization import no_init_weights
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    )
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name
    from transformers.utils import logging

import_before_submodules("torch._dynamo")

__all__ = [
    "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "MODEL_MAPPING",
    "AutoConfig",
    "AutoTokenizer",
    "PreTrainedConfig",
    "PreTrainedModel",
    "activations",
    "logging",
    "no_init_weights",
    "tokenizer_class_from_name",
]
