"""The figures of a study: means with intervals, agreement, and strengths from pairwise votes."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float

RESAMPLES = 2000
LEVEL = 0.95
PRIOR = 0.5  # votes; see `bradley_terry`
CLOSE = 1e-9  # of a log-strength, from one round to the next
ROUNDS = 200  # a million unanimous votes need 20


def resamples(people: int, seed: int, times: int = RESAMPLES) -> Float[np.ndarray, "times people"]:
    """How often each participant is in each of `times` draws, with replacement, of as many participants."""
    chance = np.random.default_rng(seed)
    return chance.multinomial(people, np.full(people, 1 / people), size=times).astype(float)


def interval(values: Float[np.ndarray, "times *rest"]) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    """The ends of the percentile interval that holds LEVEL of the values. NaN, from draws that say nothing, does not count."""
    if not len(values):
        return np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
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


def ordinal_alpha(
    ratings: Float[np.ndarray, "units raters"], weights: Float[np.ndarray, "times raters"]
) -> Float[np.ndarray, " times"]:
    """Krippendorff's alpha for ordinal values (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability), in each draw.

    In `ratings` NaN is no answer; `weights` says how often each rater was drawn, ones for the alpha of the ratings themselves.
    Somebody who was drawn twice is not compared with himself, which would be perfect agreement. 1 is perfect, 0 what chance
    gives. NaN where there is nothing to compare: no unit with two answers, or the same value everywhere.
    """
    values = np.unique(ratings[~np.isnan(ratings)])
    said = (ratings[:, :, None] == values).astype(float)  # [units raters values]
    count = np.einsum("ta,uac->tuc", weights, said)
    with_self = np.einsum("ta,uac->tuc", weights**2, said)
    pairs = count[..., :, None] * count[..., None, :] - with_self[..., :, None] * np.eye(len(values))
    answers, whole = count.sum(-1), pairs.sum((-1, -2))  # without weights m and m (m - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole > 0, answers / whole, 0)  # a unit with one answer has nothing to agree with
        coincidences = np.einsum("tu,tuck->tck", share, pairs)  # o_ck
        each = coincidences.sum(-1)  # n_c
        below = np.cumsum(each, -1) - each / 2
        distance = np.square(below[:, :, None] - below[:, None, :])  # (sum of n_g from c to k, less half of n_c and n_k)²
        expected = (each[:, :, None] * each[:, None, :] * distance).sum((-1, -2))
        alpha = 1 - (each.sum(-1) - 1) * (coincidences * distance).sum((-1, -2)) / expected
    return np.where(expected > 0, alpha, np.nan)


def bradley_terry(wins: Float[np.ndarray, "*many methods methods"], prior: float = PRIOR) -> Float[np.ndarray, "*many methods"]:
    """Log-strengths with mean 0, by which i is preferred to j with probability 1 / (1 + exp(s_j - s_i)).

    wins[i, j]: how often i was preferred to j. `prior` such votes are added each way between every two methods: without
    them a method that always won would be infinitely strong, and ArithmeticError is raised. The likelihood (Hunter 2004, MM
    algorithms for generalized Bradley-Terry models, equation 2) is concave in s: Newton's method, each step damped by
    log(1 + d) / d with d its spread, goes up from everywhere (Sun and Tran-Dinh 2019, Generalized self-concordant functions).
    """
    beaten = (wins + prior > 0) | np.eye(wins.shape[-1], dtype=bool)
    if not (np.linalg.matrix_power(beaten.astype(float), wins.shape[-1]) > 0).all():  # Hunter 2004, assumption 1
        raise ArithmeticError("no strengths: without a prior, some method won or lost every vote")
    wins = wins + prior * (1 - np.eye(wins.shape[-1]))
    lost = np.swapaxes(wins, -1, -2)
    strength = np.zeros(wins.shape[:-1])
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(strength[..., None, :] - strength[..., :, None]))  # [i j]: that i is preferred to j
        against = np.swapaxes(chance, -1, -2)
        uphill = (wins * against - lost * chance).sum(-1)
        weight = (wins + lost) * chance * against
        # with the ones, which only hold the mean at 0, the matrix of second derivatives can be inverted
        curved = weight.sum(-1)[..., None] * np.eye(wins.shape[-1]) - weight + 1
        step = np.linalg.solve(curved, uphill[..., None])[..., 0]
        spread = np.maximum(np.ptp(step, axis=-1, keepdims=True), CLOSE**2)
        strength = strength + step * np.log1p(spread) / spread
        if np.abs(step).max(initial=0) < CLOSE:
            return strength - strength.mean(-1, keepdims=True)
    raise ArithmeticError(f"no strengths after {ROUNDS} rounds of Newton's method")


def unanimous(wins: Float[np.ndarray, "methods methods"]) -> Bool[np.ndarray, " methods"]:
    """Which methods every other one beat always, never or not at all: of how sure their strengths are such votes say nothing.

    Every draw of the participants repeats them, and what it gives is made by the prior.
    """
    return ((wins == 0) | (wins.T == 0)).all(1)
