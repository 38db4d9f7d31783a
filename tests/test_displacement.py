"""Displacement: what moves with the skull is none, one mean face a person, and GeneFace's own data in the same terms."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from likeness import displacement as d
from likeness import mesh
from likeness.errors import BadInput
from likeness.prepare.generic_face import generic_face


def talking(frames: int, seed: int) -> np.ndarray:
    """A face [T 478 3] in metres whose lips and jaw move, and nothing of the skull."""
    random = np.random.default_rng(seed)
    faces = np.tile(generic_face(), (frames, 1, 1))
    moving = sorted({*mesh.LIPS, *mesh.JAW, *mesh.CHIN} - set(mesh.SKULL))
    faces[:, moving, 1] += 0.004 * np.abs(np.sin(np.arange(frames) * random.uniform(0.2, 0.8)))[:, None]
    return faces.astype(np.float32)


def test_the_68_are_where_they_should_be():
    face = d.pick_68((generic_face() * 100).astype(np.float32))
    assert face.shape == (68, 3) and len(set(d.POINTS_68)) == 68
    assert face[8, 1] == face[:, 1].max()  # the chin is lowest
    assert (np.diff(face[d.JAW, 0]) > 0)[1:-1].all() and (np.diff(face[d.BROWS, 0]) > 0).all()  # both run to the person's left
    assert face[30, 2] == face[:, 2].min()  # the tip of the nose is nearest
    assert np.linalg.norm(face[36] - face[45]) == pytest.approx(d.EYES_CM, abs=0.02)
    middle = face[48:60].mean(0)
    angle = np.unwrap(np.arctan2(face[48:60, 1] - middle[1], face[48:60, 0] - middle[0]))
    assert (np.diff(angle) > 0).all()  # the lips are a ring, over the top
    mirror = face * [-1, 1, 1]
    order = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36]
    order += [41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    assert np.abs(mirror[order] - face).max() < 0.05  # right and left are each other's mirror images


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.5, 2.0), turn=st.floats(0, 0.6))
def test_what_the_skull_does_is_no_expression(seed, scale, turn):
    random = np.random.default_rng(seed)
    faces = talking(24, 1)
    spun = Rotation.from_rotvec(random.normal(0, turn / 2, (24, 3))).as_matrix()
    moved = scale * (faces @ np.swapaxes(spun, 1, 2) + random.normal(0, 0.01, (24, 1, 3)))
    plain = d.displacement(faces)
    found = d.displacement(moved.astype(np.float32), plain.shape)
    assert np.abs(found.moves - plain.moves).max() < 2e-3  # cm
    own = d.displacement(moved.astype(np.float32))  # and with a mean face of its own, which may lie turned
    lips = np.linalg.norm(own.moves[:, mesh.LIPS], axis=-1)
    assert np.abs(lips - np.linalg.norm(plain.moves[:, mesh.LIPS], axis=-1)).max() < 2e-2


def test_one_mean_face_that_a_few_lost_frames_do_not_move():
    faces = talking(60, 2)
    lost = faces.copy()
    lost[10:14, mesh.LIPS] += 0.03  # the tracker lost the lips for a moment
    assert np.abs(d.mean_face(lost * np.float32(100)) - d.mean_face(faces * np.float32(100))).max() < 0.06
    assert np.abs((lost - faces).mean(0) * 100).max() > 0.19  # a plain mean would be off by three times that
    found = d.displacement(faces)
    assert np.linalg.norm(found.shape[33] - found.shape[263]) == pytest.approx(d.EYES_CM, abs=1e-4)
    assert np.abs(found.landmarks - faces * 100).max() < 0.01
    assert np.allclose(d.lip_opening(found.landmarks), d.lip_opening(found.of_68().landmarks))
    other = found.against(found.shape + 1)
    assert np.allclose(other.landmarks, found.landmarks, atol=1e-5) and other.moves.mean() < -0.9


def idexp(frames: int = 30) -> np.ndarray:
    """As GeneFace writes it: an identity, and a mouth that opens downwards in axes whose y points up."""
    rows = np.tile(np.random.default_rng(3).normal(0, 0.15, (68, 3)), (frames, 1, 1))
    rows[:, 36:48:9, 0] = 0.0
    rows[:, d.LOWER_INNER_LIP, 1] -= 0.5 * np.abs(np.sin(np.arange(frames)))
    return rows.reshape(frames, 204).astype(np.float32)


@pytest.mark.parametrize("layout", ["[T 204]", "[T 68 3]", "[1 T 204]", "npz"])
def test_genefaces_own_data_is_read(tmp_path, layout):
    rows = idexp()
    path = tmp_path / ("a.npz" if layout == "npz" else "a.npy")
    if layout == "npz":
        np.savez(path, idexp_lm3d=rows, other=np.zeros(3))
    else:
        np.save(path, {"[T 204]": rows, "[T 68 3]": rows.reshape(-1, 68, 3), "[1 T 204]": rows[None]}[layout])
    found = d.read_idexp(path)
    assert found.moves.shape == (30, 68, 3)
    still = np.delete(np.arange(68), d.LOWER_INNER_LIP)
    assert np.abs(found.moves[:, still]).max() < 1e-5  # identity is in the shape
    lip = found.moves[:, d.LOWER_INNER_LIP, 1]
    assert (
        np.ptp(lip) == pytest.approx(0.5, abs=0.02) and lip[np.abs(np.sin(np.arange(30))).argmax()] == lip.max()
    )  # down is +y
    assert np.allclose(found.shape[still] * [1, -1, -1], rows.reshape(-1, 68, 3)[0, still], atol=1e-4)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (np.zeros((20, 204), np.float32), "all landmarks are zero"),
        (np.full((20, 204), np.nan, np.float32), "frame 0 holds no numbers"),
        (np.random.default_rng(0).normal(0, 1, (200, 204)), "idexp_lm3d_normalized"),
        (np.zeros((20, 64), np.float32), "is [frames, 204]"),
        (np.array([{"idexp_lm3d": 1}], object), "pickled"),
        (b"not an array", "cannot be read"),
    ],
)
def test_what_is_no_displacement_is_refused(tmp_path, content, says):
    path = tmp_path / "a.npy"
    held = io.BytesIO(content if isinstance(content, bytes) else b"")
    if not isinstance(content, bytes):
        np.save(held, content, allow_pickle=True)
    path.write_bytes(held.getvalue())
    with pytest.raises(BadInput, match=says.replace("[", r"\[")):
        d.read_idexp(path)
    np.savez(tmp_path / "b.npz", landmarks=np.zeros((2, 204), np.float32))
    with pytest.raises(BadInput, match="holds no idexp_lm3d"):
        d.read_idexp(tmp_path / "b.npz")
    with pytest.raises(BadInput, match="478"):
        d.pick_68(np.zeros((70, 3), np.float32))
