"""The plate: what was behind a moving person, and what nobody saw."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.prepare.background import agreeing, fill, plate_from

SIDE = 128


def room(shift: float = 0.0) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    wave = 40 * np.sin((x + shift) / 7) + 0.5 * y
    return np.clip(np.dstack([100 + wave, 90 + 0.4 * x, 160 - wave]), 0, 255).astype(np.uint8)


def people(count: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A disk before a room, walking, with a rim that parsing missed."""
    images, background = [], []
    y, x = np.mgrid[:SIDE, :SIDE]
    for i in range(count):
        distance = np.hypot(x - 30 - 68 * i / max(count - 1, 1), y - 70)
        image = room(shift)
        image[distance < 26] = (220, 20, 20)
        images.append(image)
        background.append(distance >= 24)
    return np.stack(images), np.stack(background)


def test_plate_is_what_was_behind():
    images, background = people(12)
    plate = plate_from(images, background)
    seen = background.all(0)
    assert np.abs(plate.astype(int) - room())[seen].mean() < 0.6
    assert not ((plate[..., 0] > 200) & (plate[..., 1] < 60)).any()  # no trace of the person


def test_plate_fills_what_nobody_saw_from_its_rim():
    images, background = people(1)
    images[:] = 77
    plate = plate_from(np.repeat(images, 4, 0), np.repeat(background, 4, 0))
    assert np.abs(plate.astype(int) - 77).max() <= 1


def test_no_background_at_all_is_grey():
    plate = plate_from(np.full((3, 64, 64, 3), 9, np.uint8), np.zeros((3, 64, 64), bool))
    assert (plate == 127).all()


@pytest.mark.parametrize("shape", [(64, 64, 3), (33, 57, 3), (5, 3, 1)])
def test_fill_keeps_the_known_and_stays_within_it(shape):
    rng = np.random.default_rng(1)
    picture = rng.uniform(20, 90, shape).astype(np.float32)
    known = rng.random(shape[:2]) < 0.2
    known[0, 0] = True
    filled = fill(picture, known)
    np.testing.assert_array_equal(filled[known], picture[known])
    assert filled.min() >= picture[known].min() - 1e-3 and filled.max() <= picture[known].max() + 1e-3


def test_still_camera_uses_every_picture_and_a_moved_one_the_last():
    images, background = people(10)
    assert agreeing(list(images), list(background)) == list(range(10))
    moved, clear = people(10, shift=9)
    both, masks = [*images, *moved], [*background, *clear]
    assert agreeing(both, masks) == list(range(10, 20))
