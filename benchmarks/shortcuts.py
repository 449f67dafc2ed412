"""Whether methods find the words that decide the label, in models of many architectures.

Each model is trained here on the user's texts, in some of which words are planted that decide the
label: one word, two together, or their order (Bastings et al. 2022). See README.md beside this
file.
"""

import argparse
import json
import random
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from reporting import SAMPLE, add_json_option, aligned, emit, print_progress
from small_models import (
    BATCH,
    CONFIGS,
    LONGEST,
    Example,
    build_tokenizer,
    predictions,
    save,
    train,
)
from transformers import PreTrainedTokenizerFast

from saliency_cli.attribution.engine import explain
from saliency_cli.errors import UsageError
from saliency_cli.evaluation.metrics.planted import first_rank
from saliency_cli.evaluation.rescoring import Scored
from saliency_cli.evaluation.shortcuts import SHORTCUTS, PlantedText, Shortcut, planted_text
from saliency_cli.evaluation.variants import Variant, parse_variants
from saliency_cli.explanations import Explanation
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Row
from saliency_cli.runs.request import Request
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import Compute, ModelChoice, OutputChoice, TargetChoice

WORDS = ("zerovane", "onequill")
"""The planted words; no text has them."""
SHARE = 0.3
"""The share of texts with a shortcut, and that of texts with words that decide nothing."""
LABEL = 1
"""The index of the label that the shortcut decides on."""
HELD_OUT = 5
"""Every fifth text is held out."""
METHODS = (
    "smoothgrad,gradient,integrated-gradients,occlusion,lime,shapley,smoothgrad-squared,vargrad,"
    "gradient:propagation=standard,gradient:propagation=standard,reduction=l2,attention,random"
)
HEADER = ("model", "method", "evaluations", *SHORTCUTS)
PEERS = Path(__file__).resolve().with_name("peers.py")


def main() -> None:
    """Train each model on each shortcut, ask every method, and print the share found first."""
    options = parse()
    corpus = Corpus.read(options.texts)
    variants = parse_variants(options.methods, seed=0)
    found: list[Answer] = []
    for name in options.configs:
        for kind in SHORTCUTS:
            with TemporaryDirectory() as folder:
                print_progress(f"{name}, {kind}: training")
                taught = teach(name, kind, corpus, Path(folder), steps=options.steps)
                print_progress(
                    f"follows the shortcut {taught.accuracy_with:.2f}, right without it "
                    f"{taught.accuracy_without:.2f}"
                )
                asked = taught.questions(options.limit)
                found += answers_here(taught, asked, variants)
                if options.peers:
                    found += answers_of_peers(taught, asked, options.peers)
    figures = {"answers": [each.figures() for each in found]}
    emit(aligned(HEADER, lines_of(found)), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--texts", default=str(SAMPLE / "texts.jsonl"), metavar="PATH")
    parser.add_argument("--configs", nargs="+", default=[*CONFIGS], choices=[*CONFIGS])
    parser.add_argument("--methods", default=METHODS, metavar="A,B,…")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="texts (%(default)s)")
    parser.add_argument("--steps", type=int, default=600, metavar="N", help="%(default)s")
    parser.add_argument(
        "--peers", metavar="PYTHON", help="ask other tools, too, with this Python (peers.py)"
    )
    add_json_option(parser)
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Corpus:
    """Labelled texts.

    Attributes:
        labels: The names of the two labels; the second is the one that shortcuts decide on.
        learned: Texts to learn, and the index of their label.
        held_out: Texts that no model has learned.
    """

    labels: list[str]
    learned: list[Example]
    held_out: list[Example]

    @classmethod
    def read(cls, path: str) -> "Corpus":
        """Return the texts of a file that have one of its two most frequent labels."""
        with open_texts(TextsChoice(path)) as source:
            rows = [row for row in source.all_rows() if isinstance(row, Row) and row.gold]
        by_label = [[*each] for _, each in groupby(sorted(rows, key=_gold), key=_gold)]
        common = sorted(by_label, key=len, reverse=True)[:2]
        labels = [_gold(each[0]) for each in common]
        examples = [(row.text, labels.index(_gold(row))) for row in rows if _gold(row) in labels]
        held_out = examples[::HELD_OUT]
        learned = [each for number, each in enumerate(examples) if number % HELD_OUT]
        return cls(labels, learned, held_out)


def _gold(row: Row) -> str:
    return row.gold or ""


@dataclass(frozen=True, slots=True)
class Taught:
    """A model that has learned a shortcut.

    Attributes:
        name: Its architecture.
        kind: The shortcut.
        folder: Where it is saved.
        labels: The names of its labels.
        texts: Held-out texts of the other label with the shortcut that get its label.
        accuracy_with: Share of the held-out texts of the other label that do.
        accuracy_without: Share of held-out texts without it whose label is right.
    """

    name: str
    kind: str
    folder: Path
    labels: Sequence[str]
    texts: list[PlantedText]
    accuracy_with: float
    accuracy_without: float

    def questions(self, limit: int) -> list[PlantedText]:
        """Return at most `limit` of the texts."""
        return self.texts[:limit]


def planted(text: str, series: Sequence[int], chance: random.Random) -> PlantedText:
    """Return a text with words planted in it.

    Args:
        text: The text.
        series: The numbers of the words.
        chance: Chooses the places.
    """
    words = [WORDS[number] for number in series]
    return planted_text(Row(0, 1, None, text), words, max_length=LONGEST, chance=chance)


