"""The rules of the verdict, one sentence each."""

from typing import Any

from saliency_cli.evaluation.verdict import verdict


def figures(mean: float, *, cost: float = 10, **others: float) -> dict[str, Any]:
    """Return the figures of a method whose standard errors are all 0.02."""
    found = {name: {"mean": x, "se": 0.02} for name, x in others.items()}
    gain = {"mean": mean, "se": 0.02}
    return {"evaluations": cost, "comprehensiveness": {**gain, "gain": gain}, **found}


def test_a_method_that_is_ahead_by_more_than_its_error_leads() -> None:
    methods = {"random": figures(0.0), "gradient": figures(0.9), "occlusion": figures(0.7)}
    assert verdict(methods) == [
        "gradient is the most faithful method: its comprehensiveness is 0.90."
    ]


def test_methods_within_the_error_are_level_and_the_cheapest_is_named() -> None:
    methods = {"a": figures(0.92, cost=60), "b": figures(0.90, cost=3), "c": figures(0.5)}
    lead, cheap = verdict(methods)
    assert lead.endswith("no clear lead: b is within 2 standard errors.")
    assert cheap == "b is level with it at 3 forward passes a text, where a takes 60."


def test_what_is_to_be_doubted_is_said() -> None:
    bad = figures(0.04, randomisation=0.8, mosaic=0.53, planted=0.7)
    good = figures(0.9, randomisation=0.1, mosaic=0.8, planted=1.0)
    sentences = verdict({"random": figures(0.0, mosaic=0.5), "bad": bad, "good": good})[1:]
    assert all(sentence.startswith("Doubt bad: ") for sentence in sentences)
    words = ("random scores", "correlation 0.80", "0.53 of the positive", "70% of the texts")
    assert len(sentences) == len(words)
    assert all(word in sentence for word, sentence in zip(words, sentences, strict=True))


def test_what_was_not_measured_is_not_judged() -> None:
    unknown = {"mean": None, "se": None, "reason": "its scores have no sign"}
    assert verdict({"gradient": {"evaluations": 3, "mosaic": unknown}}) == []
