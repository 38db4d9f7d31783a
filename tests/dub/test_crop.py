"""A crop and its way back: exact inverses, sub-pixel, and steady at the edge of the picture."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.dub.crop import Place, cut_out, laid_back

places = st.builds(Place, st.floats(20, 100), st.floats(20, 100), st.floats(10, 400), st.floats(-1.5, 1.5))


def slope(width: int, height: int) -> np.ndarray:
    """A picture whose colours say where they are: linear in x and y."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([x, y, 128 + (x - y) / 2], -1)


@settings(deadline=None, max_examples=50)
@given(places, st.sampled_from([128, 256, 512]))
def test_to_the_crop_and_back_is_the_identity(place, size):
    points = np.random.default_rng(0).uniform(-50, 300, (40, 2))
    assert np.allclose(place.to_picture(place.to_crop(points, size), size), points, atol=1e-9)
    corners = place.to_picture(np.array([[0.0, 0.0], [size, 0.0]]), size)
    assert np.isclose(np.linalg.norm(corners[1] - corners[0]), place.side)


@settings(deadline=None, max_examples=25)
@given(st.floats(90, 110), st.floats(90, 110), st.floats(20, 100), st.floats(-0.6, 0.6))
def test_pixels_lie_where_the_points_say(x, y, side, turn):
    place, size = Place(x, y, side, turn), 128
    crop = cut_out(slope(200, 200).round().astype(np.uint8), place, size)
    middles = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) + 0.5
    expected = place.to_picture(middles, size)
    assert np.abs(255 * crop[..., :2] - expected).max() < 0.6  # the picture's own rounding, and OpenCV's 1/32 pixel


def test_a_large_square_is_averaged_not_skipped():
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = cut_out(stripes, Place(300.0, 300.0, 512.0, 0.0), 128)
    assert np.abs(crop - 0.5).max() < 0.01


def test_beyond_the_picture_its_edge_is_repeated_and_nothing_is_laid_there():
    image = slope(90, 70).round().astype(np.uint8)
    place = Place(2.0, 68.0, 60.0, 0.3)
    crop = cut_out(image, place, 128)
    inside = np.clip(place.to_picture(np.array([[30.5, 90.5]]), 128), 0.5, [89.5, 69.5])[0]
    assert np.abs(255 * crop[90, 30, :2] - inside).max() < 1.5
    left, top, right, bottom = window = place.window(90, 70)
    assert 0 <= left < right <= 90 and 0 <= top < bottom <= 70
    back = laid_back(crop, place, window, cv2.BORDER_REPLICATE)
    solid = laid_back(np.ones((128, 128), np.float32), place, window, cv2.BORDER_CONSTANT) == 1
    shown = image[top:bottom, left:right] / 255
    assert solid.sum() > 500 and np.abs(back - shown)[solid].max() < 0.01
    away = Place(500.0, 500.0, 20.0, 0.0)
    left, top, right, bottom = away.window(90, 70)
    assert right <= left or bottom <= top
    assert np.allclose(255 * cut_out(image, away, 128), image[69, 89], atol=1)
