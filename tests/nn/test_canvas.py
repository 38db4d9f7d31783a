"""Colours of the torso's texture, from looks whose every pixel is known."""

import numpy as np
import pytest

from likeness.nn.canvas import HIDDEN, OUTSIDE, _finish

LOOKS, SKIN, OUTLINE = 60, 200, 40


def looks(other: int) -> tuple[np.ndarray, np.ndarray]:
    """A neck of one colour. Its upper half is `other` in all looks but 4, which show there something dark."""
    colours = np.full((LOOKS, 80, 120, 3), SKIN, np.uint8)
    cloth = np.full((LOOKS, 80, 120), 100, np.uint8)
    cloth[:, :40] = other
    cloth[:4, :40], colours[:4, :40] = 100, OUTLINE
    return colours, cloth


def test_what_a_chin_hardly_ever_uncovers_is_its_own_outline():
    texture = _finish(*looks(HIDDEN), 1.0)
    assert (texture[..., 3] == 255).all()
    assert texture[..., :3].min() == SKIN


def test_what_few_looks_hold_at_the_picture_s_border_is_cloth():
    texture = _finish(*looks(OUTSIDE), 1.0)
    assert texture[0, 60, :3] == pytest.approx([OUTLINE] * 3) and texture[-1, 60, 0] == SKIN
