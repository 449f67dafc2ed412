"""Word removal: the fewest words of a text without which the model's decision changes."""

from itertools import combinations

from saliency_cli.attribution.counterfactuals.predictor import BEAM_WIDTH
from saliency_cli.attribution.counterfactuals.text_words import WordSet
from saliency_cli.attribution.counterfactuals.word_search import (
    SEARCHED_WORDS,
    Found,
    Judged,
    WordSearch,
)


def fewest_removed_words(search: WordSearch) -> Found | None:
    """Return what is left after the fewest words are removed with which the decision changes.

    The text is predicted without each word, then without each pair of words; after that, one word
    more is removed a step from the 3 texts that support the decision least. Of more than 32 words,
    only the 32 whose removal lowers the probability most are removed together with others.

    Returns:
        What is left, or None if no removal was found that changes the decision.

    Raises:
        RowFailure: The tokenizer or the model fails on what is left.
    """
    everything = search.words.all
    found = _weakest(search, [(word,) for word in everything])
    searched = sorted(_removed(search, each)[0] for each in found[:SEARCHED_WORDS])
    size = 1
    while found and found[0].keeps:
        size += 1
        beams = [_removed(search, each) for each in found[:BEAM_WIDTH]]
        found = _weakest(search, _larger(beams, searched, all_pairs=size == 2))
    if not found:
        return None
    removed = _without_needless(search, _removed(search, found[0]))
    # Sets of two words are all tried before a third is removed, larger ones are not.
    tried = 2 if len(searched) == len(everything) else 1
    return Found(search.words.without(removed), smallest=len(removed) <= tried + 1)


def _larger(beams: list[WordSet], searched: list[int], *, all_pairs: bool) -> list[WordSet]:
    """Return the pairs of the words that are searched, or the beams with one of these words more.

    Args:
        beams: Sets of words.
        searched: Numbers of words, in ascending order.
        all_pairs: Whether to return the pairs.
    """
    if all_pairs:
        return [*combinations(searched, 2)]
    return [tuple(sorted((*beam, word))) for beam in beams for word in searched if word not in beam]


def _without_needless(search: WordSearch, removed: WordSet) -> WordSet:
    """Return what is left of removed words after each is put back that is not needed."""
    while len(removed) > 1:
        fewer = _weakest(search, [*combinations(removed, len(removed) - 1)])
        if fewer[0].keeps:
            break
        removed = _removed(search, fewer[0])
    return removed


def _weakest(search: WordSearch, sets: list[WordSet]) -> list[Judged]:
    """Return what is left without each set, those first that change the decision."""
    judged = search.judge([search.words.without(each) for each in sets])
    return sorted(judged, key=lambda each: (each.keeps, each.support))


def _removed(search: WordSearch, judged: Judged) -> WordSet:
    return search.words.without(judged.kept)
