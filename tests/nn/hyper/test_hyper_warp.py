"""Pictures brought to where their points are to be."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from likeness.nn.hyper.mouth import MOUTH
from likeness.nn.hyper.warp import brought, control
from tests.nn.hyper.faces import faces

SIZE = 96


def smooth() -> np.ndarray:
    """A picture whose colours are its places: x, y, and their sum."""
    place = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE
    x, y = np.meshgrid(place, place)
    return np.stack([x, y, (x + y) / 2], -1)


def test_nothing_asked_nothing_moved():
    face = faces(np.array([4.0]), np.zeros(1))[0]
    assert np.abs(brought(smooth(), control(face), control(face)) - smooth()).max() < 1e-3


def test_points_get_where_they_are_wanted():
    """What was at a point is then at where it is wanted: lips within a pixel and a half of 96."""
    shut, wide = faces(np.array([1.0, 12.0]), np.zeros(2))
    moved = brought(smooth(), control(shut), control(wide))
    for point in MOUTH:
        x, y = (wide[point] * SIZE - 0.5).round().long().tolist()
        if 1 <= x < SIZE - 1 and 1 <= y < SIZE - 1:
            here = (np.array([x, y]) + 0.5) / SIZE - wide[point].numpy()
            assert np.abs(moved[y, x, :2] - shut[point].numpy() - here).max() * SIZE < 1.5, point


@given(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
def test_a_shift_and_a_scale_are_exact(dx, dy, scale):
    face = faces(np.array([4.0]), np.zeros(1))[0]
    wanted = (face - 0.5) * (1 + scale) + 0.5 + torch.tensor([dx, dy])
    moved = brought(smooth(), control(face), control(wanted))
    inner = slice(SIZE // 4, 3 * SIZE // 4)
    place = (smooth()[..., :2] - 0.5 - np.array([dx, dy], np.float32)) / (1 + scale) + 0.5
    assert np.abs(moved[inner, inner, :2] - place[inner, inner]).max() < 2e-3


def test_a_mouth_of_its_own_takes_the_place_of_the_faces():
    face, other = faces(np.array([1.0, 9.0]), np.zeros(2))
    both = control(face, other[list(MOUTH)])
    assert torch.equal(both[-len(MOUTH) :], other[list(MOUTH)]) and torch.equal(
        both[: -len(MOUTH)], control(face)[: -len(MOUTH)]
    )
