"""Laws of the filter over time: nothing lags, nothing straight is bent, and noise of boxes does not become noise of lips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.dub.smoothing import steady, stiffness, tamed

curves = st.tuples(st.integers(1, 60), st.integers(0, 10_000), st.floats(0.5, 12))


@settings(deadline=None, max_examples=60)
@given(curves)
def test_it_is_symmetric_in_time_and_leaves_its_input_alone(curve):
    length, seed, cutoff = curve
    rng = np.random.default_rng(seed)
    values, known = rng.standard_normal((length, 3)), rng.random(length) < 0.8
    known[rng.integers(length)] = True
    before, stiff = values.copy(), stiffness(cutoff, 25)
    smooth = steady(values, known, stiff)
    assert np.array_equal(values, before)
    assert np.allclose(smooth[::-1], steady(values[::-1], known[::-1], stiff), atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(curves)
def test_straight_lines_stay_to_their_ends_and_across_gaps(curve):
    length, seed, cutoff = curve
    rng = np.random.default_rng(seed)
    line = rng.standard_normal(4) + np.arange(length)[:, None] * rng.standard_normal(4)
    known = rng.random(length) < 0.7
    known[[0, -1]] = True
    gaps = np.where(known[:, None], line, 1e3)
    smooth = steady(gaps, known, stiffness(cutoff, 25))
    assert np.allclose(smooth if length > 2 else smooth[known], line if length > 2 else line[known], atol=1e-5)


@pytest.mark.parametrize("fps", [24, 25, 30, 50])
def test_the_cutoff_is_halved_slower_passes_and_noise_does_not(fps):
    t = np.arange(40 * fps) / fps
    middle = slice(10 * fps, 30 * fps)

    def gain(hertz: float) -> float:
        wave = np.sin(2 * np.pi * hertz * t)[:, None]
        return float(np.abs(steady(wave, np.ones(len(t), bool), stiffness(2.0, fps))[middle]).max())

    assert gain(2.0) == pytest.approx(0.5, abs=0.02)
    assert gain(0.4) > 0.99 and gain(8.0) < 0.03
    noise = np.random.default_rng(0).standard_normal((len(t), 1))
    smooth = steady(noise, np.ones(len(t), bool), stiffness(2.0, fps))
    assert np.diff(smooth, 2, axis=0).std() < 0.05 * np.diff(noise, 2, axis=0).std()


@settings(deadline=None, max_examples=60)
@given(st.integers(4, 40), st.integers(0, 10_000), st.data())
def test_one_wild_value_is_no_other_than_its_neighbours(length, seed, data):
    rng = np.random.default_rng(seed)
    line = rng.standard_normal(3) + np.arange(length)[:, None] * rng.standard_normal(3)
    assert np.allclose(tamed(line), line)
    wild, at = line.copy(), data.draw(st.integers(0, length - 1))
    wild[at] += rng.standard_normal(3) * 1e4
    kept = tamed(wild)
    steps = np.abs(np.diff(line, axis=0)).max(0)
    assert (np.abs(kept - line).max(0) <= (1 if 1 < at < length - 2 else 2) * steps + 1e-9).all()
    assert np.allclose(tamed(line[:2]), line[:2]) and np.allclose(tamed(wild[::-1]), kept[::-1])


def test_what_it_cannot_do_is_said():
    with pytest.raises(ValueError, match="nothing is known"):
        steady(np.zeros((5, 1)), np.zeros(5, bool), 1.0)
    with pytest.raises(ValueError, match="cannot be seen"):
        stiffness(13.0, 25)
