"""The warping error: still, flickering and moving pictures."""

import cv2
import numpy as np
import pytest

from likeness.evaluate.flicker import Flow, flow, flows, warping_errors


def texture(shift: float = 0.0, side: int = 128) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (side + 40, side + 40, 3)).astype(np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    stretched = np.clip((smooth.astype(float) - 127) * 4 + 127, 0, 255).astype(np.uint8)
    moved = cv2.warpAffine(stretched, np.array([[1, 0, shift], [0, 1, 0.0]]), stretched.shape[1::-1])
    return np.ascontiguousarray(moved[20 : 20 + side, 20 : 20 + side])


def stands_still(side: int) -> Flow:
    y, x = np.mgrid[:side, :side].astype(np.float32)
    return Flow(np.stack([x, y], axis=-1), np.ones((side, side), bool))


def test_alternating_light_is_its_own_size():
    a = np.full((32, 32, 3), 100, np.uint8)
    found = warping_errors([a, a + 4, a, a], [stands_still(32)] * 3)
    assert found == pytest.approx([4, 4, 0])
    one = a.copy()
    one[:16] += 6  # half of the pixels by 6: the root of 18
    assert warping_errors([a, one], [stands_still(32)]) == pytest.approx([np.sqrt(18)])


def test_only_where_the_flow_holds_and_only_real_neighbours():
    a, b = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 3), 100, np.uint8)
    b[:, 16:] = 200
    left = stands_still(32)
    left.holds[:, 16:] = False
    assert warping_errors([a, b], [left]) == pytest.approx([0])
    assert len(warping_errors([a, b, b], [None, stands_still(32)])) == 1
    nowhere = Flow(left.to, np.zeros((32, 32), bool))
    assert len(warping_errors([a, b], [nowhere])) == 0
    assert flows([a, b, b], np.array([False, True]))[0] is None


def test_movement_is_no_flicker_but_standing_still_in_a_moving_video_is():
    real = [texture(2.0 * t) for t in range(3)]
    moved = flows(real, np.ones(2, bool))
    inner = moved[0].to[40:90, 40:90] - stands_still(128).to[40:90, 40:90]
    assert np.median(inner[..., 0]) == pytest.approx(2, abs=0.1) and np.median(inner[..., 1]) == pytest.approx(0, abs=0.1)
    assert moved[0].holds.mean() > 0.9 and not moved[0].holds[:, -1].any()  # what leaves the picture is not seen in both
    follows, stuck = warping_errors(real, moved), warping_errors([real[0]] * 3, moved)
    assert follows.max() < 0.3 * stuck.min()


def test_a_still_video_does_not_flow():
    a = texture()
    found = flow(a, a)
    assert np.abs(found.to - stands_still(128).to).max() < 0.01 and found.holds.all()
