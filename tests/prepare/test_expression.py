"""What is read off a face, on faces made by hand."""

import numpy as np
import pytest

from likeness.errors import BadInput
from likeness.mesh import (
    INNER_LIPS,
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LIPS,
    LOWER_INNER_LIP,
    RIGHT_BROW,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_INNER_LIP,
)
from likeness.prepare.bundle import rotation_matrix
from likeness.prepare.expression import (
    CLOSED_SHARE,
    NAMES,
    express,
    head_turns,
    read_action_units,
    settled,
    without_turns,
)
from likeness.prepare.generic_face import generic_face

T = 100
LOWER_INNER_LIPS = INNER_LIPS[1:10]


def still() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    face = np.tile(generic_face().astype(np.float32), (T, 1, 1))
    face[:, LOWER_INNER_LIPS, 1] = face[:, INNER_LIPS[:10:-1], 1]  # lips closed
    return face, np.tile(np.eye(4), (T, 1, 1)), np.ones(T, bool)


def test_a_blink_closes_the_eyes_and_nothing_else_does():
    face, pose, seen = still()
    for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        gap = face[:, lower] - face[:, upper]
        face[40:44, upper] += (1 - 0.5 * CLOSED_SHARE) * gap[40:44]
    found = express(face, pose, seen)
    assert found.eyes.dtype == np.float32 and found.units.shape == (T, len(NAMES))
    assert found.eyes[40:44].max() < 0.05 and np.delete(found.eyes, range(40, 44)).min() > 0.95
    assert found["AU45"].argmax() in range(40, 44)
    assert np.abs(found["gaze_x"]).max() < 0.3


def test_looking_down_is_not_a_blink():
    face, pose, seen = still()
    pitch = 0.25 * np.sin(np.arange(T) / 9)
    pose[:, :3, :3] = np.swapaxes(rotation_matrix(np.stack([pitch, 0 * pitch, 0 * pitch], 1)), 1, 2)
    nod = head_turns(pose)[:, 1]
    assert np.corrcoef(nod, pitch)[0, 1] ** 2 > 0.99
    for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        gap = face[:, lower] - face[:, upper]
        face[:, upper] += (0.8 * np.clip(nod, 0, 1))[:, None, None] * gap  # lids follow the pitch
    assert express(face, pose, seen).eyes.min() > 0.8


def test_lips_are_measured_in_metres_and_brows_and_gaze_have_their_direction():
    face, pose, seen = still()
    face[50, LOWER_INNER_LIPS, 1] += 0.01
    face[60, list(RIGHT_BROW), 1] -= 0.004
    face[70][:, 0][list(RIGHT_IRIS + LEFT_IRIS)] += 0.003
    face[80, 61, 0] -= 0.005
    found = express(face, pose, seen)
    assert found["lip_opening"][50] == pytest.approx(0.01, abs=2e-4)
    assert np.delete(found["lip_opening"], 50).max() < 1e-3
    assert found["AU25"].argmax() == 50
    assert found["brow_right"][60] == pytest.approx(0.004, abs=5e-4) and abs(found["brow_left"][60]) < 5e-4
    assert found["gaze_x"].argmax() == 70
    assert found["lip_width"].argmax() == 80


def test_what_moves_the_whole_head_is_no_expression():
    face, _, seen = still()
    rng = np.random.default_rng(0)
    drift = rotation_matrix(rng.normal(0, 0.004, (T, 3)))
    moved = (face @ np.swapaxes(drift, 1, 2) + rng.normal(0, 0.001, (T, 1, 3))).astype(np.float32)
    assert np.abs(settled(moved, seen) - settled(moved, seen).mean(0)).max() < 1e-4
    assert np.abs(moved - moved.mean(0)).max() > 2e-3
    talking = face.copy()
    talking[::2, list(LIPS), 1] += 0.005
    assert np.abs(np.diff(settled(talking, seen)[:, LOWER_INNER_LIP, 1])).min() > 0.0045
    assert UPPER_INNER_LIP in LIPS


def test_pose_is_regressed_out_and_the_rest_stays():
    rng = np.random.default_rng(1)
    turns = rng.normal(0, 0.2, (400, 3))
    own = rng.normal(0, 1e-3, 400)
    left = without_turns(own + 0.01 * turns[:, 0] + 0.02 * turns[:, 1] ** 2, turns, np.ones(400, bool))
    assert abs(np.corrcoef(left, turns[:, 0])[0, 1]) < 0.15
    assert np.corrcoef(left, own)[0, 1] > 0.95


def test_openface_file(tmp_path):
    path = tmp_path / "au.csv"
    path.write_text(
        "frame, face_id, timestamp, confidence, success, AU01_r, AU45_r, AU45_c\n"
        "1, 0, 0.0, 0.98, 1, 0.5, 2.25, 1\n2, 0, 0.04, 0.98, 1, 0.0, 0.00, 0\n2, 1, 0.04, 0.9, 1, 5.0, 5.00, 0\n"
        "4, 0, 0.12, 0.1, 0, 0.1, 0.20, 0\n"
    )
    names, units, seen = read_action_units(path)
    assert names == ("AU01", "AU45")
    assert units[0].tolist() == [0.5, 2.25] and units.shape == (4, 2)
    assert seen.tolist() == [True, True, False, False]
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="AU45_r"):
        read_action_units(path)
    path.write_text("frame, AU01_r\n1, x\n")
    with pytest.raises(BadInput, match="cannot be read"):
        read_action_units(path)
