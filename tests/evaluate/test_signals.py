"""Signals of the face's two halves, and their errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import mesh
from likeness.evaluate.signals import LEAST, LOWER, UPPER, errors, signals, skull_of


def faces(frames: int = 8, seed: int = 0) -> np.ndarray:
    """A face of points, 60 pixels between the eyes, whose lips and brows move."""
    rng = np.random.default_rng(seed)
    still = np.repeat(rng.uniform(20, 230, (1, 478, 2)), frames, axis=0)
    still[:, mesh.RIGHT_EYE_CORNERS], still[:, mesh.LEFT_EYE_CORNERS] = (98, 100), (158, 100)
    moving = list({*mesh.LIPS, *mesh.BROWS, *mesh.CHIN_TIP, *mesh.LIDS[0], *mesh.LIDS[1]} - set(mesh.SKULL))
    still[:, moving] += rng.normal(0, 4, (frames, len(moving), 2))
    return still


def test_the_names_are_those_of_the_halves():
    pixels = faces()
    found = signals(pixels, skull_of(pixels))
    assert set(found) == {*UPPER, *LOWER} and all(value.shape == (8,) for value in found.values())


def test_signals_are_shares_of_the_distance_between_the_eyes():
    pixels = np.repeat(faces(1), 3, axis=0)
    pixels[:, mesh.UPPER_INNER_LIP], pixels[:, mesh.LOWER_INNER_LIP] = (128, 180), (128, 186)
    pixels[1, mesh.LOWER_INNER_LIP] = (128, 192)
    pixels[2, list(mesh.INNER_BROWS), 1] -= 3  # up is positive
    found = signals(pixels, skull_of(pixels))
    assert found["lips_part"] == pytest.approx([6 / 60, 12 / 60, 6 / 60])
    assert found["brow_inner"] - found["brow_inner"][0] == pytest.approx([0, 0, 3 / 60])
    assert found["jaw"] == pytest.approx(np.full(3, found["jaw"][0]))


def test_equal_faces_have_no_error_and_the_mean_has_one_of_one():
    real = faces(200)
    assert np.concatenate(errors(real, real)) == pytest.approx(np.zeros(400))
    mean = np.repeat(real.mean(0, keepdims=True), 200, axis=0)
    target = skull_of(real)
    heights = {"brow_inner", "brow_outer", "upper_lip", "corners", "jaw"}  # linear: the mean face has their mean
    ours, theirs = signals(mean, target), signals(real, target)
    for name in heights:
        assert np.mean((ours[name] - theirs[name]) ** 2) == pytest.approx(theirs[name].var(), rel=1e-6)
    upper, lower = (half.mean() for half in errors(mean, real))
    assert upper == pytest.approx(1, abs=0.2) and lower == pytest.approx(1, abs=0.2)


def test_each_half_sees_its_own():
    real = faces(50)
    drawn = real.copy()
    drawn[:, mesh.CHIN_TIP, 1] += 5
    upper, lower = errors(drawn, real)
    spread = max(signals(real, skull_of(real))["jaw"].std(), LEAST)
    assert upper == pytest.approx(np.zeros(50), abs=1e-9)
    assert lower == pytest.approx(np.full(50, (5 / 60 / spread) ** 2 / len(LOWER)))


def test_what_never_moves_is_measured_by_the_least():
    real = np.repeat(faces(1), 20, axis=0)
    drawn = real.copy()
    drawn[:, list(mesh.CHIN_TIP), 1] += 0.6  # one percent of the distance between the eyes
    assert errors(drawn, real)[1] == pytest.approx(np.full(20, (0.01 / LEAST) ** 2 / len(LOWER)))


@given(st.floats(-0.5, 0.5), st.floats(0.7, 1.4), st.floats(-30, 30))
@settings(max_examples=25, deadline=None)
def test_where_the_head_is_does_not_matter(turn, scale, shift):
    real = faces(12)
    z = (real[..., 0] + 1j * real[..., 1]) * scale * np.exp(1j * turn)
    drawn = np.stack([z.real + shift, z.imag - shift], axis=-1)
    assert np.concatenate(errors(drawn, real)) == pytest.approx(np.zeros(24), abs=1e-12)
