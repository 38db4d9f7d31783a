"""The seam between head and body, by hand."""

import numpy as np
import pytest

from likeness.clip import PARTS
from likeness.evaluate import seam

SIZE = 256


def step(at: int, by: int) -> np.ndarray:
    """Grey 100, from row `at` on brighter."""
    image = np.full((SIZE, SIZE, 3), 100, np.uint8)
    image[at:] += by
    return image


@pytest.fixture
def parts() -> np.ndarray:
    """Face above row 128, torso below between columns 64 and 192."""
    found = np.zeros((2 * SIZE, 2 * SIZE), np.uint8)
    found[:256, 100:400] = PARTS["face"]
    found[256:, 128:384] = PARTS["torso"]
    return found


def test_the_band_lies_within_three_pixels_of_both(parts):
    where = seam.band(parts, SIZE)
    rows, columns = np.nonzero(where)
    assert rows.min() == 125 and rows.max() == 130 and columns.min() == 61 and columns.max() == 194
    assert where[125:131, 70:180].all()
    parts[parts == PARTS["torso"]] = PARTS["background"]
    assert not seam.band(parts, SIZE).any()


def test_an_edge_that_is_not_real_is_a_seam(parts):
    where = seam.band(parts, SIZE)
    flat, seen = np.full((SIZE, SIZE, 3), 100, np.uint8), step(128, 12)
    # central differences: 6 grey levels a pixel in the two rows beside the step, of which the band has six
    expected = 6 * where[127:129].sum() / where.sum()
    assert seam.error(seen, flat, where) == pytest.approx(expected) and seam.error(flat, seen, where) == pytest.approx(expected)
    assert seam.edge(seen, where) == pytest.approx(expected) and seam.edge(flat, where) == 0
    assert seam.error(seen, seen, where) == 0
    assert seam.error(step(60, 50), flat, where) == 0  # what is elsewhere is no seam
    assert seam.error(np.full_like(flat, 130), flat, where) == 0  # nor is light


def test_brightness_is_weighted_as_the_eye_does(parts):
    where = seam.band(parts, SIZE)
    green = np.full((SIZE, SIZE, 3), 100, np.uint8)
    green[128:, :, 1] += 12
    assert seam.edge(green, where) == pytest.approx(0.587 * seam.edge(step(128, 12), where))
