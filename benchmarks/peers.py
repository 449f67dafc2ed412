"""Scores of other people's tools, with their own defaults, for texts of a model in a folder.

It imports nothing of this project, so that it can run in an environment of its own, with the
versions that these tools want. See README.md beside this file.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

Scores: TypeAlias = list[float]
"""One score for each token of a text, special tokens included."""


@dataclass
class Peer:
    """A model and its tokenizer, with a count of the passes that tools make.

    Attributes:
        module: The model.
        tokenizer: Its tokenizer.
        evaluations: Texts in forward passes so far; one with a backward pass counts 3.
    """

    module: Any
    tokenizer: Any
    evaluations: int = field(default=0)

    @classmethod
    def load(cls, folder: Path) -> "Peer":
        """Return the model in a folder."""
        module = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        names = ("pad", "unk", "cls", "sep", "mask")
        known = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        roles = {f"{name}_token": known.get(f"{name}_token") for name in names}
        # AutoTokenizer of transformers 4 does not read what transformers 5 wrote.
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"),
            model_max_length=known["model_max_length"],
            model_input_names=["input_ids", "attention_mask"],
            **{role: token for role, token in roles.items() if token},
        )
        return cls(module, tokenizer)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the texts in the module's passes inside the block."""

        def count(_module: Any, args: Any, kwargs: Any) -> None:  # noqa: ANN401
            first = next(each for each in (*args, *kwargs.values()) if each is not None)
            self.evaluations += len(first) * (3 if torch.is_grad_enabled() else 1)

        hook = self.module.register_forward_pre_hook(count, with_kwargs=True)
        yield
        hook.remove()

    def probabilities(self, texts: Any) -> Any:  # noqa: ANN401 - lists and arrays of NumPy
        """Return the probabilities [T, C] of texts."""
        inputs = self.tokenizer([str(text) for text in texts], padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = self.module(inputs["input_ids"], attention_mask=inputs["attention_mask"])
        return logits.logits.softmax(-1).numpy()


def captum_integrated_gradients(peer: Peer, text: str, label: int) -> Scores:
    """Return Captum's layer integrated gradients: 50 steps, from token 0, summed over dimensions.

    Args:
        peer: The model.
        text: The text.
        label: The index of the label that is explained.
    """
    from captum.attr import LayerIntegratedGradients  # noqa: PLC0415 - a tool of its own

    ids = peer.tokenizer(text, return_tensors="pt")["input_ids"]

    def logits(ids: Any) -> Any:  # noqa: ANN401
        return peer.module(ids, attention_mask=torch.ones_like(ids)).logits

    method = LayerIntegratedGradients(logits, peer.module.get_input_embeddings())
    return list(method.attribute(ids, target=label).sum(dim=-1)[0].tolist())


def transformers_interpret(peer: Peer, text: str, label: int) -> Scores:
    """Return the scores of transformers-interpret's explainer of classifiers.

    Args:
        peer: The model.
        text: The text.
        label: The index of the label that is explained.
    """
    from transformers_interpret import SequenceClassificationExplainer  # noqa: PLC0415

    explainer = SequenceClassificationExplainer(peer.module, peer.tokenizer)
    return [float(score) for _token, score in explainer(text, index=label)]


def shap_partition(peer: Peer, text: str, label: int) -> Scores:
    """Return the values of SHAP's explainer for texts, which is its partition explainer.

    Args:
        peer: The model.
        text: The text.
        label: The index of the label that is explained.
    """
    import shap  # noqa: PLC0415

    explainer = shap.Explainer(peer.probabilities, shap.maskers.Text(peer.tokenizer), silent=True)
    return list(explainer([text]).values[0][:, label].tolist())


def ferret_lime(peer: Peer, text: str, label: int) -> Scores:
    """Return the scores of ferret's LIME, the best of its explainers by its own measure.

    Args:
        peer: The model.
        text: The text.
        label: The index of the label that is explained.
    """
    from ferret import LIMEExplainer  # noqa: PLC0415

    explainer = LIMEExplainer(peer.module, peer.tokenizer)
    return list(explainer(text, target=label).scores.tolist())


PEERS: dict[str, Callable[[Peer, str, int], Scores]] = {
    "Captum, integrated gradients": captum_integrated_gradients,
    "transformers-interpret": transformers_interpret,
    "SHAP, partition": shap_partition,
    "ferret, LIME": ferret_lime,
}


def main() -> None:
    """Read questions, and print every tool's scores as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", type=Path, help="folder of the model and the tokenizer")
    parser.add_argument("questions", type=Path, help="JSON: a list of [text, label]")
    parser.add_argument("answers", type=Path, help="the JSON file that is written")
    options = parser.parse_args()
    questions = json.loads(options.questions.read_text(encoding="utf-8"))
    answers = {name: answer(options.model, questions, name) for name in PEERS}
    options.answers.write_text(json.dumps(answers), encoding="utf-8")


def answer(folder: Path, questions: list[tuple[str, int]], name: str) -> dict[str, Any]:
    """Return a tool's scores of each text and its passes; or the error that it ends with.

    Args:
        folder: The model.
        questions: Texts, and the index of the label that is explained.
        name: A key of `PEERS`.
    """
    peer = Peer.load(folder)
    torch.manual_seed(0)
    try:
        with peer.counting():
            scores = [PEERS[name](peer, text, label) for text, label in questions]
    except Exception as error:  # noqa: BLE001 - a tool that refuses a model is a result
        return {"refused": f"{type(error).__name__}: {error}"[:200]}
    return {"scores": scores, "evaluations": peer.evaluations / len(questions)}


if __name__ == "__main__":
    main()
