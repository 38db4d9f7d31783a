"""New lips in an old picture: where they go, and that nothing else changes. On a mean face and noise: no detector is needed."""

import cv2
import numpy as np
import pytest

from likeness.dub.crop import Place, cut_out
from likeness.dub.faces import MIDDLE, SIDE
from likeness.dub.paste import face_width, likeness, mask, matched, paste, skin_ring
from likeness.dubbing import Blend
from likeness.mesh import CHIN_BOTTOM, FACE_OVAL, INNER_LIPS, JAW, NOSE_BASE
from likeness.prepare.generic_face import generic_face

PLACE = Place(101.3, 95.7, 170.0, 0.2)


def face(size: int, drop: float = 0.0) -> np.ndarray:
    """The mean face in a crop; its jaw `drop` of the crop lower."""
    points = (generic_face()[:, :2] - MIDDLE) / SIDE + 0.5
    points[list(JAW), 1] += drop * np.sin(np.linspace(0, np.pi, len(JAW)))
    return points * size


def picture(seed: int = 0) -> np.ndarray:
    """Something with fine detail at every place."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(60, 190, (9, 9, 3)).astype(np.float32), (201, 187), interpolation=cv2.INTER_CUBIC)
    return np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [128, 256, 512])
@pytest.mark.parametrize("place", [PLACE, Place(101.3, 95.7, 700.0, 0.0), Place(8.0, 170.0, 120.0, -0.4)])
def test_the_identity_changes_nothing_at_any_size(size, place):
    image, points = picture(), face(size)
    old = cut_out(image, place, size)
    out = paste(image, place, (old, old.copy()), (points, points))
    assert np.abs(out.astype(int) - image).max() <= 1


@pytest.mark.parametrize("size", [128, 256])
def test_outside_the_mask_the_picture_is_the_same_to_the_bit(size):
    image, points = picture(), face(size)
    before, old = image.copy(), cut_out(image, PLACE, size)
    new = np.random.default_rng(1).random(old.shape, np.float32)
    out = paste(image, PLACE, (old, new), (points, face(size, 0.05)))
    assert np.array_equal(image, before)
    y, x = np.nonzero((out != image).any(-1))
    at = PLACE.to_crop(np.stack([x, y], -1) + 0.5, size)
    alpha = mask((points, face(size, 0.05)), size, 0.08)
    near = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((5, 5)))
    index = np.clip(at.astype(int), 0, size - 1)
    assert len(y) > 1000 and (near[index[:, 1], index[:, 0]] > 0).all()
    assert at.min() >= 0 and at.max() <= size and at[:, 1].min() > points[NOSE_BASE, 1] - 0.06 * face_width(points)


def test_an_opening_jaw_is_not_cut_and_the_edge_is_a_share_of_the_face():
    size = 256
    closed, opened = face(size), face(size, 0.06)
    alone, both = mask((closed, closed), size, 0.08), mask((closed, opened), size, 0.08)
    x, y = (opened[CHIN_BOTTOM] - [0, 0.05 * face_width(closed)]).astype(int)
    assert alone[y, x] < 0.3 and both[y, x] == 1
    assert (both >= alone - 1e-6).all()
    column = alone[int(closed[NOSE_BASE, 1]) + 20 :, size // 2]
    soft = ((column > 0) & (column < 1)).sum()
    assert soft == pytest.approx(0.08 * face_width(closed), abs=2)
    assert mask((closed, closed), size, 0.16)[:, size // 2].sum() > 0


def test_the_mask_ends_before_the_crop_does():
    low = face(128) + np.array([0, 30])  # the chin lies beyond the crop
    alpha = mask((low, low), 128, 0.08)
    assert alpha.max() == 1
    assert not alpha[[0, -1]].any() and not alpha[:, [0, -1]].any()


def test_a_cast_is_taken_away_by_a_ring_of_skin_without_the_lips():
    size, rng = 128, np.random.default_rng(3)
    points = face(size)
    skin = np.array([0.75, 0.55, 0.45]) + 0.03 * rng.standard_normal((size, size, 1))
    old = np.broadcast_to(skin, (size, size, 3)).astype(np.float32).copy()
    new = np.clip((old - 0.5) * 0.9 + 0.5 + [0.06, -0.03, -0.02], 0, 1).astype(np.float32)
    ring = skin_ring((points, points), size)
    lips = np.zeros((size, size), np.uint8)
    cv2.fillPoly(lips, [points[list(INNER_LIPS)].astype(np.int32)], (1,))
    assert ring.mean() > 0.02 and not (ring & (lips > 0)).any()
    assert not ring[: int(points[NOSE_BASE, 1])].any()
    new[lips > 0] = (0.2, 0.0, 0.0)  # what is in the mouth does not count
    back = matched(new, old, ring)
    assert np.abs(back - old)[ring].mean() < 0.01 < np.abs(new - old)[ring].mean()
    assert np.array_equal(matched(new, old, np.zeros_like(ring)), new)


def test_light_from_one_side_is_matched_and_the_mouth_keeps_its_own():
    """A slow slope of brightness goes; what is in the mouth stays what was made, but for the same slope."""
    size = 128
    points = (face(size), face(size))
    ring = skin_ring(points, size)
    random = np.random.default_rng(0).normal(0, 0.03, (size, size, 3)).astype(np.float32)
    old = np.clip(0.5 + random, 0, 1)
    new = np.clip(old + np.linspace(-0.12, 0.12, size, dtype=np.float32)[None, :, None], 0, 1)
    lips = np.zeros((size, size), np.uint8)
    cv2.fillPoly(lips, [np.round(points[0][list(INNER_LIPS)]).astype(int)], (1,))
    old[lips > 0], new[lips > 0] = 0.9, 0.2
    back = matched(new, old, ring)
    assert np.abs(back - old)[ring].mean() < 0.4 * np.abs(new - old)[ring].mean()
    assert np.abs(back - new)[lips > 0].mean() < 0.1


def test_detail_stays_on_skin_and_goes_where_something_new_is():
    old = np.full((128, 128, 3), 0.5, np.float32)
    new = old + 0.01
    new[80:100, 50:80] = 0.1
    stays = likeness(new, old)
    assert stays[20, 20] > 0.95 and stays[90, 65] < 0.01


def test_a_painted_mouth_arrives_in_its_colour():
    image, size = picture(), 128
    points, old = face(size), cut_out(image, PLACE, size)
    new = old.copy()
    middle = points[list(INNER_LIPS)].mean(0)
    cv2.circle(new, tuple(middle.astype(int).tolist()), 9, (0.9, 0.1, 0.1), -1)
    out = paste(image, PLACE, (old, new), (points, points), Blend(colour_match=False))
    x, y = PLACE.to_picture(middle, size).astype(int)
    assert np.abs(out[y, x] / 255 - [0.9, 0.1, 0.1]).max() < 0.03
    assert points[list(FACE_OVAL), 1].max() < size  # the square holds the chin
