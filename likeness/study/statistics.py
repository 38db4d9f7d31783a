"""The figures of a study: means with intervals, agreement, and strengths from pairwise votes."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float

RESAMPLES = 2000
LEVEL = 0.95
PRIOR = 0.5  # votes; see `bradley_terry`
CLOSE = 1e-9  # of a log-strength, from one round to the next
ROUNDS = 20_000


def resamples(people: int, seed: int, times: int = RESAMPLES) -> Float[np.ndarray, "times people"]:
    """How often each participant is in each of `times` draws, with replacement, of as many participants."""
    chance = np.random.default_rng(seed)
    return chance.multinomial(people, np.full(people, 1 / people), size=times).astype(float)


def interval(values: Float[np.ndarray, "times *rest"]) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    """The ends of the percentile interval that holds LEVEL of the values. NaN, from draws that say nothing, does not count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where no draw says anything the ends are NaN, as they should be
        low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.asarray(low), np.asarray(high)


def means(
    totals: Float[np.ndarray, "people *rest"],
    counts: Float[np.ndarray, "people *rest"],
    weights: Float[np.ndarray, "times people"],
) -> Float[np.ndarray, "times *rest"]:
    """Mean of all answers in each draw, from each participant's sum and number of answers; NaN where nobody answered."""
    with np.errstate(invalid="ignore"):
        return np.tensordot(weights, totals, 1) / np.tensordot(weights, counts, 1)


def ordinal_alpha(ratings: Float[np.ndarray, "units raters"]) -> float | None:
    """Krippendorff's alpha for ordinal values (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability).

    NaN is no answer. 1 is perfect agreement, 0 what chance gives. None where there is nothing to compare: no unit with
    two answers, or the same value everywhere.
    """
    values = np.unique(ratings[~np.isnan(ratings)])
    count = np.stack([(ratings == value).sum(1) for value in values], 1).astype(float) if len(values) else np.zeros((0, 0))
    count = count[count.sum(1) >= 2]  # a unit with one answer has nothing to agree with
    if len(values) < 2 or not len(count):
        return None
    paired = count[:, :, None] * count[:, None, :] - count[:, :, None] * np.eye(len(values))
    coincidences = (paired / (count.sum(1) - 1)[:, None, None]).sum(0)  # o_ck
    each = coincidences.sum(1)  # n_c
    below = np.cumsum(each) - each / 2
    distance = np.square(below[:, None] - below[None, :])  # (sum of n_g from c to k, less half of n_c and n_k)²
    expected = (each[:, None] * each[None, :] * distance).sum()
    return float(1 - (each.sum() - 1) * (coincidences * distance).sum() / expected) if expected > 0 else None


def bradley_terry(wins: Float[np.ndarray, "*many methods methods"], prior: float = PRIOR) -> Float[np.ndarray, "*many methods"]:
    """Log-strengths with mean 0, by which i is preferred to j with probability 1 / (1 + exp(s_j - s_i)).

    wins[i, j]: how often i was preferred to j. `prior` such votes are added each way between every two methods: without
    them a method that always won would be infinitely strong, and ArithmeticError is raised. Hunter (2004), MM algorithms for
    generalized Bradley-Terry models, equation 3.
    """
    wins = wins + prior * (1 - np.eye(wins.shape[-1]))
    meetings, won = wins + np.swapaxes(wins, -1, -2), wins.sum(-1)
    strength = np.zeros(won.shape)
    for _ in range(ROUNDS):
        power = np.exp(strength)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = np.log(won / (meetings / (power[..., :, None] + power[..., None, :])).sum(-1))
            new -= new.mean(-1, keepdims=True)
        if not np.isfinite(new).all():
            break
        if np.abs(new - strength).max() < CLOSE:
            return new
        strength = new
    raise ArithmeticError("no strengths: without a prior, some method won or lost every vote")
