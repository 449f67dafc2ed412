"""Input reduction: the fewest words of a text with which the model's decision stays."""

from itertools import combinations
from math import comb

from saliency_cli.attribution.counterfactuals.predictor import BEAM_WIDTH
from saliency_cli.attribution.counterfactuals.text_words import WordSet
from saliency_cli.attribution.counterfactuals.word_search import (
    SEARCHED_WORDS,
    Found,
    Judged,
    WordSearch,
)

LARGEST_TRIED_SET = 2
MOST_TRIED_SETS = 2016
"""Sets of one size that are all tried: the pairs among 64 words, which are short texts."""


def fewest_kept_words(search: WordSearch) -> Found:
    """Return the fewest words with which the decision stays; of several sets, the most probable.

    The question is that of Feng et al. (2018). AllenNLP Interpret removes the token with the
    smallest gradient, goes on from the best 3 texts while the label stays, and so never looks at
    most subsets. Here every single word and every pair of words is predicted first, which are short
    texts. If none of them keeps the decision, words are removed from the whole text, one a step:
    each removal is predicted, and the 3 most probable texts that keep the decision go on. Words are
    removed whole, the text that is left is tokenized anew, and no gradient is taken.

    Raises:
        RowFailure: The tokenizer or the model fails on some of the words.
    """
    tried = 0
    for size in range(1, LARGEST_TRIED_SET + 1):
        if comb(len(search.words), size) > MOST_TRIED_SETS:
            break
        keeping = _keeping(search, [*combinations(search.words.all, size)])
        if keeping:
            return Found(keeping[0].kept, smallest=True)
        tried = size
    kept = _by_removal(search, _coarsely(search))
    return Found(kept, smallest=len(kept) == tried + 1)


def _keeping(search: WordSearch, sets: list[WordSet]) -> list[Judged]:
    """Return the sets that keep the decision, the most probable first."""
    keeping = [each for each in search.judge(sets) if each.keeps]
    return sorted(keeping, key=lambda each: -each.support)


def _each_removed(kept: WordSet) -> list[WordSet]:
    return [(*kept[:position], *kept[position + 1 :]) for position in range(len(kept))]


def _coarsely(search: WordSearch) -> WordSet:
    """Return what is left of a long text after steps that remove many words.

    The words are ranked by the probability without each of them. The largest share of them is
    removed that keeps the decision: a half, a quarter, and so on.
    """
    kept = search.words.all
    while len(kept) > SEARCHED_WORDS:
        ranked = _keeping(search, _each_removed(kept))
        needless = [word for each in ranked for word in {*kept}.difference(each.kept)]
        sizes = (len(kept) >> shift for shift in range(1, len(kept).bit_length()))
        removals = [{*needless[:size]} for size in sizes]
        shorter = [tuple(word for word in kept if word not in gone) for gone in removals if gone]
        smaller = [each.kept for each in search.judge(shorter) if each.keeps]
        if not smaller:
            break
        kept = smaller[0]
    return kept


def _by_removal(search: WordSearch, kept: WordSet) -> WordSet:
    """Return what is left after words are removed one by one while the decision stays."""
    beams = [kept]
    while True:
        shorter = [each for beam in beams for each in _each_removed(beam)]
        keeping = _keeping(search, shorter)
        if not keeping:
            return beams[0]
        beams = [each.kept for each in keeping[:BEAM_WIDTH]]
