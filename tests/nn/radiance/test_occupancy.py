"""What space may hold something, and what is known to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from likeness.camera import to_camera
from likeness.nn.radiance import occupancy
from likeness.nn.radiance.occupancy import BOUND, CELLS, DECAY, SOLID, UNIT, Occupancy, ever_seen, near_the_head

CELL = 2 * BOUND / CELLS
LONG = 14  # updates, with the memory of `forgetful`, until what nobody sees is forgotten; dense space has faded then, too


def ball(radius: float, density: float = 100.0, middle: float = 0.0):
    return lambda xyz: density * ((xyz - middle).norm(dim=1) < radius).float()


def cell_of(*xyz: float) -> tuple[int, ...]:
    return tuple(int((v + BOUND) / CELL) for v in xyz)


def middle(culled: bool = True) -> Occupancy:
    """Of which only the middle may be occupied, which is quicker to look at than the whole."""
    space = Occupancy(culled)
    allowed = torch.zeros_like(space.allowed)
    allowed[40:90, 40:90, 40:90] = True
    space.become(allowed)
    return space


@pytest.fixture
def forgetful(monkeypatch) -> None:
    monkeypatch.setattr(occupancy, "FORGET", 0.7)


def test_looking_again_and_again_leaves_what_is_there():
    space, rng = middle(), np.random.default_rng(0)
    for _ in range(LONG + 4):
        space.update(ball(0.2), rng)
    bits = space.bits
    assert bits[cell_of(0, 0, 0)] and bits[cell_of(0.15, 0.05, 0)] and not bits[cell_of(0.3, 0.3, 0.3)]
    assert not bits[~space.allowed].any()  # nothing comes where nothing is allowed
    solid = (4 / 3 * np.pi * 0.2**3) / CELL**3
    assert solid < bits.sum() < 1.6 * solid  # a cell round it belongs to it


def test_what_was_seen_fades_slowly():
    space, rng = Occupancy(), np.random.default_rng(0)
    space.become(space.allowed, torch.zeros_like(space.density))
    space.update(ball(0.2, 50.0), rng)
    before = float(space.density[cell_of(0, 0, 0)])
    space.update(ball(0.0), rng)
    assert float(space.density[cell_of(0, 0, 0)]) == np.float32(before * np.float32(DECAY))
    assert before == 50.0 and before > SOLID


def test_what_no_ray_sees_for_long_is_passed_over_and_its_neighbours_are_not(forgetful):
    space, rng = middle(), np.random.default_rng(0)
    seen = torch.tensor([[0.0, 0.0, -0.19]])
    for _ in range(LONG):
        space.notice(seen, torch.tensor([0.8]))
        space.update(ball(0.2), rng)
    x, y, z = cell_of(*seen[0].tolist())
    assert space.bits[x, y, z] and space.bits[x, y, z + 1] and not space.bits[x, y, z + 2]
    assert not space.bits[cell_of(0, 0, 0)]
    published = middle(culled=False)
    for _ in range(LONG):
        published.update(ball(0.2), rng)
    assert published.bits[cell_of(0, 0, 0)]


def test_space_is_restored_as_it_was_though_weights_have_risen_since(forgetful):
    space, rng = middle(), np.random.default_rng(0)
    seen = torch.tensor([[0.0, 0.0, -0.19]])
    for _ in range(LONG):
        space.notice(seen, torch.tensor([0.8]))
        space.update(ball(0.2), rng)
    before = space.bits.clone()
    space.notice(seen + torch.tensor([0.0, 0.0, CELL]), torch.tensor([0.8]))
    again = middle()
    again.restore(space.density, space.weight, space.bits)
    assert torch.equal(again.bits, before)
    again.update(ball(0.2), np.random.default_rng(1))
    space.update(ball(0.2), np.random.default_rng(1))
    assert torch.equal(again.bits, space.bits) and again.bits.sum() > before.sum()


def test_a_settled_space_holds_what_rays_saw():
    space = Occupancy()
    spots = torch.tensor([[0.2, 0.2, 0.2], [-0.2, -0.2, -0.2], [0.1, 0.1, 0.1]])
    space.settle(lambda: space.notice(spots, torch.tensor([0.9, 0.02, 0.001])))
    assert space.bits[cell_of(0.2, 0.2, 0.2)] and space.bits[cell_of(-0.2, -0.2, -0.2)]
    assert not space.bits[cell_of(0.1, 0.1, 0.1)] and space.bits.sum() == 2 * 7  # with a neighbour on each side
    assert torch.equal(space.bits, space.allowed)


def test_space_near_the_head_is_where_its_landmarks_are(lesson):
    found = near_the_head(lesson.clip, lesson.rig, lesson.frames, 0)
    nodes = lesson.rig.mean * UNIT
    index = ((nodes + BOUND) / CELL).long()
    assert found[tuple(index.T)].float().mean() > 0.99
    assert 0.002 < found.float().mean() < 0.15
    assert torch.equal(found, near_the_head(lesson.clip, lesson.rig, lesson.frames, 0))


def test_what_no_camera_saw_is_left_out(lesson):
    seen = ever_seen(lesson.clip, lesson.frames)
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(2000, 3, generator=generator) * 2 * BOUND - BOUND
    cells = ((points + BOUND) / CELL).long()
    t = int(lesson.frames[0])
    xy = lesson.clip.camera.project(to_camera(points / UNIT, lesson.clip.motion.pose[t]))
    inside = ((xy > 0) & (xy < torch.tensor(lesson.clip.camera.size))).all(1)
    assert inside.any() and seen[tuple(cells.T)][inside].all()
