"""Erasure: how far the label's probability and logit fall when tokens are taken out of a text.

Shapes: T texts, O orders, K shares, L tokens of the longest text.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from saliency_cli.evaluation.bootstrap import UNKNOWN, figure, mean_figure, resample_counts
from saliency_cli.evaluation.metrics.interface import Metric, Values
from saliency_cli.evaluation.orders import best_orders, padded, random_ranks, ranks_of
from saliency_cli.evaluation.passes import REMOVALS
from saliency_cli.evaluation.subject import (
    TARGETS,
    Subject,
    as_lists,
    evenly,
    probabilities,
    target_values,
)

SHARES = (1, 5, 10, 20, 50)
"""Percent of a text's tokens, at least one token (DeYoung et al. 2020, section 4)."""
REFERENCE_TEXTS = 40
"""Texts, an even sample, for which the best order is searched; that takes about 300 passes a text,
and a method 15. They alone decide the normalised number, all texts the falls and the curves."""
ERASER_REMOVAL = "delete"
"""How ERASER's authors take tokens out."""
LEAST_GAIN = 1e-6
"""Mean gain of the best order below which nothing can be normalised."""


def counts_of(tokens: Tensor) -> Tensor:
    """Return how many tokens each share of some texts is, rounded up, [T, K].

    Args:
        tokens: The number of tokens of each text that can be taken out, [T].
    """
    return -(-tokens[:, None] * torch.tensor(SHARES) // 100)


def erased_logits(subject: Subject, texts: Tensor, ranks: Tensor, *, by: str, keep: bool) -> Tensor:
    """Return the logits at each share, [O, K, C] of C labels.

    Args:
        subject: Texts and model.
        texts: The text of each order, [O].
        ranks: The orders, [O, L].
        by: One of `passes.REMOVALS`.
        keep: Whether the first tokens stay and the others are taken out.
    """
    removable = subject.passes.removable[texts]
    counts = counts_of(removable.sum(dim=1))
    first = ranks[:, None] < counts[..., None]
    removed = removable[:, None] & (~first if keep else first)
    # Orders, and shares of a short text, have many sets in common, which are run once.
    lines = torch.cat((texts[:, None, None].expand(*counts.shape, 1), removed.long()), dim=2)
    unique, index = lines.flatten(0, 1).unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
    logits = subject.passes.logits(unique[:, 0], unique[:, 1:].bool(), by=by)
    return logits[index].view(*counts.shape, -1)


def falls(subject: Subject, texts: Tensor, logits: Tensor) -> dict[str, Tensor]:
    """Return by how much both targets are lower than in the whole text, [O, K].

    Args:
        subject: Texts and model.
        texts: The text of each order, [O].
        logits: Those of the erased texts, [O, K, C].
    """
    orders, shares = logits.shape[:2]
    labels = subject.labels[texts].repeat_interleave(shares)
    values = target_values(logits.flatten(0, 1), labels, head=subject.engine.classifier.head)
    return {
        target: subject.clean[target][texts][:, None] - each.view(orders, shares)
        for target, each in values.items()
    }


class Erasure(Metric):
    """A metric whose number is 0 for a random order and 1 for the best that a search finds.

    The number is (A − R) / (B − R) for the means over texts of the method's fall A, that of a
    random order R and that of the best order B (as Edin et al. 2024 normalise, but with a random
    order for the worst one, and means over texts: a text of which no order changes the prediction
    then adds nothing). It is the mean of both ways to take tokens out, of the probability. A method
    that finds a better order than the search has more than 1.

    Attributes:
        keep: Whether the first tokens stay and the others are taken out.
    """

    keep: bool
    has_curves: ClassVar[bool] = True
    compares_methods: ClassVar[bool] = True  # they share passes, and so the last digits

    def reference(self, subject: Subject) -> Values:
        """Return the falls of a random order and of the best order."""
        chosen = evenly(len(subject.rows), most=REFERENCE_TEXTS)
        orders = [ranks[chosen] for ranks in random_ranks(subject.passes, seed=subject.choice.seed)]
        depths = counts_of(subject.passes.removable[chosen].sum(dim=1))[:, -1]
        found: Values = {"searched": chosen.tolist(), "random": {}, "best": {}}
        for by in REMOVALS:
            best = best_orders(subject, chosen, depths, by=by, keep=self.keep)
            logits = self._logits(subject, chosen, [*orders, *best], by=by)
            tried = [falls(subject, chosen, each) for each in logits]
            for name in TARGETS:
                values = torch.stack([each[name] for each in tried])
                random = values[: len(orders)].mean(dim=0)
                found["random"].setdefault(by, {})[name] = as_lists(random)
                top = self._best(values[len(orders) :])
                found["best"].setdefault(by, {})[name] = as_lists(top)
        return found

    def _logits(
        self, subject: Subject, texts: Tensor, orders: Sequence[Tensor], *, by: str
    ) -> Tensor:
        """Return the logits at each share of several orders of the same texts, [M, T, K, C]."""
        all_texts, ranks = texts.repeat(len(orders)), torch.cat([*orders])
        logits = erased_logits(subject, all_texts, ranks, by=by, keep=self.keep)
        return logits.view(len(orders), len(texts), *logits.shape[1:])

    def _best(self, values: Tensor) -> Tensor:
        """Return the falls [T, K] of the best of several orders [M, T, K] of each text."""
        means = values.mean(dim=2)
        place = means.argmin(dim=0) if self.keep else means.argmax(dim=0)
        return values[place, torch.arange(values.shape[1])]

    def measure(self, subject: Subject, name: str, reference: Values) -> Values:  # noqa: ARG002
        """Return the falls of a method's order, by removal and target: K numbers a text.

        Beside them are the shares, the texts' ordinals, and of `ERASER_REMOVAL` the probabilities
        of all labels, which the export `eraser` reads. All methods are measured when the first is
        asked for.

        Args:
            subject: Texts, scores and model.
            name: The method.
            reference: Of no meaning here.
        """
        if self.name not in subject.memory:
            subject.memory[self.name] = self._of_all(subject)
        values: Values = subject.memory[self.name][name]
        return values

    def _of_all(self, subject: Subject) -> dict[str, Values]:
        passes = subject.passes
        longest, texts = passes.tokens.longest, torch.arange(len(subject.rows))
        orders = [
            ranks_of(padded(subject.scores[name], longest=longest), passes.removable)
            for name in subject.variants
        ]
        ordinals = [row.ordinal for row in subject.rows]
        shared = {"ordinals": ordinals, "shares": [*SHARES]}
        found: dict[str, Values] = {name: {**shared} for name in subject.variants}
        for by in REMOVALS:
            logits = self._logits(subject, texts, orders, by=by)
            for name, own in zip(subject.variants, logits, strict=True):
                of_targets = falls(subject, texts, own).items()
                found[name][by] = {target: as_lists(values) for target, values in of_targets}
                if by == ERASER_REMOVAL:
                    of_labels = probabilities(own, head=subject.engine.classifier.head)
                    found[name]["probabilities"] = as_lists(of_labels)
        return found

    def summarise(self, values: Values, reference: Values) -> dict[str, Any]:
        """Return the normalised number, and by removal and target the mean fall beside it.

        `gain` is the fall of the probability less that of a random order of the same text. Where no
        order changes much, the normalised number is the quotient of two small ones and its error
        is large; that of the gain is not, so methods are compared by it.

        Args:
            values: The falls of the method.
            reference: The falls of a random and of the best order.
        """
        searched = reference["searched"]
        by: dict[str, Any] = {}
        normalised, gains = {}, []
        for removal in REMOVALS:
            by[removal] = {}
            for target in TARGETS:
                own, random, best = (
                    torch.tensor(each[removal][target], dtype=torch.float64).mean(dim=1)
                    for each in (values, reference["random"], reference["best"])
                )
                ratio = _ratio(own[searched] - random, best - random)
                if target == TARGETS[0]:
                    gains.append(own[searched] - random)
                normalised[removal, target] = ratio
                by[removal][target] = {
                    **(UNKNOWN if ratio is None else figure(float(ratio[0]), ratio[1:])),
                    "fall": mean_figure(own.tolist()),
                }
        both = [normalised[removal, TARGETS[0]] for removal in REMOVALS]
        known = [ratio for ratio in both if ratio is not None]
        if len(known) < len(both):
            return {**UNKNOWN, "reason": "no order of tokens changes the predictions", "by": by}
        mean = torch.stack(known).mean(dim=0)
        gain = mean_figure(torch.stack(gains).mean(dim=0).tolist())
        return {**figure(float(mean[0]), mean[1:]), "gain": gain, "by": by}

    def curves(self, values: Values) -> dict[str, Any]:
        """Return mean and standard error of the fall at each share, by removal and target.

        Args:
            values: The falls of a method.
        """
        return {
            removal: {
                target: [mean_figure([*column]) for column in zip(*texts, strict=True)]
                for target, texts in values[removal].items()
            }
            for removal in REMOVALS
        }


def _ratio(gains: Tensor, best: Tensor) -> Tensor | None:
    """Return mean gain / mean best gain: over all texts, then over each resample, [1 + R].

    Args:
        gains: The method's gain over a random order, [T].
        best: The best order's, [T].

    Returns:
        None where the best order gains nothing.
    """
    counts = torch.cat((torch.ones(1, len(best)).double(), resample_counts(len(best))))
    scale = counts @ best
    if abs(float(scale[0])) < len(best) * LEAST_GAIN:
        return None
    return counts @ gains / scale
