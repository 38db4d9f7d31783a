"""The one coordinate convention, as laws."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from likeness.camera import Camera, from_camera, to_camera

numbers = st.floats(-1, 1)
angles = st.tuples(numbers, numbers, numbers)
cameras = st.builds(
    lambda focal, x, y, width, height: Camera(focal, (x, y), (width, height)),
    st.floats(50, 2000), st.floats(-50, 600), st.floats(-50, 600), st.integers(2, 40), st.integers(2, 40),
)  # fmt: skip


def pose_of(turn, move) -> torch.Tensor:
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.from_numpy(Rotation.from_rotvec([3 * t for t in turn]).as_matrix())
    pose[:3, 3] = torch.tensor(move, dtype=torch.float64)
    return pose


@given(cameras, st.floats(0.1, 5), numbers, numbers)
@settings(max_examples=50, deadline=None)
def test_project_undoes_unproject(camera, depth, u, v):
    pixel = torch.tensor([[300 * u, 300 * v]], dtype=torch.float64)
    point = camera.unproject(pixel, torch.tensor([depth], dtype=torch.float64))
    assert point[0, 2] == pytest.approx(depth)
    assert torch.allclose(camera.project(point), pixel, atol=1e-6)


@given(angles, angles, angles)
@settings(max_examples=50, deadline=None)
def test_to_camera_and_from_camera_undo_each_other(turn, move, point):
    pose, points = pose_of(turn, move), torch.tensor([point], dtype=torch.float64)
    assert torch.allclose(from_camera(to_camera(points, pose), pose), points, atol=1e-9)
    assert torch.allclose(to_camera(from_camera(points, pose), pose), points, atol=1e-9)


def test_a_frontal_face_stands_before_the_camera():
    pose = torch.eye(4)
    pose[2, 3] = -0.6  # the camera is at z = -0.6, where the face looks
    camera = Camera(500.0, (128.0, 128.0), (256, 256))
    head = to_camera(torch.tensor([[0.0, 0.0, 0.0], [0.06, 0.03, 0.0]]), pose)
    assert torch.allclose(head, torch.tensor([[0.0, 0.0, 0.6], [0.06, 0.03, 0.6]]))
    assert torch.allclose(camera.project(head), torch.tensor([[128.0, 128.0], [178.0, 153.0]]))


@given(cameras, angles, angles, st.floats(0.1, 5))
@settings(max_examples=30, deadline=None)
def test_rays_go_through_what_their_pixels_show(camera, turn, move, depth):
    pose = pose_of(turn, move)
    origins, directions = camera.rays(pose)
    assert directions.shape == (camera.size[1], camera.size[0], 3)
    assert torch.allclose(directions.norm(dim=-1), torch.ones(()).double())
    x, y = camera.size[0] - 1, camera.size[1] // 2
    pixel = torch.tensor([[x + 0.5, y + 0.5]], dtype=torch.float64)
    point = from_camera(camera.unproject(pixel, torch.tensor([depth], dtype=torch.float64)), pose)[0]
    along = point - origins[y, x]
    assert torch.allclose(along / along.norm(), directions[y, x], atol=1e-9)


@given(cameras, angles, st.floats(0.1, 8))
@settings(max_examples=50, deadline=None)
def test_a_scaled_view_shows_the_same_at_other_pixels(camera, point, factor):
    size = (max(1, round(camera.size[0] * factor)), max(1, round(camera.size[0] * factor)))
    square = Camera(camera.focal, camera.centre, (camera.size[0], camera.size[0]))
    scale = size[0] / square.size[0]
    points = torch.tensor([[*point[:2], point[2] + 2]], dtype=torch.float64)
    assert torch.allclose(square.scaled(size).project(points), square.project(points) * scale, atol=1e-6)
    assert square.scaled(size).scaled(square.size).focal == pytest.approx(square.focal)


@given(cameras, angles, st.integers(-20, 20), st.integers(-20, 20))
@settings(max_examples=50, deadline=None)
def test_a_cropped_view_is_only_shifted(camera, point, x, y):
    points = torch.tensor([[*point[:2], point[2] + 2]], dtype=torch.float64)
    window = camera.cropped(x, y, 7, 5)
    assert window.size == (7, 5)
    assert torch.allclose(window.project(points), camera.project(points) - torch.tensor([x, y]), atol=1e-6)


def test_behind_the_camera_nothing_is_infinite():
    camera = Camera(100.0, (32.0, 32.0), (64, 64))
    assert math.isfinite(camera.project(torch.tensor([[0.1, 0.1, 0.0]])).sum())
