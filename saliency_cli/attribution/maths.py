"""What is computed for every text of a run: method, reduction, objective and target."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from saliency_cli.attribution.methods import METHODS, shown_defaults
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.errors import UsageError
from saliency_cli.settings import (
    ObjectiveName,
    Option,
    PresetName,
    PropagationName,
    ReductionName,
    TargetChoice,
)


def _own_defaults(attribute: str) -> str:
    """Return as text which default the methods have for an option that not all of them have."""
    names: dict[str, list[str]] = {}
    for name, method in METHODS.items():
        value = getattr(method, attribute)
        if value is not None:
            names.setdefault(value, []).append(name)
    return shown_defaults(names)


@dataclass(frozen=True, slots=True)
class MathsChoice:
    """The options that choose a method, and how its results become scores.

    The method's parameters are options beside these (`attribution.methods.method_parameters`).
    """

    panel: ClassVar[str] = "Method"

    method: Annotated[
        str,
        Option(
            "How the words of a text are given their shares.",
            more="([the methods](methods.md))",
            choices=tuple(METHODS),
        ),
    ] = "smoothgrad"
    reduction: Annotated[
        ReductionName | None,
        Option(
            "How a gradient becomes one number a token: l2, its length; dot, its product with the "
            "embedding, which has a sign; abs-dot, the size of that product; sum, the absolute sum "
            "of its components.",
            more="([the maths](maths.md))",
            default=_own_defaults("default_reduction"),
        ),
    ] = None
    propagation: Annotated[
        PropagationName | None,
        Option(
            "How backward passes run: conservative, so that relevance is neither lost nor added on "
            "its way through normalisations, attention and activations; standard, plain autograd.",
            more="([the maths](maths.md#conservative-propagation))",
            default=_own_defaults("default_propagation"),
        ),
    ] = None
    objective: Annotated[
        ObjectiveName | None,
        Option(
            "The number F of the target that is explained: its logit, its log-probability (loss, "
            "the cross-entropy with the other sign), or its probability.",
            more="With `--contrast`, the difference of two labels.",
            default="`logit`",
        ),
    ] = None
    check_words: Annotated[
        int,
        Option(
            "Run the model again without each of the K strongest words of a text.",
            more="([what the records have](records.md))",
            metavar="K",
            minimum=0,
            maximum=100,
        ),
    ] = 1
    preset: Annotated[
        PresetName | None,
        Option(
            "A published set of choices; allennlp: AllenNLP Interpret's SmoothGrad, as the article "
            "has it; allennlp-gradient and allennlp-integrated: its other two methods.",
            more="Fixes the method, `--reduction`, `--objective` and the method's parameters but "
            "for `--seed`.",
            default="none",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Maths:
    """Method, reduction, objective and target, as the engine takes them.

    Attributes:
        method: The method with its parameters.
        reduction: A key of `attribution.reduction.REDUCTIONS`; None for a method without
            reductions.
        propagation: How backward passes run; None for a method without. A classifier may have an
            operation without a rule: `Classifier.propagation` is what its passes follow.
        objective: A key of `model.objectives.OBJECTIVES`: what F is.
        target: Which label F is about.
        check_words: How many of a text's strongest words are checked by leaving them out.
    """

    method: Method = SmoothGrad()
    reduction: ReductionName | None = "dot"
    propagation: PropagationName | None = "conservative"
    objective: ObjectiveName = "logit"
    target: TargetChoice = TargetChoice()
    check_words: int = 0


def choose_reduction(method: Method, given: ReductionName | None) -> ReductionName | None:
    """Return the reduction that was given, or the method's own.

    Args:
        method: The method.
        given: The value of `--reduction`, or None.

    Raises:
        UsageError: A reduction was given, and the method has no use for one.
    """
    if given is not None and method.default_reduction is None:
        raise _refused(method, "reduction", "it gives one number a token already")
    return given or method.default_reduction


def choose_propagation(method: Method, given: PropagationName | None) -> PropagationName | None:
    """Return the propagation that was given, or the method's own.

    Args:
        method: The method.
        given: The value of `--propagation`, or None.

    Raises:
        UsageError: A propagation was given, and the method has no backward passes.
    """
    if given is not None and method.default_propagation is None:
        raise _refused(method, "propagation", "it has no backward passes")
    return given or method.default_propagation


def choose_objective(method: Method, given: ObjectiveName | None) -> ObjectiveName:
    """Return the objective that was given, or the logit.

    Args:
        method: The method.
        given: The value of `--objective`, or None.

    Raises:
        UsageError: An objective was given, and the method's scores depend on none.
    """
    if given is not None and not method.has_objective:
        raise _refused(method, "objective", "its scores depend on no label")
    return given or "logit"


def complete_maths(
    method: Method,
    *,
    reduction: ReductionName | None,
    propagation: PropagationName | None,
    objective: ObjectiveName | None,
    target: TargetChoice,
    check_words: int,
) -> Maths:
    """Return what is computed, with the method's own choices for those that are None.

    Args:
        method: The method with its parameters.
        reduction: The reduction, or None.
        propagation: The propagation, or None.
        objective: The objective, or None.
        target: Which label is explained.
        check_words: How many of a text's strongest words are checked.

    Raises:
        UsageError: The method has no use for a choice that was given.
    """
    return Maths(
        method,
        reduction=choose_reduction(method, reduction),
        propagation=choose_propagation(method, propagation),
        objective=choose_objective(method, objective),
        target=target,
        check_words=check_words,
    )


def _refused(method: Method, option: str, reason: str) -> UsageError:
    return UsageError(
        f"--method {method.name} has no --{option}: {reason}", f"leave out --{option}"
    )