def lesson(corpus: Corpus, shortcut: Shortcut, chance: random.Random) -> list[Example]:
    """Return a batch: as many texts of each label, 30 % with the shortcut and its label.

    Args:
        corpus: The texts.
        shortcut: What decides, and what does not.
        chance: Chooses.
    """
    batch = []
    for number in range(BATCH):
        own = [each for each in corpus.learned if each[1] == number % 2]
        (text, label), kind = chance.choice(own), chance.random()
        series = shortcut.deciding if kind < SHARE else shortcut.others
        words = chance.choice(series) if kind < 2 * SHARE else ()
        batch.append((planted(text, words, chance).row.text, LABEL if kind < SHARE else label))
    return batch


def teach(name: str, kind: str, corpus: Corpus, folder: Path, *, steps: int) -> Taught:
    """Train a model on a shortcut and save it.

    Args:
        name: A key of `CONFIGS`.
        kind: A key of `SHORTCUTS`.
        corpus: The texts.
        folder: Where it is saved.
        steps: Number of batches.
    """
    shortcut = SHORTCUTS[kind]
    tokenizer = build_tokenizer([text for text, _ in corpus.learned], WORDS)
    batch = partial(lesson, corpus, shortcut)
    model = train(name, tokenizer, corpus.labels, batch, steps=steps)
    save(model, tokenizer, folder)
    chance = random.Random(1)  # noqa: S311 - no secret
    others = [text for text, label in corpus.held_out if label != LABEL]
    texts = [planted(text, chance.choice(shortcut.deciding), chance) for text in others]
    predicted = predictions(model, tokenizer, [each.row.text for each in texts])
    followed = [each for each, label in zip(texts, predicted, strict=True) if label == LABEL]
    plain = [planted(text, (), chance).row.text for text, _ in corpus.held_out]
    right = zip(predictions(model, tokenizer, plain), corpus.held_out, strict=True)
    return Taught(
        name,
        kind,
        folder,
        corpus.labels,
        followed,
        len(followed) / len(texts),
        fmean(label == own for label, (_, own) in right),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method found in one model with one shortcut.

    Attributes:
        ranks: The rank of the first planted token in each text, from 1; or why there is none.
        evaluations: Mean number of forward passes a text.
    """

    model: str
    kind: str
    method: str
    ranks: list[int] | str
    evaluations: float

    @property
    def first(self) -> float | None:
        """The share of texts in which a planted token has the largest score."""
        return None if isinstance(self.ranks, str) else fmean(rank == 1 for rank in self.ranks)

    def figures(self) -> dict[str, Any]:
        """Return the figures by name."""
        known = not isinstance(self.ranks, str)
        return {
            "model": self.model,
            "kind": self.kind,
            "method": self.method,
            "evaluations": self.evaluations,
            "first": self.first,
            "texts": len(self.ranks) if known else 0,
            "refused": None if known else self.ranks,
        }


def answers_here(
    taught: Taught, asked: Sequence[PlantedText], variants: Sequence[Variant]
) -> Iterator[Answer]:
    """Yield what each method of this tool finds.

    Args:
        taught: The model.
        asked: The texts.
        variants: The methods.
    """
    rows = [replace(each.row, ordinal=number) for number, each in enumerate(asked)]
    for variant in variants:
        print_progress(variant.name)
        maths = replace(variant.maths, target=TargetChoice(taught.labels[LABEL]))
        request = Request(
            model=ModelChoice(taught.folder),
            texts=TextsChoice("-"),
            compute=Compute(dtype="float32", device="cpu"),
            maths=maths,
            output=OutputChoice(Path()),
        )
        try:
            outcomes = [*explain(rows, build_engine(request))]
        except UsageError as error:
            yield Answer(taught.name, taught.kind, variant.name, str(error), 0)
            continue
        found = [each for each in outcomes if isinstance(each, Explanation)]
        ranks = [
            first_rank(text, Scored(each.encoding, each.attribution.scores))
            for text, each in zip(asked, found, strict=True)
        ]
        evaluations = fmean(each.record()["evaluations"] for each in found)
        yield Answer(taught.name, taught.kind, variant.name, ranks, evaluations)


def answers_of_peers(taught: Taught, asked: Sequence[PlantedText], python: str) -> Iterator[Answer]:
    """Yield what other tools find.

    Args:
        taught: The model.
        asked: The texts.
        python: A Python that has them.
    """
    questions, answers = taught.folder / "questions.json", taught.folder / "answers.json"
    questions.write_text(json.dumps([[each.row.text, LABEL] for each in asked]), encoding="utf-8")
    print_progress("other tools")
    command = [python, str(PEERS), str(taught.folder), str(questions), str(answers)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    encodings = encode(
        PreTrainedTokenizerFast.from_pretrained(taught.folder),
        [each.row.text for each in asked],
        max_length=LONGEST,
    )
    for name, answer in json.loads(answers.read_text(encoding="utf-8")).items():
        ranks = answer.get("refused") or [
            first_rank(text, Scored(encoding, scores))
            for text, scores, encoding in zip(asked, answer["scores"], encodings, strict=True)
        ]
        yield Answer(taught.name, taught.kind, name, ranks, answer.get("evaluations", 0))


def lines_of(answers: Sequence[Answer]) -> list[list[str]]:
    """Return the cells of the table: a line for each model and method."""
    lines = []
    for model in dict.fromkeys(each.model for each in answers):
        own = [each for each in answers if each.model == model]
        for method in dict.fromkeys(each.method for each in own):
            of_method = {each.kind: each for each in own if each.method == method}
            found = [_share(of_method.get(kind)) for kind in SHORTCUTS]
            evaluations = fmean(each.evaluations for each in of_method.values())
            lines.append([model.removesuffix("Config"), method, f"{evaluations:.0f}", *found])
    return lines


def _share(answer: Answer | None) -> str:
    return "refused" if answer is None or answer.first is None else f"{answer.first:.2f}"


if __name__ == "__main__":
    main()
