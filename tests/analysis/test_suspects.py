"""Suspects: near-duplicates, pairs of words, what a check confirms, and nothing by chance."""

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.analysis.even_sample import EvenSample
from saliency_cli.analysis.near_duplicates import SeenTexts
from saliency_cli.analysis.suspect_checks import Flips, SuspectCheck, check_phrase
from saliency_cli.analysis.suspects import PURITY, SuspectCounts
from saliency_cli.analysis.word_shares import RowStats, leading_word, row_stats
from saliency_cli.analysis.word_statistics import WordCounts, WordFindings
from saliency_cli.figures.chance import fisher_exact
from tests.support.runs import led

VOCABULARY = [f"{first}{second}" for first in "bdfgklmn" for second in "aeiou"]
CHECK = SuspectCheck(("zap",), "spam", Flips(40, 31), Flips(50, 44), Flips(50, 2), ("the",))


def stats(ordinal: int, shares: dict[str, float], label: str) -> RowStats:
    return RowStats({"ordinal": ordinal, "predicted": label}, None, shares, leading_word(shares))


def random_row(chance: random.Random, ordinal: int, *more: str) -> RowStats:
    words = [*chance.sample(VOCABULARY, 8), *more]
    return stats(ordinal, {w: chance.gauss(0, 1) for w in words}, chance.choice(("ham", "spam")))


def findings(rows: list[RowStats]) -> WordFindings:
    counts = WordCounts()
    for row in rows:
        counts.add(row)
    return counts.result()


def test_words_labels_and_leads_at_random_give_no_suspect_and_no_pair() -> None:
    """Of 100 runs of 150 texts fewer than 5 have any; nothing is checked that is no suspect."""
    named = 0
    for seed in range(100):
        chance = random.Random(seed)  # noqa: S311 - no secret
        found = findings([random_row(chance, n) for n in range(150)])
        named += bool(found.suspects or found.pairs)
    assert named < 5


def test_words_that_add_up_are_no_pair() -> None:
    """Each word has a weight for spam; two with large ones have one label more often than one."""
    chance = random.Random(0)  # noqa: S311 - no secret
    weights = {word: chance.gauss(0, 1) for word in VOCABULARY}
    rows = []
    for ordinal in range(4000):
        own = {word: weights[word] for word in chance.sample(VOCABULARY, 8)}
        sign = 1 if sum(own.values()) > 0 else -1
        shares = {word: sign * weight for word, weight in own.items()}
        rows.append(stats(ordinal, shares, ("ham", "", "spam")[sign + 1]))
    assert findings(rows).pairs == ()


def planted_pair(rows: int) -> list[RowStats]:
    """Return rows with two words that decide together and do nothing alone."""
    chance, found = random.Random(0), []  # noqa: S311 - no secret
    for ordinal in range(rows):
        place = ordinal % 10
        words = ("foo",) * (place < 5) + ("zap",) * (place < 3 or place in {5, 6})
        row = random_row(chance, ordinal, *words)
        if len(words) == 2:
            shares = {**row.shares, "foo": 5.0, "zap": 6.0}
            row = stats(ordinal, shares, "spam")
        found.append(row)
    return found


def test_two_words_that_decide_together_are_the_only_pair() -> None:
    (pair,) = findings(planted_pair(300)).pairs
    assert (pair.words, pair.label, pair.texts, pair.purity) == (("foo", "zap"), "spam", 90, 1.0)
    assert pair.single < PURITY
    assert pair.rows == (0, 1, 2, 10, 11)


def test_a_word_that_is_a_suspect_is_in_no_pair() -> None:
    rows = [
        stats(row.record["ordinal"], {**row.shares, "zap": 20.0}, "spam") if "zap" in row.shares
        else row
        for row in planted_pair(300)
    ]  # fmt: skip
    found = findings(rows)
    words = {suspect.word.word for suspect in found.suspects}
    assert words
    assert not any({*pair.words} & words for pair in found.pairs)


