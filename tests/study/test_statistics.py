"""Figures against published and hand-computed values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from likeness.study.statistics import bradley_terry, interval, means, ordinal_alpha, resamples, unanimous

_ = np.nan
# Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section C: 4 observers, 12 units
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
).T


def alpha_of(ratings: np.ndarray) -> float | None:
    """Of the ratings themselves, each rater once."""
    (alpha,) = ordinal_alpha(ratings, np.ones((1, ratings.shape[1])))
    return None if np.isnan(alpha) else float(alpha)


def test_alpha_of_the_published_example():
    assert alpha_of(PUBLISHED) == pytest.approx(0.815, abs=5e-4)


def test_alpha_by_hand():
    """Two raters, units (1, 1), (2, 2), (1, 2): o = [[2, 1], [1, 2]], n_c = 3, 3, distance (6 - 3)² = 9 for both pairs."""
    by_hand = 1 - (6 - 1) * (2 * 1 * 9) / (2 * 3 * 3 * 9)
    assert alpha_of(np.array([[1.0, 1], [2, 2], [1, 2]])) == pytest.approx(by_hand)


def test_alpha_of_perfect_agreement_and_of_nothing_to_agree_on():
    assert alpha_of(np.array([[1.0, 1, 1], [4, 4, 4], [2, 2, _]])) == 1.0
    assert alpha_of(np.full((5, 3), 4.0)) is None
    assert alpha_of(np.array([[1.0, _], [_, 2.0]])) is None
    assert alpha_of(np.full((5, 3), _)) is None
    assert alpha_of(np.zeros((5, 0))) is None


@settings(deadline=None)
@given(arrays.arrays(float, st.tuples(st.integers(2, 8), st.integers(2, 5)), elements=st.sampled_from([1.0, 2, 3, 4, 5, _])))
def test_alpha_depends_on_order_alone(ratings):
    """Raters and units may be shuffled, and values replaced by others in the same order; nobody agrees better than 1."""
    alpha = alpha_of(ratings)
    assert alpha is None or alpha <= 1 + 1e-12
    for same in (ratings[::-1], ratings[:, ::-1], ratings**3, 6 - ratings):
        assert alpha_of(same) == (None if alpha is None else pytest.approx(alpha))


def test_alpha_of_a_draw_leaves_out_who_was_not_drawn_and_compares_nobody_with_himself():
    draws = np.array([[1.0, 1, 1, 0], [0, 2, 0, 2], [0, 4, 0, 0]])
    three, two, one = ordinal_alpha(PUBLISHED, draws)
    assert three == pytest.approx(alpha_of(PUBLISHED[:, :3])) and np.isnan(one)
    # 4 and 2 answers a unit instead of 2 and 1 change only the correction for chance: n - 1 of 4n, 2n answers
    others = alpha_of(PUBLISHED[:, [1, 3]])
    n = 2 * (~np.isnan(PUBLISHED[:, [1, 3]])).all(1).sum()
    assert 1 - two == pytest.approx((1 - others) * (2 * n - 1) / (2 * n) * n / (n - 1))


def test_alpha_of_draws_is_about_as_uncertain_as_alpha_of_other_people():
    """Somebody's ratings are the truth and an error. Were people compared with themselves, the draws would agree too well."""
    chance = np.random.default_rng(5)
    truth = chance.integers(1, 6, (24, 1))

    def people() -> np.ndarray:
        return np.clip(truth + np.rint(chance.normal(0, 1.2, (24, 12))), 1, 5)

    asked = people()
    draws = ordinal_alpha(asked, resamples(12, 0, 400))
    others = np.array([alpha_of(people()) for _ in range(200)])
    assert draws.mean() == pytest.approx(alpha_of(asked), abs=0.02)
    assert 0.6 < draws.std() / others.std() < 1.7


def test_bradley_terry_of_two_is_the_log_of_the_odds():
    strength = bradley_terry(np.array([[0.0, 30], [10, 0]]), prior=0.0)
    assert strength == pytest.approx([np.log(3) / 2, -np.log(3) / 2])
    with_prior = bradley_terry(np.array([[0.0, 30], [10, 0]]))
    assert with_prior[0] - with_prior[1] == pytest.approx(np.log(30.5 / 10.5))


def test_bradley_terry_of_a_solved_case():
    """Wins in the exact proportion of strengths 4 : 2 : 1 give these strengths back."""
    power = np.array([4.0, 2, 1])
    wins = 12 * power[:, None] / (power[:, None] + power[None, :]) * (1 - np.eye(3))
    strength = bradley_terry(wins, prior=0.0)
    assert strength == pytest.approx(np.log(power) - np.log(power).mean(), abs=1e-6)


