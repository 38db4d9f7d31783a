"""Head movement: an orbit, and what files say, beside a clip's own."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from likeness.camera import to_camera
from likeness.errors import BadInput
from likeness.movement import FLIP, LONGEST_S, NOBODY, beyond, movement, must_be_ahead
from likeness.stance import NAMES, Stance


@pytest.fixture(scope="module")
def own(clip) -> torch.Tensor:
    return clip.motion.pose[torch.from_numpy(clip.take)]


def write(path, text: str):
    path.write_text(text)
    return path


def transforms(poses: torch.Tensor, ids=None) -> str:
    """As NeRF's tools write camera-to-world poses of ours."""
    rows = [{"transform_matrix": (pose.double() @ FLIP).tolist()} for pose in poses]
    if ids is not None:
        rows = [row | {"img_id": int(i)} for row, i in zip(rows, ids)]
    return json.dumps({"camera_angle_x": 0.3, "frames": rows})


# ---- orbit


@given(st.floats(0, 90), st.floats(1, 20))
@settings(max_examples=30, deadline=None)
def test_an_orbit_is_round_smooth_and_as_wide_as_asked(own, degrees, seconds):
    made = movement(f"orbit:{degrees}:{seconds}", own)
    assert made.closed and len(made.pose) == round(25 * seconds)
    numbers = Stance.of(own).numbers(made.pose)
    quarter = degrees * (1 - np.cos(np.pi / len(numbers)))  # the extremes may lie between two frames
    assert degrees - quarter - 1e-3 <= float(numbers[:, 0].max()) <= degrees + 1e-3
    assert -degrees - 1e-3 <= float(numbers[:, 0].min()) <= -degrees + quarter + 1e-3
    assert numbers[:, 1].abs().max() <= degrees / 3 + 1e-3 and numbers[:, 2:].abs().max() < 1e-3
    step = (torch.roll(numbers, -1, 0) - numbers)[:, :2].norm(dim=1)  # also from the last frame to the first
    assert step.max() <= 2.2 * np.pi * degrees / len(numbers) + 2e-3


def test_the_usual_orbit_stays_where_the_video_was(own):
    pose = movement("orbit", own).pose
    assert len(pose) == 200 and beyond(pose, own) is None
    seen, asked = (Stance.of(own).numbers(p)[:, :2] for p in (own, pose))
    assert (asked >= seen.amin(0) - 0.1).all() and (asked <= seen.amax(0) + 0.1).all()
    assert torch.equal(movement("orbit::8", own).pose, pose) and len(movement("orbit::4", own).pose) == 100


@pytest.mark.parametrize("text", ["orbit:wide", "orbit:91", "orbit:-1", "orbit:9:0", "orbit:9:8:7", "orbit:nan"])
def test_orbits_that_are_none(text):
    with pytest.raises(BadInput, match="orbit:DEGREES:SECONDS"):
        movement(text, NOBODY)


# ---- files


def test_own_poses_written_down_are_the_own_poses(own, tmp_path):
    numbers = Stance.of(own).numbers(own).numpy()
    lines = [",".join(("frame", *NAMES)), *(",".join(f"{v:.9g}" for v in (t, *row)) for t, row in enumerate(numbers))]
    assert torch.allclose(movement(write(tmp_path / "a.csv", "\n".join(lines)), own).pose, own, atol=1e-5)
    np.save(tmp_path / "a.npy", own.numpy())
    assert torch.equal(movement(str(tmp_path / "a.npy"), own).pose, own)
    assert torch.allclose(movement(write(tmp_path / "a.json", transforms(own)), own).pose, own, atol=1e-5)


