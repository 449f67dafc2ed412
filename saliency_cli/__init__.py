"""Saliency: why a text classifier decides as it does, over whole files, as HTML pages.

The names below are the Python interface (docs/api.md); all others may change. A name is imported
when it is first used, since torch and transformers take seconds.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` would make `saliency --help` slower
    from saliency_cli.api.classifier import Classifier, load
    from saliency_cli.api.explaining import explain
    from saliency_cli.api.explanation import Explanation, QuarantinedRow, WordScore
    from saliency_cli.api.run import Run, RunFindings, SuspectWords
    from saliency_cli.attribution.methods.attention import Attention
    from saliency_cli.attribution.methods.base import Method
    from saliency_cli.attribution.methods.gradient import Gradient
    from saliency_cli.attribution.methods.integrated_gradients import IntegratedGradients
    from saliency_cli.attribution.methods.lime import Lime
    from saliency_cli.attribution.methods.occlusion import Occlusion
    from saliency_cli.attribution.methods.random_scores import RandomScores
    from saliency_cli.attribution.methods.shapley import Shapley
    from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
    from saliency_cli.attribution.methods.smoothgrad_squared import SmoothGradSquared
    from saliency_cli.attribution.methods.vargrad import VarGrad
    from saliency_cli.errors import CheckpointError, SaliencyError, UsageError

__version__ = "0.1.0"

__all__ = [
    "Attention",
    "CheckpointError",
    "Classifier",
    "Explanation",
    "Gradient",
    "IntegratedGradients",
    "Lime",
    "Method",
    "Occlusion",
    "QuarantinedRow",
    "RandomScores",
    "Run",
    "RunFindings",
    "SaliencyError",
    "Shapley",
    "SmoothGrad",
    "SmoothGradSquared",
    "SuspectWords",
    "UsageError",
    "VarGrad",
    "WordScore",
    "explain",
    "load",
]

_MODULES = {
    "api.classifier": ("Classifier", "load"),
    "api.explaining": ("explain",),
    "api.explanation": ("Explanation", "QuarantinedRow", "WordScore"),
    "api.run": ("Run", "RunFindings", "SuspectWords"),
    "attribution.methods.base": ("Method",),
    "errors": ("CheckpointError", "SaliencyError", "UsageError"),
}
"""Where names are defined; those of the methods are in `attribution.methods`."""


if not TYPE_CHECKING:  # else any name would be one of the module's

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - the command line does not come here

        modules = (module for module, names in _MODULES.items() if name in names)
        module = next(modules, "attribution.methods")
        value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