def test_near_duplicates_count_once() -> None:
    texts = [f"Free call {n}!" for n in range(40)] + ["call free", "call free , free"]
    rows = [row_stats(led(n, text, text.split()[0])) for n, text in enumerate(texts)]
    others = [random_row(random.Random(n), 100 + n) for n in range(100)]  # noqa: S311
    assert findings([*rows, *others]).suspects == ()
    seen = SeenTexts()
    assert [seen.is_new(row.shares) for row in rows] == [True] + 39 * [False] + [True, False]


def test_words_that_were_dropped_break_nothing() -> None:
    counts = SuspectCounts(max_pairs=12)
    for row in planted_pair(300):
        counts.add(row)
    assert len(counts.result()[0]) <= 1


def test_memory_of_seen_texts_is_bounded_and_other_texts_are_new() -> None:
    seen = SeenTexts()
    pairs = [*combinations(VOCABULARY, 2)]
    assert all(seen.is_new(pair) for pair in pairs)
    assert not any(seen.is_new(reversed(pair)) for pair in pairs[-5:])


@given(st.integers(0, 400), st.integers(1, 20))
def test_a_sample_is_even_and_as_large_as_may_be(items: int, limit: int) -> None:
    sample: EvenSample[int] = EvenSample(limit)
    for item in range(items):
        sample.add(item)
    found = sample.items()
    assert len(found) == min(items, limit)
    assert found == sorted({*found})
    gaps = [after - before for before, after in pairwise(found)]
    assert not gaps or max(gaps) <= 2 * min(gaps)


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
def test_fishers_test_counts_all_divisions(hits: int, more: int, other: int, rest: int) -> None:
    draws, other_draws = hits + more, other + rest
    found = fisher_exact(hits, draws, other_hits=other, other_draws=other_draws)
    people = range(draws + other_draws)
    chosen = [*combinations(people, hits + other)] if len(people) <= 10 else []
    if chosen:
        as_many = sum(sum(each < draws for each in group) >= hits for group in chosen)
        assert found == pytest.approx(as_many / len(chosen))
    assert 0 < found <= 1


@pytest.mark.parametrize(
    ("inserted", "control", "alone", "confirmed"),
    [
        (44, 2, (), True),
        (44, 40, (), False),
        (0, 0, (), False),
        (44, 2, (3, 1), True),
        (44, 2, (40, 1), False),
    ],
)
def test_a_suspect_is_confirmed_beyond_its_control_and_its_words_alone(
    inserted: int, control: int, alone: tuple[int, ...], confirmed: bool
) -> None:
    words = ("a", "b")[: len(alone) or 1]
    flips = [Flips(50, each) for each in (inserted, control, *alone)]
    check = SuspectCheck(
        words, "spam", Flips(9, 9), flips[0], flips[1], words, alone=tuple(flips[2:])
    )
    assert check.is_confirmed is confirmed
    assert SuspectCheck.from_json(check.as_json()) == check
    assert check_phrase(check).endswith("not confirmed") is not confirmed


def test_the_phrase_says_what_was_counted_and_no_more() -> None:
    assert check_phrase(CHECK) == (
        "without it the label changes in 31 of 40 texts; put into 50 other texts it turned 44 to "
        "spam (control word the: 2)"
    )


def test_checked_suspects_are_ordered_by_effect() -> None:
    counts = SuspectCounts(max_pairs=1000)
    words = ("zap", "foo")
    for ordinal in range(200):
        chance = random.Random(ordinal)  # noqa: S311 - no secret
        row, word = random_row(chance, ordinal), words[ordinal % 2]
        if ordinal % 10 < 3:
            shares = {**row.shares, word: 9.0}
            row = stats(ordinal, shares, "spam" if word == "zap" else "ham")
        counts.add(row)
    suspects, _, controls = counts.result()
    assert {each.word.word for each in suspects} == {*words}
    assert {*controls} == {*words}
    assert not {*controls.values()} & {*words}
    weaker = suspects[1]
    check = SuspectCheck(weaker.words, weaker.label, Flips(9, 9), Flips(50, 50), Flips(50, 0))
    found = WordFindings(suspects, (), 0).with_checks([check])
    assert [each.words for each in found.suspects] == [weaker.words, suspects[0].words]
    assert (found.suspects[0].check, found.suspects[1].check) == (check, None)
