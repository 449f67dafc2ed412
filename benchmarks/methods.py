"""Time of each attribution method here, in Captum and, where installed, in transformers-interpret.

The contenders of a method run in alternation in one process, with the same number of forward
passes. Captum runs with the best of a few batch sizes for each method. See README.md beside this
file.
"""

import argparse
import gc
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from captum import attr
from contenders import token_ids
from reporting import (
    SAMPLE,
    add_clock_option,
    add_json_option,
    aligned,
    clock,
    emit,
    print_progress,
)
from torch import Tensor

from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.maths import Maths, choose_reduction
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.attribution.methods.integrated_gradients import IntegratedGradients
from saliency_cli.attribution.methods.lime import Lime
from saliency_cli.attribution.methods.occlusion import Occlusion
from saliency_cli.attribution.methods.shapley import Shapley
from saliency_cli.attribution.methods.smoothgrad_squared import SmoothGradSquared
from saliency_cli.attribution.methods.vargrad import VarGrad
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import TORCH_THREADS
from saliency_cli.model.perturbation import mask_id
from saliency_cli.records import Row
from saliency_cli.runs.request import Request
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import Compute, ModelChoice, OutputChoice

STEPS, SAMPLES, ORDERS, MASKED_TEXTS = 20, 10, 4, 50
SIZES = (1, 4, 16, 64)
"""Perturbed texts, or points of a path, in one pass of Captum's that are tried."""

Contender = Callable[[Sequence[Row]], None]


@dataclass(frozen=True, slots=True)
class TextModel:
    """The model as a function of one text's tokens, as a user of Captum writes it."""

    classifier: Classifier

    def of_ids(self, ids: Tensor) -> Tensor:
        """Return the logits [B, C] of token ids [B, L]."""
        logits: Tensor = self.classifier.module(
            input_ids=ids, attention_mask=torch.ones_like(ids)
        ).logits
        return logits

    def of_embeddings(self, embeddings: Tensor) -> Tensor:
        """Return the logits [B, C] of embeddings [B, L, H]."""
        logits: Tensor = self.classifier.module(inputs_embeds=embeddings).logits
        return logits

    def baseline(self, ids: Tensor) -> Tensor:
        """Return token ids [1, L] with the mask token in place of the text."""
        masked = ids.clone()
        masked[:, 1:-1] = mask_id(self.classifier)
        return masked

    def each(self, rows: Sequence[Row], attribute: Callable[[Tensor, int], object]) -> None:
        """Attribute each text: its ids [1, L] and its predicted label."""
        for ids in token_ids(self.classifier, rows):
            alone = ids[None]
            with torch.no_grad():
                target = int(self.of_ids(alone).argmax())
            attribute(alone, target)

    def embed(self, ids: Tensor) -> Tensor:
        """Return the embeddings [1, L, H] of token ids [1, L]."""
        with torch.no_grad():
            found: Tensor = self.classifier.embedding(ids)
        return found


def saliency(model: TextModel, _size: int) -> Callable[[Tensor, int], object]:
    """Return Captum's `Saliency`."""
    captum = attr.Saliency(model.of_embeddings)
    return lambda ids, target: captum.attribute(model.embed(ids), target=target, abs=False)


def integrated(model: TextModel, size: int) -> Callable[[Tensor, int], object]:
    """Return Captum's `IntegratedGradients` by the midpoint rule."""
    captum = attr.IntegratedGradients(model.of_embeddings)
    return lambda ids, target: captum.attribute(
        model.embed(ids),
        baselines=model.embed(model.baseline(ids)),
        target=target,
        n_steps=STEPS,
        method="riemann_middle",
        internal_batch_size=size,
    )


def tunnel(kind: str) -> Callable[[TextModel, int], Callable[[Tensor, int], object]]:
    """Return Captum's `NoiseTunnel` of a kind."""

    def build(model: TextModel, size: int) -> Callable[[Tensor, int], object]:
        captum = attr.NoiseTunnel(attr.Saliency(model.of_embeddings))
        return lambda ids, target: captum.attribute(
            model.embed(ids),
            nt_type=kind,
            nt_samples=SAMPLES,
            nt_samples_batch_size=min(size, SAMPLES),
            stdevs=0.01,
            target=target,
            abs=False,
        )

    return build


def perturbing(
    kind: type[attr.FeatureAblation | attr.ShapleyValueSampling], **options: int
) -> Callable[[TextModel, int], Callable[[Tensor, int], object]]:
    """Return one of Captum's methods that take the text's tokens out.

    Args:
        kind: `FeatureAblation` or `ShapleyValueSampling`.
        options: What else its `attribute` is given.
    """

    def build(model: TextModel, size: int) -> Callable[[Tensor, int], object]:
        captum = kind(model.of_ids)
        return lambda ids, target: captum.attribute(
            ids,
            baselines=model.baseline(ids),
            target=target,
            feature_mask=_features(ids),
            perturbations_per_eval=size,
            **options,
        )

    return build


def _features(ids: Tensor) -> Tensor:
    """Return the feature of each token: special tokens at both ends share the first one."""
    features = torch.arange(ids.shape[1])[None]
    features[0, -1] = 0
    return features


