"""Places before the rig moved the face."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from likeness import mesh
from likeness.nn.radiance.occupancy import UNIT
from likeness.nn.radiance.warp import INSIDE, REACH, Warp, encircled
from likeness.rig import SIZE

MILLIMETRE = 1e-3 * UNIT


@pytest.fixture(scope="module")
def warp(lesson) -> Warp:
    return Warp(lesson.rig)


@pytest.fixture(scope="module")
def cond(lesson) -> torch.Tensor:
    """Of the frames with the widest and the narrowest lips, and one between."""
    cond = lesson.rig.clip(lesson.rig.encode(lesson.clip.motion))
    order = lesson.rig.opening(cond).argsort()
    return cond[order[[-1, 0, len(order) // 2]]]


def scattered(count: int) -> torch.Tensor:
    """Places in the cube."""
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1


def at(frame: int, count: int) -> torch.Tensor:
    return torch.full((count,), frame)


def test_a_face_at_rest_leaves_places_where_they_are(warp, lesson):
    xyz = scattered(2000)
    lips = (lesson.rig.mean * UNIT)[list(mesh.LIPS), :2]
    xyz = xyz[~encircled(xyz[:, :2], lips[-20:])]
    assert torch.allclose(warp.shift(torch.zeros(1, SIZE)).undo(xyz, at(0, len(xyz))), xyz, atol=1e-6)


def test_nodes_go_back_to_where_they_are_on_average(warp, cond, lesson):
    shift, moved = warp.shift(cond), lesson.rig.decode(cond) * UNIT
    mean = lesson.rig.mean * UNIT
    for t in range(len(cond)):
        skin = [i for i in range(mesh.NODES) if i not in mesh.INNER_LIPS]
        back = shift.undo(moved[t], at(t, len(mean)))
        error, without = (back - mean)[skin].norm(dim=1), (moved[t] - mean)[skin].norm(dim=1)
        assert error.mean() < 0.6 * MILLIMETRE and error.mean() < 0.5 * without.mean()


def test_what_shows_between_open_lips_lies_apart_and_lips_do_not(warp, cond, lesson):
    shift, nodes = warp.shift(cond), lesson.rig.decode(cond) * UNIT
    apart = torch.tensor(INSIDE)
    middle = nodes[:, [mesh.UPPER_INNER_LIP, mesh.LOWER_INNER_LIP]].mean(1)
    assert torch.equal(shift.undo(middle[:1], at(0, 1)), middle[:1] + apart)
    deeper = middle[:1] + torch.tensor([0.0, 0.0, 0.02 * UNIT])
    assert torch.equal(shift.undo(deeper, at(0, 1)), deeper + apart)
    beside = nodes[:, mesh.OUTER_LIPS].flatten(0, 1)
    frame = torch.arange(3).repeat_interleave(len(mesh.OUTER_LIPS))
    assert (shift.undo(beside, frame) - beside).norm(dim=1).max() < 0.2 * UNIT


def test_far_from_the_face_nothing_moves(warp, cond, lesson):
    xyz = scattered(5000)
    distance = torch.cdist(xyz, lesson.rig.mean * UNIT).amin(1)
    lips = lesson.rig.decode(cond[:1])[0, mesh.LIPS, :2] * UNIT
    near = ((xyz[:, :2] > lips.amin(0) - 0.05) & (xyz[:, :2] < lips.amax(0) + 0.05)).all(1)
    far = xyz[(distance > 1.2 * REACH * UNIT) & ~near]
    assert len(far) > 1000 and torch.allclose(warp.shift(cond[:1]).undo(far, at(0, len(far))), far, atol=1e-6)


def test_frames_do_not_mix(warp, cond):
    xyz = scattered(300) * 0.4
    together = warp.shift(cond).undo(xyz.repeat(3, 1), torch.arange(3).repeat_interleave(300))
    for t in range(3):
        alone = warp.shift(cond[t : t + 1]).undo(xyz, at(0, 300))
        assert torch.allclose(together[300 * t : 300 * (t + 1)], alone, atol=1e-6)
    ends = warp.shift(cond).undo(xyz[:200], torch.arange(2).repeat_interleave(100) * 2)  # no place of the frame between
    assert torch.allclose(ends, torch.cat([together[:100], together[700:800]]), atol=1e-6)
    assert warp.shift(cond).undo(xyz[:0], at(0, 0)).shape == (0, 3)


def test_a_ring_encircles_what_is_in_it_and_backwards_nothing():
    angle = torch.linspace(0, 2 * np.pi, 21)[:-1]
    ring = torch.stack([-angle.cos(), angle.sin()], 1) * 0.7  # left, below, right, above in an image
    points = scattered(2000)[:, :2]
    found = encircled(points, ring)
    radius = points.norm(dim=1)
    assert found[radius < 0.68].all() and not found[radius > 0.7].any()
    assert not encircled(points, ring.flip(0)).any()
