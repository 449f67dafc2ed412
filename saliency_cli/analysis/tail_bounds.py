"""Bounds, in nats, on how improbable counts and shares are by chance."""

from math import log


def count_tail_bound(count: int, expected: float) -> float:
    """Return a bound b, in nats, such that P(X >= count) <= exp(-b).

    X is the number of independent events that happen, whatever their probabilities. Here an event
    is that the word is drawn at random as a text's leading word. This is Chernoff's bound
    (Mitzenmacher and Upfal 2017, theorem 4.4).

    Args:
        count: the number of events that happened.
        expected: the mean of X.
    """
    return count * log(count / expected) - count + expected if count > expected else 0.0


def bernoulli_kl(share: float, base: float) -> float:
    """Return KL(share ‖ base) of two Bernoulli distributions, in nats; 0 if share <= base.

    By Chernoff's bound, n draws with probability `base` reach the share `share` with a probability
    of at most exp(-n · KL).

    Args:
        share: the observed share, 0 to 1.
        base: the probability of each draw, 0 to 1.
    """
    if share <= base:
        return 0.0
    rest = (1 - share) * log((1 - share) / (1 - base)) if share < 1 else 0.0
    return share * log(share / base) + rest
