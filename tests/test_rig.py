"""The rig on synthetic motion whose lips, jaw, lids, brows and gaze are known."""

import numpy as np
import pytest
import torch

from likeness import mesh
from likeness.clip import Motion
from likeness.rig import LIP_COEFFICIENTS, LIP_POINTS, NAMES, SIZE, Rig, lip_opening

FRAMES = 120


def face() -> np.ndarray:
    """A face of 478 points, 0.15 m high, whose inner lips lie where lips do."""
    rng = np.random.default_rng(5)
    points = rng.uniform((-0.07, -0.09, 0.0), (0.07, 0.09, 0.04), (478, 3))
    for i, point in enumerate(mesh.INNER_LIPS):
        turn = 2 * np.pi * i / len(mesh.INNER_LIPS)
        points[point] = (-0.02 * np.cos(turn), 0.05 - 0.004 * np.sin(turn), 0.0)
    return points


def motion() -> tuple[Motion, np.ndarray]:
    """The lower lip and jaw fall, the brows rise, the irises move: each by its own curve. Returns the opening, too."""
    t = np.arange(FRAMES)
    fall = 0.008 * np.clip(np.sin(t / 3.0), 0, None)
    points = np.tile(face(), (FRAMES, 1, 1))
    lower = [*mesh.INNER_LIPS[11:], *mesh.JAW, *mesh.CHIN]
    points[:, lower, 1] += fall[:, None]
    points[:, list(mesh.RIGHT_BROW + mesh.LEFT_BROW), 1] -= 0.003 * np.sin(t / 7.0)[:, None]
    points[:, 468:, 0] += 0.002 * np.cos(t / 11.0)[:, None]
    eyes = np.where(t % 40 < 3, 0.0, 1.0)
    points += np.random.default_rng(1).normal(0, 2e-5, points.shape)
    parts = (np.tile(np.eye(4), (FRAMES, 1, 1)), np.zeros((FRAMES, 2)), eyes, points)
    opening = np.linalg.norm(points[:, 13] - points[:, 14], axis=1)
    return Motion(*(torch.from_numpy(part).float() for part in parts)), opening


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig.fit(motion()[0])


def test_the_training_conditioning_is_z_scored(rig):
    cond = rig.encode(motion()[0])
    assert cond.shape == (FRAMES, SIZE) and len(NAMES) == SIZE
    moves = rig.spread > 1e-5
    assert torch.allclose(cond.mean(0), torch.zeros(SIZE), atol=1e-3)
    assert torch.allclose(cond.std(0)[moves], torch.ones(int(moves.sum())), atol=1e-3)


def test_decoding_gives_the_lips_back(rig):
    moved, opening = motion()
    nodes = rig.decode(rig.encode(moved))
    error = (nodes - moved.landmarks[:, : mesh.NODES])[:, LIP_POINTS].norm(dim=-1)
    assert error.mean() < 2e-4  # metres; the jaw falls by 8e-3
    found = rig.opening(rig.encode(moved)).numpy()
    assert np.corrcoef(found, opening)[0, 1] > 0.99
    assert found.std() == pytest.approx(opening.std(), rel=0.1)


def test_the_mean_face_is_where_the_conditioning_is_zero(rig):
    assert torch.equal(rig.decode(torch.zeros(1, SIZE))[0], rig.mean)


def test_lip_components_are_orthonormal_and_their_shares_sum_to_one(rig):
    assert torch.allclose(rig.components @ rig.components.T, torch.eye(LIP_COEFFICIENTS), atol=1e-5)
    assert rig.lip_weight.sum() == pytest.approx(1, abs=1e-5) and rig.lip_weight[0] > 0.9


def test_clip_keeps_within_the_percentiles_and_leaves_the_inside_alone(rig):
    wild = 100 * torch.randn(50, SIZE, generator=torch.Generator().manual_seed(0))
    kept = rig.clip(wild)
    assert (kept >= rig.low).all() and (kept <= rig.high).all()
    assert torch.equal(rig.clip(kept), kept)
    middle = (rig.low + rig.high)[None] / 2
    assert torch.equal(rig.clip(middle), middle)


def test_at_rest_the_mouth_is_nearly_closed(rig):
    _, opening = motion()
    cond = torch.cat([rig.rest, torch.zeros(SIZE - LIP_COEFFICIENTS)])[None]
    assert float(rig.opening(cond)) < np.quantile(opening, 0.35)


def test_no_triangle_closes_the_mouth(rig):
    inside = np.isin(rig.triangles.numpy(), mesh.INNER_LIPS).all(1)
    assert len(rig.triangles) > mesh.NODES and not inside.any()
    assert rig.triangles.min() >= 0 and rig.triangles.max() < mesh.NODES


def test_a_hand_value_of_the_opening():
    landmarks = torch.zeros(1, 478, 3)
    landmarks[0, 13], landmarks[0, 14] = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 4.0, 6.0])
    assert float(lip_opening(landmarks)) == 5.0


def test_its_state_is_what_a_file_must_hold(rig):
    state, shapes = rig.state(), Rig.shapes()
    assert set(state) == set(shapes)
    for name, tensor in state.items():
        assert tensor.ndim == len(shapes[name])
        assert all(wanted in (None, size) for size, wanted in zip(tensor.shape, shapes[name]))
