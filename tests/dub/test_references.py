"""Which picture of the person suits a frame: near in pose, another mouth, and no flicker, whatever the chunks. On turned mean
faces: no picture is needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.dub.references import OTHER_MOUTH, SAME_MOUTH_COST, STAY, pose, suiting
from likeness.mesh import INNER_LIPS, OUTER_EYE_CORNERS, UPPER_INNER_LIP
from likeness.prepare.generic_face import generic_face

FACE = generic_face()
EYES = float(np.linalg.norm(np.diff(FACE[list(OUTER_EYE_CORNERS)], axis=0)))
angles = st.tuples(st.floats(-0.7, 0.7), st.floats(-0.5, 0.5), st.floats(-0.9, 0.9))


def turned(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, opening: float = 0.0) -> np.ndarray:
    """The mean face, turned by so many radians, the lower lip lowered by so many distances of the eyes; in pixels."""
    points = FACE.copy()
    lower = [i for i in INNER_LIPS if points[i, 1] > points[UPPER_INNER_LIP, 1] + 0.002 or i == 14]
    points[lower, 1] += opening * EYES
    (a, b, c), (d, e, f) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    about_y = np.array([[a, 0, -d], [0, 1, 0], [d, 0, a]])
    about_x = np.array([[1, 0, 0], [0, b, -e], [0, e, b]])
    about_z = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
    return (points @ (about_y @ about_x @ about_z).T)[:, :2] * 700 + [128, 120]


@settings(deadline=None, max_examples=60)
@given(angles, st.floats(0.2, 5), st.floats(-500, 500))
def test_the_pose_is_that_the_face_was_turned_by_at_any_size_and_place(turn, scale, shift):
    assert np.allclose(pose(scale * turned(*turn) + shift), turn, atol=1e-5)
    spoken = pose(turned(*turn, opening=0.4))
    assert np.allclose(spoken, turn, atol=1e-5)  # a mouth that opens turns nobody's head


def test_mirrored_faces_look_the_other_way():
    points = np.stack([turned(0.3, 0.1, 0.2), turned(-0.1, -0.2, 0.0)])
    away = pose(points + np.random.default_rng(0).normal(0, 0.3, points.shape))
    assert np.allclose(away, [[0.3, 0.1, 0.2], [-0.1, -0.2, 0.0]], atol=0.03)  # noise of a third of a pixel: degrees, not more


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 30), st.data())
def test_chunks_do_not_show_and_every_choice_is_within_reach(seed, references, frames, data):
    rng = np.random.default_rng(seed)
    bank = np.stack([turned(*rng.uniform(-0.5, 0.5, 3), rng.uniform(0, 0.5)) for _ in range(references)])
    faces = np.stack([turned(*rng.uniform(-0.5, 0.5, 3), rng.uniform(0, 0.5)) for _ in range(frames)])
    whole, last = suiting(bank, faces)
    assert whole.shape == (frames,) and last == whole[-1] and whole.min() >= 0 and whole.max() < references
    cut = data.draw(st.integers(0, frames))
    first, state = suiting(bank, faces[:cut])
    second, end = suiting(bank, faces[cut:], state)
    assert np.array_equal(np.concatenate([first, second]), whole) and end == last
    apart = np.degrees(np.linalg.norm(pose(faces)[:, None] - pose(bank), axis=-1))
    assert (apart[np.arange(frames), whole] <= apart.min(1) + STAY + SAME_MOUTH_COST + 1e-9).all()


def test_the_nearest_pose_of_those_with_another_mouth():
    bank = np.stack([turned(-0.4, opening=0.3), turned(opening=0.3), turned(0.05, opening=0.0), turned(0.4)])
    assert suiting(bank, turned(-0.38)[None])[0] == 0 and suiting(bank, turned(0.37, opening=0.3)[None])[0] == 3
    assert suiting(bank, turned(0.02, opening=0.3)[None])[0] == 2  # not its own mouth, though as near
    assert suiting(bank, turned(0.02, opening=0.0)[None])[0] == 1
    far = np.stack([turned(opening=0.3), turned(0.3)])  # but no mouth is worth a crooked face
    assert suiting(far, turned(opening=0.3)[None])[0] == 0
    with pytest.raises(ValueError, match="without references"):
        suiting(bank[:0], bank)


def test_speech_and_trembling_between_two_poses_do_not_flicker():
    rng, t = np.random.default_rng(1), np.arange(200)
    bank = np.stack([turned(-0.1, opening=0.3), turned(-0.1), turned(0.1), turned(0.1, opening=0.3)])
    mouths = 0.3 * (np.sin(2 * np.pi * t / 5) > 0)  # five syllables a second
    reach = np.radians((STAY - SAME_MOUTH_COST) / 2)  # as far as a pose may err between two that are equally near
    still = np.stack([turned(0.98 * rng.uniform(-reach, reach), opening=m) for m in mouths])
    assert len(set(suiting(bank, still)[0].tolist())) == 1
    swing = 0.35 * np.sin(2 * np.pi * t / 100) + rng.normal(0, 0.01, len(t))  # two periods: each side is entered, and left
    found, _ = suiting(bank, np.stack([turned(yaw, opening=m) for yaw, m in zip(swing, mouths, strict=True)]))
    side = found >= 2
    assert 3 <= (np.diff(found) != 0).sum() == (np.diff(side.astype(int)) != 0).sum() <= 4
    assert side[swing > 0.25].all() and not side[swing < -0.25].any()
    assert OTHER_MOUTH < 0.3 and SAME_MOUTH_COST < STAY  # so that mouths alone never change it