def test_a_row_is_met_and_what_is_not_said_is_as_on_average(own, tmp_path):
    pose = movement(write(tmp_path / "a.csv", "time,yaw,x\n0,-8,0.01\n1,8,0.02\n"), own).pose
    numbers = Stance.of(own).numbers(pose)
    assert len(pose) == 26 and numbers[0, 0] == pytest.approx(-8, abs=1e-3) and numbers[25, 3] == pytest.approx(0.02, abs=1e-5)
    assert numbers[:, [1, 2, 4, 5]].abs().max() < 1e-3 and (numbers[:, 0].diff() > 0).all()


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.tuples(*[st.floats(-1, 1)] * 3), st.floats(0.1, 20))
@settings(max_examples=20, deadline=None)
def test_transforms_may_be_of_another_world_and_another_unit(own, tmp_path_factory, turn, place, unit):
    """Turned, shifted (on the scale of the head: its place is what moves) and in other units, the head does the same."""
    world = torch.eye(4).double()
    world[:3, :3] = torch.from_numpy(Rotation.from_rotvec(turn).as_matrix())
    theirs = world @ own.double()
    theirs[:, :3, 3] *= unit
    path = write(tmp_path_factory.mktemp("transforms") / "transforms_train.json", transforms(theirs))
    assert torch.allclose(movement(path, own).pose, own, atol=2e-4)


def test_frames_missing_from_transforms_are_filled_in(own, tmp_path):
    ids = [5, 6, 9, 12]
    made = movement(write(tmp_path / "a.json", transforms(own[ids], ids)), own[ids]).pose
    assert len(made) == 8 and torch.allclose(made[[0, 1, 4, 7]], own[ids], atol=1e-5)
    assert torch.allclose(made, own[5:13], atol=0.02)


def test_files_that_are_no_poses(own, tmp_path):
    np.save(tmp_path / "flat.npy", own[:, :3].numpy())
    np.save(tmp_path / "words.npy", np.array([["a"]]))
    np.save(tmp_path / "long.npy", np.broadcast_to(np.eye(4, dtype=np.float16), (int(LONGEST_S * 25) + 1, 4, 4)))
    bad = own.clone()
    bad[3, :3, :3] *= 1.5
    np.save(tmp_path / "bad.npy", bad.numpy())
    bad[3] = float("nan")
    np.save(tmp_path / "nan.npy", bad.numpy())
    mirrored = own.clone()
    mirrored[2, :, 0] *= -1
    np.save(tmp_path / "mirrored.npy", mirrored.numpy())
    (tmp_path / "text.npy").write_text("no array")
    for name, text in (
        ("a.csv", "frame\n3\n"), ("b.csv", "frame,yaw\n0,a\n"), ("a.json", "{}"), ("b.json", "no json"), ("c.json", "[]"),
        ("d.json", '{"frames": []}'), ("e.json", '{"frames": [{"transform_matrix": [[1]]}]}'),
        ("f.json", '{"frames": [{"transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0],[1,0,0,1]]}]}'),
    ):  # fmt: skip
        write(tmp_path / name, text)
    for name, says in (
        ("none.csv", "no such file"), ("none.npy", "no such file"), ("none", "no such folder"),
        ("flat.npy", r"\[T 4 4\]"), ("words.npy", r"\[T 4 4\]"), ("text.npy", "cannot be read"), ("long.npy", "an hour"),
        ("bad.npy", "frame 3: its matrix is no pose"), ("nan.npy", "frame 3"), ("mirrored.npy", "frame 2"),
        ("a.csv", "no column says"), ("b.csv", "line 2, column yaw"),
        ("a.json", "frames"), ("b.json", "no transforms"), ("c.json", "no transforms"), ("d.json", "there is none"),
        ("e.json", "not 4x4"), ("f.json", "frame 0"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=says):
            movement(tmp_path / name, NOBODY)


# ---- beyond what was seen


def test_what_the_video_never_showed_is_told(own):
    stance = Stance.of(own)
    numbers = stance.numbers(own)
    assert beyond(own, own) is None
    for i, far in ((0, 30.0), (1, -30.0), (5, 0.4)):
        asked = numbers.clone()
        asked[4, i] += far
        told = beyond(stance.pose(asked), own)
        assert told is not None and NAMES[i] in told and "seen" in told


def test_a_head_in_the_camera_is_refused(own):
    stance = Stance.of(own)
    row = torch.zeros(3, 6)
    distance = float(to_camera(torch.zeros(len(own), 3), own)[:, 2].mean())
    row[1, 5] = -0.7 * distance
    must_be_ahead(stance.pose(row), own)
    row[1, 5] = -0.8 * distance
    with pytest.raises(BadInput, match="at frame 1"):
        must_be_ahead(stance.pose(row), own)
