"""Laws of tracking, on a face that the tests project themselves."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.camera import Camera, to_camera
from likeness.errors import BadInput
from likeness.mesh import SKULL
from likeness.prepare.bundle import (
    OUTER_EYE_CORNERS_M,
    Shape,
    View,
    adjust,
    first_view,
    projection,
    rigid_modes,
    rotation_matrix,
    solve_frames,
    without_rigid,
)
from likeness.prepare.flow import Flow, follow
from likeness.prepare.generic_face import generic_face
from likeness.prepare.steady import residuals, steady
from likeness.prepare.tracking import _steady, cut, flow_error, track

CAMERA = Camera(690.0, (250.0, 262.0), (512, 512))


@dataclass(frozen=True)
class Act:
    """What really happened in front of the camera."""

    shape: Shape
    view: View
    coefficients: np.ndarray
    pixels: np.ndarray


def act(length: int = 120, noise_px: float = 0.0, seed: int = 0, turn: float = 0.3) -> Act:
    """A random person who turns, nods and deforms smoothly."""
    rng = np.random.default_rng(seed)
    mean = generic_face() * (1 + rng.normal(0, 0.03, 3)) + smooth(rng.normal(0, 1, (478, 3)), 0) * 0.002
    mean = mean - mean[list(SKULL)].mean(0)
    mean *= OUTER_EYE_CORNERS_M / np.linalg.norm(mean[33] - mean[263])
    lower = np.clip((mean[:, 1] - 0.02) / 0.05, 0, 1)
    directions = np.zeros((3, 478, 3))
    directions[0, :, 1] = 0.003 * lower  # a jaw
    directions[1, :, 0] = 0.0015 * lower * np.sign(mean[:, 0])
    directions[2] = 0.001 * np.sin(60 * mean[:, ::-1])
    shape = Shape(mean, without_rigid(directions, mean))
    waves = smooth(rng.normal(0, 1, (length, 9)), 6)
    step = waves[:, :6] * np.array([turn, turn, 0.1, 0.01, 0.01, 0.02]) + np.array([0, 0, 0, 0, 0, 0.65])
    view = View(np.tile(np.eye(3), (length, 1, 1)), np.zeros((length, 3))).moved(step)
    coefficients = waves[:, 6:]
    points = shape.at(coefficients) @ np.swapaxes(view.rotation, 1, 2) + view.shift[:, None]
    pixels = projection(points, CAMERA)[0] + rng.normal(0, noise_px, (length, 478, 2))
    return Act(shape, view, coefficients, pixels.astype(np.float32))


def smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Along the first axis, brought back to unit variance."""
    if sigma:
        values = cv2.GaussianBlur(values, (1, 6 * int(sigma) + 1), sigmaX=1, sigmaY=sigma)
    return (values - values.mean(0)) / values.std(0)


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees between rotations."""
    trace = np.einsum("tij,tij->t", a, b)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def blank(t: int) -> np.ndarray:
    """A picture without anything to follow."""
    return np.full((512, 512, 3), 128, np.uint8)


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
@settings(max_examples=30, deadline=None)
def test_a_rotation_vector_gives_a_rotation(vector):
    turn = rotation_matrix(np.array(vector))
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert np.allclose(turn, cv2.Rodrigues(np.array(vector))[0], atol=1e-9)


def test_projection_is_the_camera_s_and_its_derivative_is_right():
    points = np.random.default_rng(1).normal(0, 0.1, (20, 3)) + [0, 0, 0.8]  # noqa: RUF005
    pixels, slope = projection(points, CAMERA)
    assert np.allclose(pixels, CAMERA.project(torch.from_numpy(points)).numpy())
    for axis in np.eye(3):
        measured = (projection(points + 1e-6 * axis, CAMERA)[0] - projection(points - 1e-6 * axis, CAMERA)[0]) / 2e-6
        assert np.allclose(slope @ axis, measured, atol=1e-3)


def test_directions_without_rigid_modes_leave_the_skull_where_it_is():
    moves = np.random.default_rng(2).normal(0, 1e-3, (4, 478, 3))
    rest = without_rigid(moves, generic_face())
    modes = rigid_modes(generic_face())[:, list(SKULL)].reshape(6, -1)
    assert np.abs(modes @ rest[:, list(SKULL)].reshape(4, -1).T).max() < 1e-9
    assert np.abs(without_rigid(rigid_modes(generic_face()), generic_face())).max() < 1e-9


def test_a_known_shape_gives_back_pose_and_coefficients():
    true = act(40)
    start = first_view(true.pixels, true.shape, CAMERA)
    assert angle(start.rotation, true.view.rotation).max() < 15
    fit = solve_frames(true.pixels, true.shape, CAMERA, start, np.zeros_like(true.coefficients), steps=10)
    assert angle(fit.view.rotation, true.view.rotation).max() < 0.3
    assert np.abs(fit.view.shift - true.view.shift).max() < 2e-3
    assert np.median(np.abs(fit.coefficients - true.coefficients)) < 0.1


def test_some_wild_landmarks_do_not_move_the_head():
    true = act(20)
    wild = true.pixels.copy()
    wild[:, :60] += 40
    start = first_view(wild, true.shape, CAMERA)
    fit = solve_frames(wild, true.shape, CAMERA, start, np.zeros_like(true.coefficients), steps=12)
    assert angle(fit.view.rotation, true.view.rotation).mean() < 2.5


def test_bundle_adjustment_finds_person_focal_length_and_poses():
    true = act(80, noise_px=0.3)
    shape, camera = adjust(true.pixels, Camera(760.0, CAMERA.centre, CAMERA.size))
    # landmarks say little about the focal length: it stays near the prior (here 10 % too long), not worse
    assert CAMERA.focal * 0.97 < camera.focal < CAMERA.focal * 1.12
    start = first_view(true.pixels, shape, camera)
    fit = solve_frames(true.pixels, shape, camera, start, np.zeros((80, len(shape.directions))), steps=6)
    turned = fit.view.rotation @ np.swapaxes(true.view.rotation, 1, 2)
    usual = turned[np.argmin(angle(turned, np.tile(np.median(turned, 0), (80, 1, 1))))]
    # a head frame that is turned against the true one by a constant is as good
    assert np.median(angle(turned, np.tile(usual, (80, 1, 1)))) < 1.0
    assert np.linalg.norm(shape.mean[33] - shape.mean[263]) == pytest.approx(OUTER_EYE_CORNERS_M, rel=1e-6)
    assert np.abs(shape.mean[list(SKULL)].mean(0)).max() < 1e-9
    generic = solve_frames(true.pixels, Shape(generic_face(), np.zeros((0, 478, 3))), camera, start, np.zeros((80, 0)))
    assert fit.error.mean() < 0.25 * generic.error.mean()
    assert fit.error.mean() < 0.8


def test_landmarks_project_exactly_to_what_was_seen_and_poses_are_rigid():
    true = act(60, noise_px=0.5)
    seen = np.ones(60, bool)
    seen[20:25] = False
    seen[0] = False
    pixels = true.pixels.copy()
    pixels[~seen] = np.nan
    tracked = track(pixels, seen, (512, 512), 700.0, CAMERA.centre, [(0, 60)], [], blank)
    motion = tracked.motion
    again = tracked.camera.project(to_camera(motion.landmarks, motion.pose[:, None])).numpy()
    assert np.abs(again - pixels)[seen].max() < 2e-3
    turn = motion.pose[:, :3, :3]
    assert torch.allclose(turn @ turn.mT, torch.eye(3).expand(60, 3, 3), atol=1e-5)
    assert (torch.det(turn) > 0.99).all()
    assert np.isfinite(motion.landmarks.numpy()).all() and np.isfinite(motion.expression.numpy()).all()
    assert np.isnan(tracked.quality["frame_error_px"][~seen]).all()
    assert angle(turn.numpy()[20:25], np.swapaxes(true.view.rotation[20:25], 1, 2)).max() < 8


def skin_flow(true: Act, gaps: tuple[int, ...] = (1, 5)) -> tuple[Flow, np.ndarray]:
    """What flow would see of points on the skull, and how far away they are."""
    points = true.shape.mean[list(SKULL)] @ np.swapaxes(true.view.rotation, 1, 2) + true.view.shift[:, None]
    pixels = projection(points, CAMERA)[0]
    length, count = pixels.shape[:2]
    parts = [(t, g) for g in gaps for t in range(length - g)]
    first, gap = (np.repeat([p[i] for p in parts], count) for i in range(2))
    before = np.concatenate([pixels[t] for t, _ in parts])
    after = np.concatenate([pixels[t + g] for t, g in parts])
    return Flow(first, gap, before, after), np.concatenate([points[t, :, 2] for t, _ in parts])


def shaken(true: Act, seed: int = 3) -> View:
    noise = np.random.default_rng(seed).normal(0, 1, (len(true.view), 6))
    return true.view.moved(noise * [0.01, 0.01, 0.005, 0.001, 0.001, 0.004])


def test_flow_steadies_poses():
    true = act(80)
    flow, depth = skin_flow(true)
    exact, slope = residuals(true.view, flow, depth, CAMERA)
    assert np.abs(exact).max() < 1e-6
    step = np.random.default_rng(4).normal(0, 1e-6, (80, 6))
    moved = exact - residuals(true.view.moved(step), flow, depth, CAMERA)[0]
    both = np.concatenate([step[flow.first], step[flow.first + flow.gap]], 1)
    assert np.allclose((slope @ both[..., None])[..., 0], moved, atol=1e-6)

    rough = shaken(true)
    better = steady(rough, np.tile(np.eye(6) * 1e6, (80, 1, 1)), flow, depth, CAMERA)
    before = flow_error(residuals(rough, flow, depth, CAMERA)[0], flow.first)
    after = flow_error(residuals(better, flow, depth, CAMERA)[0], flow.first)
    assert after < 0.1 * before


def test_nothing_crosses_a_cut():
    true = act(60)
    seen = np.ones(60, bool)
    other = true.pixels.copy()
    other[30:] = other[30:] * 0.9 + 20
    assert cut(60, [(0, 30), (30, 60)], [45]) == [(0, 30), (30, 45), (45, 60)]
    flow, depth = skin_flow(act(30))
    rough = shaken(act(60))
    alone = steady(rough[:30], np.tile(np.eye(6) * 1e6, (30, 1, 1)), flow, depth, CAMERA)
    assert len(alone) == 30
    # no flow pair is even asked for across the break, and the other side's poses have no say
    weights = np.tile(np.eye(6) * 1e6, (60, 1, 1))
    pieces = cut(60, [(0, 60)], [30])
    a = _steady(rough, weights, flow, depth, CAMERA, pieces, 1.0)
    elsewhere = View(rough.rotation, rough.shift + 0.2 * (np.arange(60) >= 30)[:, None])
    b = _steady(elsewhere, weights, flow, depth, CAMERA, pieces, 1.0)
    assert np.array_equal(a.rotation[:30], b.rotation[:30]) and np.array_equal(a.shift[:30], b.shift[:30])
    assert np.array_equal(a.shift[:30], alone.shift)
    asked: list[int] = []
    track(true.pixels, seen, (512, 512), 700.0, CAMERA.centre, [(0, 60)], [], lambda t: asked.append(t) or blank(t))
    passes = np.split(asked, np.flatnonzero(np.diff(asked) < 0) + 1)
    assert len(passes) <= 3 and all((np.diff(one) > 0).all() for one in passes)  # flow, anchors, ties


def test_flow_follows_a_moving_picture_and_reads_in_order():
    rng = np.random.default_rng(5)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (700, 700), dtype=np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    face = projection(generic_face() + np.array([0, 0, 0.5]), CAMERA)[0].astype(np.float32)
    speed = np.array([1.5, -0.75])
    pixels = np.stack([face + t * speed for t in range(12)]).astype(np.float32)
    asked = []

    def image_at(t: int) -> np.ndarray:
        asked.append(t)
        move = np.array([[1, 0, t * speed[0] - 50], [0, 1, t * speed[1] - 50]])
        gray = cv2.warpAffine(texture, move, (512, 512), flags=cv2.INTER_CUBIC)
        return np.repeat(gray[..., None], 3, -1)

    flow = follow(pixels, [(t, t + g) for t in range(12) for g in (1, 10) if t + g < 12], image_at)
    assert asked == list(range(12))
    assert len(flow) > 200 and set(flow.gap.tolist()) == {1, 10}
    assert np.abs(np.median(flow.after - flow.before - flow.gap[:, None] * speed, axis=0)).max() < 0.05


def test_too_few_faces_are_refused():
    with pytest.raises(BadInput, match="3 of 30"):
        seen = np.arange(30) < 3
        track(np.zeros((30, 478, 2), np.float32), seen, (512, 512), 700.0, (256.0, 256.0), [(0, 30)], [], blank)
