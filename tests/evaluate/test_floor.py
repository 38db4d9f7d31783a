"""The small changes by which the detector's floor is found."""

import numpy as np
import pytest

from likeness.evaluate import floor
from likeness.evaluate.detection import Landmarks


def test_encoding_changes_little_but_something():
    ramp = np.tile(np.arange(0, 128, dtype=np.uint8)[None, :, None], (64, 1, 3))
    noisy = ramp + np.random.default_rng(0).integers(0, 20, ramp.shape).astype(np.uint8)
    change = np.abs(floor.encoded(noisy).astype(int) - noisy)
    assert floor.encoded(noisy).shape == noisy.shape and 0 < change.mean() < 6
    coloured = np.zeros((16, 16, 3), np.uint8)
    coloured[..., 0] = 200
    assert floor.encoded(coloured)[8, 8] == pytest.approx([200, 0, 0], abs=3)  # red stays red


def test_half_a_pixel_is_the_mean_of_neighbours():
    ramp = np.tile((2 * np.arange(100, dtype=np.uint8))[None, :, None], (20, 1, 3))
    moved = floor.shifted(ramp)
    assert moved[5, 10:90] == pytest.approx(ramp[5, 10:90].astype(int) - 1, abs=0.51)
    points = Landmarks(np.full((2, 478, 2), 7.0), np.array([True, False]))
    assert floor.unshifted("half a pixel", points).pixels == pytest.approx(np.full((2, 478, 2), 6.5))
    assert floor.unshifted("half a pixel", points).found is points.found and floor.unshifted("jpeg 90", points) is points
    assert [list(map(np.shape, pictures)) for pictures in floor.changed([ramp]).values()] == [[ramp.shape]] * 2
