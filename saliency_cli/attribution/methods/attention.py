"""Attention weights as scores: what people look at first, and no explanation of the decision."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from saliency_cli.attribution.methods.base import Method, Needs
from saliency_cli.settings import ObjectiveName, Option

if TYPE_CHECKING:
    from saliency_cli.attribution.draw_batch import DrawBatch, DrawResults
    from saliency_cli.model.classifier import Classifier


@dataclass(frozen=True, slots=True)
class Attention(Method):
    """How much the tokens that the head reads attend to each token, the mean over the heads.

    In the last layer, or over all layers by rollout (Abnar and Zuidema, "Quantifying attention flow
    in transformers", 2020). The same for every label, so it says nothing of one against another.
    """

    name: ClassVar[str] = "attention"
    title: ClassVar[str] = "attention"
    needs: ClassVar[Needs] = Needs.FORWARD_PASSES
    needs_eager_attention: ClassVar[bool] = True
    has_objective: ClassVar[bool] = False

    variant: Annotated[
        Literal["last-layer", "rollout"],
        Option(
            "Which attention: of the last layer, or of all layers multiplied, residual connections "
            "included (rollout)."
        ),
    ] = "last-layer"

    def total_draws(self, made: int, *, converged: bool) -> int:  # noqa: ARG002
        """Return 1: one pass a text.

        Args:
            made: Draws that the text has already.
            converged: Of no meaning for a fixed number.
        """
        return 1

    def check(self, classifier: "Classifier") -> None:
        """Raise UsageError if the model gives no attention weights."""
        from saliency_cli.attribution.probe_texts import TEXTS  # noqa: PLC0415
        from saliency_cli.model.attentions import text_attentions  # noqa: PLC0415
        from saliency_cli.model.passes import token_batch  # noqa: PLC0415
        from saliency_cli.model.tokenization import encode  # noqa: PLC0415

        encodings = encode(classifier.tokenizer, TEXTS[:1], max_length=classifier.max_length)
        text_attentions(classifier, token_batch(encodings, classifier))

    def evaluate(
        self,
        batch: "DrawBatch",
        classifier: "Classifier",
        *,
        objective: ObjectiveName,  # noqa: ARG002
    ) -> "DrawResults":
        """Return the attention that each token receives, [D, L, 1].

        Args:
            batch: D draws, those of several targets of a text next to each other.
            classifier: The model, with eager attention.
            objective: Of no meaning here.
        """
        from torch.nn.utils.rnn import pad_sequence  # noqa: PLC0415

        from saliency_cli.attribution.draw_batch import DrawResults  # noqa: PLC0415
        from saliency_cli.model.attentions import (  # noqa: PLC0415
            attention_rollout,
            last_layer_attention,
            text_attentions,
        )

        received = attention_rollout if self.variant == "rollout" else last_layer_attention
        texts = batch.clean.tokens.select(batch.texts[batch.first_of_evaluations()])
        scores = [received(each).double() for each in text_attentions(classifier, texts)]
        padded = pad_sequence(scores, batch_first=True)
        return DrawResults(padded[batch.evaluations][..., None], batch.no_flips())