def test_bradley_terry_of_many_at_once_and_of_no_votes():
    wins = np.random.default_rng(0).integers(1, 9, (5, 4, 4)).astype(float) * (1 - np.eye(4))
    assert bradley_terry(wins) == pytest.approx(np.stack([bradley_terry(one) for one in wins]), abs=1e-7)
    assert bradley_terry(np.zeros((3, 3))) == pytest.approx(np.zeros(3))


def test_who_always_wins_has_a_finite_strength_only_with_the_prior():
    wins = np.array([[0.0, 5, 5], [0, 0, 3], [0, 2, 0]])
    strength = bradley_terry(wins)
    assert np.isfinite(strength).all() and strength[0] > strength[1] > strength[2]
    with pytest.raises(ArithmeticError):
        bradley_terry(wins, prior=0.0)


@settings(deadline=None)
@given(arrays.arrays(float, (3, 5, 5), elements=st.integers(0, 10) | st.integers(0, 10**6)), st.sampled_from([0.1, 0.5, 2.0]))
def test_strengths_are_where_the_mm_iteration_stands_still(wins, prior):
    """Hunter (2004), equation 3: power_i = won_i / sum_j of meetings_ij / (power_i + power_j)."""
    wins = wins * (1 - np.eye(5))
    strength = bradley_terry(wins, prior)
    wins = wins + prior * (1 - np.eye(5))
    power = np.exp(strength)
    meetings = wins + np.swapaxes(wins, 1, 2)
    again = np.log(wins.sum(2) / (meetings / (power[:, :, None] + power[:, None, :])).sum(2))
    assert again - again.mean(1, keepdims=True) == pytest.approx(strength, abs=1e-6)


def test_a_thousand_unanimous_people():
    """Of two methods the strengths are known; of eight in a fixed order they are as far apart, and evenly by symmetry."""
    two = bradley_terry(np.array([[0.0, 1000], [0, 0]]))
    assert two[0] - two[1] == pytest.approx(np.log(1000.5 / 0.5))
    eight = bradley_terry(np.triu(np.full((8, 8), 1000.0), 1))
    assert (np.diff(eight) < 0).all() and eight == pytest.approx(-eight[::-1])


@pytest.mark.parametrize(
    ("wins", "found"),
    [
        ([[0, 3, 3], [0, 0, 3], [0, 0, 0]], [True, True, True]),
        ([[0, 3, 3], [0, 0, 2], [0, 1, 0]], [True, False, False]),
        ([[0, 3, 0], [1, 0, 0], [0, 0, 0]], [False, False, True]),
    ],
)
def test_whose_every_pair_is_unanimous_or_without_votes(wins, found):
    assert unanimous(np.array(wins, float)).tolist() == found


@settings(deadline=None)
@given(arrays.arrays(float, (4, 4), elements=st.integers(0, 12)), st.permutations(range(4)))
def test_bradley_terry_does_not_mind_the_order_of_methods(wins, order):
    wins = wins * (1 - np.eye(4))
    assert bradley_terry(wins[np.ix_(order, order)]) == pytest.approx(bradley_terry(wins)[list(order)], abs=1e-6)


def test_means_weigh_every_answer():
    totals, counts = np.array([[9.0], [1.0]]), np.array([[3.0], [1.0]])
    assert means(totals, counts, np.array([[1.0, 1], [2, 0], [0, 2]])).ravel() == pytest.approx([2.5, 3, 1])
    assert np.isnan(means(totals * [[1], [0]], counts * [[1], [0]], np.array([[0.0, 2]]))).all()


def test_participants_are_drawn_again_and_the_seed_decides():
    weights = resamples(7, 3)
    assert (weights.sum(1) == 7).all() and (weights == resamples(7, 3)).all() and (weights != resamples(7, 4)).any()
    assert weights.mean(0) == pytest.approx(np.ones(7), abs=0.1)


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    """For a mean of n values the bootstrap's standard error is s / sqrt(n), s² taken over n."""
    values = np.random.default_rng(1).normal(3, 1, 40)
    low, high = interval(resamples(40, 0, 8000) @ values / 40)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(40), rel=0.05)


def test_draws_that_say_nothing_do_not_count():
    low, high = interval(np.array([[1.0, _], [2.0, _], [_, _]]))
    assert low[0] == pytest.approx(1.025) and high[0] == pytest.approx(1.975) and np.isnan(low[1]) and np.isnan(high[1])
    low, high = interval(np.zeros((0, 2)))
    assert np.isnan(low).all() and np.isnan(high).all()
