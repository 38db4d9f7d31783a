"""Anchors: a slow drift of the poses, which flow from frame to frame cannot see, is taken out."""

import numpy as np

from likeness.camera import to_camera
from likeness.mesh import SKULL
from likeness.prepare.anchors import ANCHORS, add_ties, spread_out, tie
from likeness.prepare.bundle import View, projection
from likeness.prepare.flow import Flow
from likeness.prepare.steady import steady

NO_FLOW = Flow(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, 2)))
VAGUE = np.diag([1e4] * 3 + [1e6] * 3)  # landmarks that err by about a degree and some millimetres, for seconds


def test_a_slow_drift_is_taken_out(clip):
    pose = clip.motion.pose.numpy().astype(float)
    rotation = np.swapaxes(pose[:, :3, :3], 1, 2)
    true = View(rotation, -(rotation @ pose[:, :3, 3:])[..., 0])
    time = np.arange(len(pose))
    drift = np.zeros((len(pose), 6))
    drift[:, 3], drift[:, 4] = 0.003 * np.sin(time / 9), 0.003 * np.cos(time / 13)  # 2 to 3 pixels
    leaning = true.moved(drift)
    pixels = clip.pixels.numpy()
    depth = to_camera(clip.motion.landmarks, clip.motion.pose[:, None])[..., 2].numpy()

    def depth_of(t, points):
        return depth[t][((points[:, None] - pixels[t]) ** 2).sum(-1).argmin(1)]

    precision = np.tile(VAGUE, (len(pose), 1, 1))
    ties = tie(pixels, np.flatnonzero(clip.seen.numpy()), leaning, precision, depth_of, clip.camera, clip.image, 1.0)
    assert len(ties.flow) > 20 * len(pose) and len(ties.anchors) <= ANCHORS

    def more(blocks, right, view):
        add_ties(blocks, right, view, ties, clip.camera, 1.0)

    held = steady(leaning, precision, NO_FLOW, np.zeros(0), clip.camera, 1.0, more=more)
    skull = clip.motion.landmarks[:, list(SKULL)].numpy().mean(0)

    def wandering(view):
        off = projection(skull @ np.swapaxes(view.rotation, 1, 2) + view.shift[:, None], clip.camera)[0]
        off = off - projection(skull @ np.swapaxes(true.rotation, 1, 2) + true.shift[:, None], clip.camera)[0]
        return (off - off.mean(0)).std()

    assert wandering(held) < 0.5 * wandering(leaning)


def test_anchors_are_different_frames_over_all_poses():
    angle = np.linspace(-0.3, 0.3, 200)
    rotation = np.tile(np.eye(3), (200, 1, 1))
    rotation[:, 0, 0] = rotation[:, 2, 2] = np.cos(angle)
    rotation[:, 0, 2], rotation[:, 2, 0] = np.sin(angle), -np.sin(angle)
    chosen = spread_out(View(rotation, np.tile([0.0, 0.0, 0.7], (200, 1))), np.arange(200))
    assert len(set(chosen)) == len(chosen) == ANCHORS
    assert np.diff(angle[chosen]).max() < 0.15 and angle[chosen].min() < -0.2 and angle[chosen].max() > 0.2
