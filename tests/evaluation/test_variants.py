"""From `--methods` to methods with options."""

import pytest

from saliency_cli.attribution.methods.occlusion import Occlusion
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.errors import UsageError
from saliency_cli.evaluation.variants import parse_variants


def test_options_follow_the_name_of_their_method() -> None:
    text = "smoothgrad:samples=8,noise=0.05, gradient:reduction=l2,occlusion:units=words,random"
    noisy, gradient, occlusion, random = parse_variants(text, seed=3)
    assert noisy.name == "smoothgrad:samples=8,noise=0.05"
    assert noisy.folder == "smoothgrad_samples=8_noise=0.05"
    assert noisy.maths.method == SmoothGrad(samples=8, noise=0.05, seed=3)
    assert (gradient.maths.reduction, gradient.maths.propagation) == ("l2", "conservative")
    assert occlusion.maths.method == Occlusion(units="words")
    assert random.maths.method.seed == 3  # type: ignore[attr-defined]


def test_an_option_of_its_own_is_stronger_than_the_seed_of_all() -> None:
    (variant,) = parse_variants("smoothgrad:seed=5,antithetic=false", seed=3)
    assert variant.maths.method == SmoothGrad(seed=5, antithetic=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no method"),
        ("gradient,magic", "magic: there is no such method"),
        ("gradient,gradient", "names gradient twice"),
        ("gradient:strength=3", "strength=3 is not an option"),
        ("gradient:reduction", "reduction is not an option"),
        ("gradient:reduction=../x", "reduction=../x is not an option"),
        ("gradient:reduction=l3", "reduction has no value l3"),
        ("smoothgrad:noise=99", "noise has no value 99"),
        ("smoothgrad:noise=much", "noise has no value much"),
        ("gradient:samples=4", "has no --samples"),
        ("occlusion:reduction=l2", "has no --reduction"),
    ],
)
def test_what_cannot_be_compared_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_variants(text, seed=0)
    assert "\n" not in caught.value.message
    assert caught.value.hint
