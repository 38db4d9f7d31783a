"""The names of the points, and what is said when a library is missing."""

import numpy as np
import pytest

from likeness import mesh
from likeness.errors import MissingAsset
from likeness.prepare import landmarks
from likeness.prepare.generic_face import generic_face
from likeness.prepare.landmarks import FaceMesh, find_faces

SETS = ["OUTER_LIPS", "INNER_LIPS", "FACE_OVAL", "RIGHT_EYE", "LEFT_EYE", "RIGHT_BROW", "LEFT_BROW"]


@pytest.mark.parametrize("name", SETS)
def test_rings_do_not_cross_themselves(name):
    ring = generic_face()[list(getattr(mesh, name)), :2]
    a, b = ring, np.roll(ring, -1, 0)
    area = abs(np.sum(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])) / 2
    around = ring[np.argsort(np.arctan2(*(ring - ring.mean(0)).T))]
    c, d = around, np.roll(around, -1, 0)
    assert area == pytest.approx(abs(np.sum(c[:, 0] * d[:, 1] - c[:, 1] * d[:, 0])) / 2, rel=0.25)
    assert len(set(getattr(mesh, name))) == len(ring)


@pytest.mark.parametrize("name", ["LIPS", "FACE_OVAL", "BROWS", "IRIS", "SKULL", "JAW", "CHIN", "CHEEKS"])
def test_sets_are_their_own_mirror_image(name):
    points = generic_face()[list(getattr(mesh, name))]
    distance = np.linalg.norm(points[:, None] * [-1, 1, 1] - points[None], axis=-1)
    assert distance.min(1).max() < 5e-4


def test_no_face_is_none_and_a_cut_may_be_told():
    with FaceMesh() as mesh:
        assert mesh(np.zeros((128, 128, 3), np.uint8)) is None
        mesh.reset()
        assert mesh(np.zeros((96, 128, 3), np.uint8)) is None
    assert find_faces(np.zeros((128, 128, 3), np.uint8)) == []


def test_a_missing_library_is_named_with_its_package():
    error = landmarks._missing(ImportError("libGL.so.1: cannot open shared object file: No such file or directory"))
    assert isinstance(error, MissingAsset) and "libgl1" in str(error)
    assert "libglib2.0-0" in str(landmarks._missing(ImportError("libgthread-2.0.so.0: cannot open shared object file")))
    assert "pip install" in str(landmarks._missing(ImportError("No module named 'mediapipe'")))