def lime(model: TextModel, size: int) -> Callable[[Tensor, int], object]:
    """Return Captum's `LimeBase` with a regression that takes no time."""

    class Nothing:
        """Fits nothing, so that only the perturbed passes are timed."""

        def fit(self, *_args: Any, **_kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
            return {}

        def representation(self) -> Tensor:
            return torch.zeros(1)

    def attribute(ids: Tensor, target: int) -> object:
        captum = attr.LimeBase(
            model.of_ids,
            interpretable_model=Nothing(),
            similarity_func=lambda *_args, **_kwargs: torch.tensor(1.0),
            perturb_func=lambda *_args, **_kwargs: torch.rand(1, ids.shape[1]) < 0.5,
            perturb_interpretable_space=True,
            from_interp_rep_transform=lambda kept, ids, **_kwargs: ids.where(
                kept, model.baseline(ids)
            ),
            to_interp_rep_transform=None,
        )
        return captum.attribute(
            ids, target=target, n_samples=MASKED_TEXTS, perturbations_per_eval=size
        )

    return attribute


METHODS: dict[str, tuple[Method, Callable[[TextModel, int], Callable[[Tensor, int], object]]]] = {
    "gradient": (Gradient(), saliency),
    "integrated-gradients": (IntegratedGradients(steps=STEPS), integrated),
    "smoothgrad-squared": (SmoothGradSquared(samples=SAMPLES), tunnel("smoothgrad_sq")),
    "vargrad": (VarGrad(samples=SAMPLES), tunnel("vargrad")),
    "occlusion": (Occlusion(), perturbing(attr.FeatureAblation)),
    "lime": (Lime(samples=MASKED_TEXTS), lime),
    "shapley": (Shapley(samples=ORDERS), perturbing(attr.ShapleyValueSampling, n_samples=ORDERS)),
}


def main() -> None:
    """Time all methods, and print the ratios."""
    warnings.filterwarnings("ignore", category=UserWarning)
    options = parse()
    engine = load(options)
    with open_texts(TextsChoice(str(options.texts), limit=options.limit)) as source:
        texts = [row for row in source.all_rows() if isinstance(row, Row)]
    now = clock(options)
    figures, table = {}, []
    for name in options.methods or METHODS:
        print_progress(name)
        contenders = contenders_of(name, engine, texts, now=now)
        seconds = [
            {who: timed(contender, texts, now=now) for who, contender in contenders.items()}
            for _ in range(options.rounds)
        ]
        for who in contenders:
            ratios = [each[who] / each["saliency"] for each in seconds]
            row = {"seconds": median(each[who] for each in seconds), "ratio": median(ratios)}
            figures[f"{name}: {who}"] = {**row, "least": min(ratios), "most": max(ratios)}
            spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
            table.append((name, who, f"{row['seconds']:.2f}", f"{row['ratio']:.2f}", spread))
    header = ("method", "contender", "seconds", "× saliency's time", "min–max")
    emit(aligned(header, table), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--texts", type=Path, default=SAMPLE / "texts.jsonl", metavar="PATH")
    parser.add_argument("--limit", type=int, default=48, metavar="N", help="%(default)s texts")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="%(default)s")
    parser.add_argument("--methods", nargs="*", choices=METHODS, help="all")
    add_clock_option(parser)
    add_json_option(parser)
    return parser.parse_args()


def load(options: argparse.Namespace) -> Engine:
    """Return an engine with the model, one batch at a time on one thread."""
    request = Request(
        model=ModelChoice(options.model),
        texts=TextsChoice(str(options.texts)),
        compute=Compute(device="cpu", dtype="float32"),
        maths=Maths(reduction="l2", propagation="standard"),
        output=OutputChoice(Path()),
    )
    engine = build_engine(request)
    torch.set_num_threads(TORCH_THREADS)
    return engine


def contenders_of(
    name: str, engine: Engine, texts: Sequence[Row], *, now: Callable[[], float]
) -> dict[str, Contender]:
    """Return who computes a method, by name; Captum with its best batch size.

    Args:
        name: A key of `METHODS`.
        engine: The model.
        texts: The texts; a few of them are timed to find Captum's batch size.
        now: The clock.
    """
    method, build = METHODS[name]
    reduction = choose_reduction(method, None)
    ours = replace(engine, maths=Maths(method, reduction, "standard" if reduction else None))
    model, few = TextModel(engine.classifier), texts[:: max(1, len(texts) // 6)]
    sized = {size: (lambda rows, size=size: model.each(rows, build(model, size))) for size in SIZES}
    best = min(SIZES, key=lambda size: timed(sized[size], few, now=now))
    found: dict[str, Contender] = {
        "saliency": lambda rows: [*explain(rows, ours)].clear(),
        f"captum, {best} a pass": sized[best],
    }
    if name == "integrated-gradients" and (other := interpret(engine.classifier)):
        found["transformers-interpret"] = other
    return found


def interpret(classifier: Classifier) -> Contender | None:
    """Return transformers-interpret's explainer with as many steps, or None if not installed."""
    try:
        from transformers_interpret import (  # noqa: PLC0415
            SequenceClassificationExplainer,
        )
    except ImportError:
        return None
    explainer = SequenceClassificationExplainer(classifier.module, classifier.tokenizer)

    def run(rows: Sequence[Row]) -> None:
        for row in rows:
            explainer(row.text, n_steps=STEPS, internal_batch_size=STEPS)

    return run


def timed(contender: Contender, rows: Sequence[Row], *, now: Callable[[], float]) -> float:
    """Return the seconds that a contender takes.

    Args:
        contender: Who is timed.
        rows: The texts.
        now: The clock.
    """
    gc.collect()
    started = now()
    contender(rows)
    return now() - started


if __name__ == "__main__":
    main()
