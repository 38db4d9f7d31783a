"""Bootstrap intervals: what they hold, how wide they are, and that neighbours count as alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.evaluate.intervals import BLOCK, DRAWS, Sample, draws


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(length)


def test_a_draw_is_made_of_blocks_that_go_round():
    rows = draws(100)
    assert rows.shape == (DRAWS, 100) and rows.min() == 0 and rows.max() == 99
    inside = (np.arange(99) + 1) % BLOCK != 0
    assert ((rows[:, 1:] - rows[:, :-1]) % 100 == 1)[:, inside].all()
    assert len(np.unique(rows[:, 0])) == 100  # any frame may be the first
    assert np.array_equal(rows, draws(100))


@pytest.mark.parametrize("length", [1, 3, 10, 47])
def test_short_rows_have_short_blocks(length):
    rows = draws(length)
    assert rows.shape == (DRAWS, length) and set(np.unique(rows)) == set(range(length))


def test_the_interval_of_independent_values_is_the_textbooks():
    values = noise(400)
    low, high = Sample(values).interval()
    assert low < values.mean() < high
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(400), rel=0.2)


def test_neighbours_that_are_alike_make_it_wider():
    slow = np.repeat(noise(40), 10)  # ten frames of each: forty values, not four hundred
    low, high = Sample(slow).interval()
    assert high - low > 2 * 2 * 1.96 * slow.std() / np.sqrt(400)


@given(st.integers(8, 60), st.floats(-50, 50), st.floats(0.1, 20), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_it_moves_and_stretches_with_the_values(length, shift, scale, seed):
    values = noise(length, seed)
    low, high = Sample(values).interval()
    assert low <= high
    assert Sample(scale * values + shift).interval() == pytest.approx([scale * low + shift, scale * high + shift], abs=1e-6)


def test_any_statistic():
    rows = np.stack([np.arange(40.0), 2 * np.arange(40.0)], axis=1)
    ratio = Sample(rows, lambda held: float(held[:, 1].std() / held[:, 0].std()))
    assert ratio.figure == 2 and ratio.interval() == pytest.approx([2, 2])
    assert Sample(np.full(20, 3.5)).interval() == [3.5, 3.5] and Sample(rows).figure == pytest.approx(29.25)


def test_frames_without_a_value_are_left_out():
    holes = np.array([1.0, np.nan, 3.0, np.nan])
    assert Sample(holes).figure == 2 and 1 <= Sample(holes).interval()[0] <= Sample(holes).interval()[1] <= 3
    nothing = Sample(np.full(5, np.nan))
    assert np.isnan(nothing.figure) and np.isnan(nothing.interval()).all() and np.isnan(Sample(np.zeros(0)).interval()).all()
