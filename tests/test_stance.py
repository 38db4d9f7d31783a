"""Six numbers for a head's pose: what their signs mean in the picture, and that nothing is lost."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from likeness.camera import Camera, to_camera
from likeness.clip import smooth_poses
from likeness.stance import NAMES, NECK, Stance, nearest_turn

CAMERA = Camera(700.0, (128.0, 128.0), (256, 256))
FRONTAL = torch.eye(4)[None].clone()
FRONTAL[0, 2, 3] = -0.8
NOSE, CROWN, RIGHT = (0.0, 0.03, -0.04), (0.0, -0.15, 0.08), (0.06, 0.0, 0.05)  # RIGHT: at the right of the picture
turns = st.tuples(st.floats(-170, 170), st.floats(-85, 85), st.floats(-170, 170))
places = st.tuples(*[st.floats(-0.2, 0.2)] * 3)


def seen(point, **numbers: float) -> torch.Tensor:
    """Pixel of a point of the head, and its depth, where the six numbers are these."""
    row = torch.zeros(1, 6)
    for name, value in numbers.items():
        row[0, NAMES.index(name)] = value
    at = to_camera(torch.tensor(point), Stance.of(FRONTAL).pose(row)[0])
    return torch.cat([CAMERA.project(at), at[2:]])


def moved(point, **numbers: float) -> torch.Tensor:
    return seen(point, **numbers) - seen(point)


def test_signs_are_those_of_the_picture():
    assert moved(NOSE, yaw=10)[0] > 5  # the face towards the right
    assert moved(RIGHT, yaw=10)[2] > 0  # whose side then lies farther off
    assert moved(NOSE, pitch=10)[1] < -5  # upwards
    assert moved(CROWN, pitch=10)[2] > 0
    assert moved(CROWN, roll=10)[0] > 5 and moved(RIGHT, roll=10)[1] > 5  # clockwise
    for name, axis in (("x", 0), ("y", 1), ("z", 2)):
        shift = moved(NOSE, **{name: 0.1})
        assert shift[axis] > (0.05 if axis == 2 else 50)


def test_a_head_turns_about_its_neck():
    for name in ("yaw", "pitch", "roll"):
        assert moved(NECK, **{name: 25}).abs().max() < 1e-4


@given(turns, places, turns)
@settings(max_examples=60, deadline=None)
def test_numbers_and_poses_undo_each_other(turn, place, mean):
    stance = Stance(
        torch.from_numpy(Rotation.from_euler("yxz", mean, degrees=True).as_matrix()), torch.tensor([0.1, 0, 0.9]).double()
    )
    numbers = torch.tensor([[*turn, *place]]).double()
    again = stance.numbers(stance.pose(numbers))
    assert torch.allclose(again[:, :3], numbers[:, :3], atol=2e-3) and torch.allclose(again[:, 3:], numbers[:, 3:], atol=1e-6)
    assert stance.numbers(stance.pose(torch.zeros(1, 6))).abs().max() < 1e-3


def test_the_mean_stance_of_a_movement_is_its_middle(clip):
    stance = Stance.of(clip.motion.pose)
    numbers = stance.numbers(clip.motion.pose)
    assert torch.allclose(stance.pose(numbers), clip.motion.pose, atol=1e-6)
    assert numbers[:, 3:].mean(0).abs().max() < 1e-6 and numbers[:, :3].mean(0).abs().max() < 1
    assert torch.det(stance.turn) == pytest.approx(1)


@given(turns, st.floats(0, 0.3), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_nearest_turn_is_a_turn_and_leaves_turns_alone(turn, noise, seed):
    matrix = torch.from_numpy(Rotation.from_euler("yxz", turn, degrees=True).as_matrix())
    assert torch.allclose(nearest_turn(matrix), matrix, atol=1e-9)
    rough = matrix + noise * torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)).double()
    found = nearest_turn(rough)
    assert torch.allclose(found @ found.T, torch.eye(3).double(), atol=1e-9) and float(torch.det(found)) == pytest.approx(1)
    assert (found - rough).norm() <= (matrix - rough).norm() + 1e-9


def test_smoothing_poses_keeps_a_still_head_still():
    poses = FRONTAL.repeat(9, 1, 1)
    assert torch.allclose(smooth_poses(poses, 2.0), poses, atol=1e-6)
    assert smooth_poses(poses, 0.0) is poses and math.isclose(
        float(torch.det(smooth_poses(poses, 1.0)[4, :3, :3])), 1, abs_tol=1e-6
    )
