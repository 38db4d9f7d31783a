"""Shapes of mouths: what they hold, what they must not hold, and which picture of a bank they ask for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from likeness.mesh import SKULL
from likeness.nn.hyper.mouth import MOUTH, Mouth, choose, opening, parted
from likeness.nn.hyper.settings import SHAPE
from likeness.nn.hyper.sketch import drawn
from tests.nn.hyper.faces import faces, people


@pytest.fixture(scope="module")
def mouth() -> Mouth:
    mouth = Mouth()
    mouth.fit(people(5))
    return mouth


def test_points_come_back_from_the_shape(mouth):
    """Of somebody new: the basis is everybody's, the mean their own."""
    seen = people(7)[6]
    person = mouth.person(seen)
    again = mouth.points(mouth.shape(seen, person), seen, person)
    assert (again - seen[:, list(MOUTH)]).norm(dim=-1).max() < 4e-3  # half a pixel of 128


def test_a_turning_head_is_no_shape(mouth):
    """The same mouth, turned: its points move much, its shape little."""
    yaw = np.linspace(-0.15, 0.15, 41)
    person = mouth.person(faces(np.full(41, 6.0), yaw, 6))
    turned = mouth.shape(faces(np.full(41, 6.0), yaw, 6), person)
    opened = mouth.shape(faces(np.linspace(0, 12, 41), np.zeros(41), 6), person)
    assert (turned * mouth.spread).std(0).norm() < 0.15 * (opened * mouth.spread).std(0).norm()


def test_the_mouth_that_is_seen_does_not_leak(mouth):
    seen = people(6)[5]
    person = mouth.person(seen)
    other = seen.clone()
    others = [p for p in range(478) if p not in SKULL]
    other[:, others] += torch.randn(other[:, others].shape, generator=torch.Generator().manual_seed(0))
    shape = mouth.shape(seen, person)
    assert torch.equal(mouth.points(shape, seen, person), mouth.points(shape, other, person))


def test_lips_do_not_pass_through_each_other(mouth):
    """However far a shape would shut them; and one that is open is left alone."""
    seen = people(6)[5]
    person = mouth.person(seen)
    shut = mouth.points(torch.linspace(0, -8, 9)[:, None] * torch.eye(SHAPE)[:1], seen[:1].expand(9, -1, -1), person)
    wide = mouth.points(-shut.new_tensor([[-8.0] + [0] * (SHAPE - 1)]), seen[:1], person)
    heights = [
        (m[:, [MOUTH.index(p) for p in (88, 14, 318)], 1] - m[:, [MOUTH.index(p) for p in (80, 13, 310)], 1])
        for m in (shut, wide)
    ]
    assert (heights[0] >= -1e-6).all() and torch.cat(heights).min() < 1e-6  # one of the two ways shuts them
    opened = seen[opening(seen[:, list(MOUTH)]) > 0.02][:, list(MOUTH)]
    assert len(opened) and torch.equal(parted(opened), opened)


def test_how_far_a_shape_opens_is_told(mouth):
    seen = people(6)[5]
    person = mouth.person(seen)
    shapes = mouth.shape(seen, person)
    wide = opening(mouth.points(shapes, seen, person))
    told = shapes @ mouth.opens
    assert np.corrcoef(wide, told)[0, 1] > 0.98 and 0.9 < told.std() / wide.std() < 1.1


def test_basis_does_not_depend_on_order_or_sign(mouth):
    again = Mouth()
    again.fit(people(5)[::-1])
    for name, value in mouth.state_dict().items():
        assert torch.allclose(value, again.state_dict()[name], atol=1e-4), name


def test_a_person_at_rest_has_shut_lips(mouth):
    seen = people(6)[5]
    person = mouth.person(seen)
    rest = mouth.points(person.rest[None], seen[:1], person)
    assert opening(rest)[0] < torch.quantile(opening(seen[:, list(MOUTH)]), 0.15)
    alone = mouth.person(seen[:1])  # one picture says nothing of how they move
    assert torch.equal(alone.spread, torch.ones_like(alone.spread)) and alone.rest.isfinite().all()


def test_a_bank_gives_what_is_alike_and_open_enough(mouth):
    bank = faces(np.array([0.0, 5.0, 10.0, 5.0]), np.array([0.0, 0.0, 0.0, 0.3]), 6)
    person = mouth.person(bank)
    looks = mouth.turned(bank, person), bank[:, list(MOUTH)]

    def chosen(open_mm: float, yaw: float, before: int | None = None) -> int:
        face = faces(np.array([open_mm]), np.array([yaw]), 6)
        return choose((mouth.turned(face, person)[0], face[0, list(MOUTH)]), looks, before)

    assert [chosen(open_mm, 0.0) for open_mm in (0.0, 5.0, 10.0)] == [0, 1, 2]
    assert chosen(5.0, 0.3) == 3
    assert chosen(7.5, 0.0) == 2  # between both: a warp can close a mouth, not open it
    shutting = np.linspace(
        10, 0, 101
    )  # a little better does not change it, much better does: each stays longer than it is best
    alone, before, kept = [chosen(open_mm, 0.0) for open_mm in shutting], 2, []
    for open_mm in shutting:
        kept.append(before := chosen(open_mm, 0.0, before))
    assert alone[0] == kept[0] == 2 and alone[-1] == kept[-1] == 0
    for left in (2, 1):
        longer = sum(k >= left for k in kept) - sum(k >= left for k in alone)
        assert 3 <= longer <= 20  # by .3 to 2 mm


def test_sketches_show_lips_inside_and_jaw_where_the_points_are():
    shut, wide = drawn(faces(np.array([0.0, 14.0]), np.zeros(2))[:, list(MOUTH)])
    assert shut.shape == (3, 128, 128) and float(shut.min()) >= 0 and float(wide.max()) <= 1
    assert wide[1].sum() > shut[1].sum() + 50  # the inside
    assert (wide[0] * wide[1]).max() <= 0.5  # lips end where the inside begins
    rows = torch.arange(128.0)
    lowest = [float((picture[2].amax(1) * rows).max()) for picture in (shut, wide)]
    assert 5 < lowest[1] - lowest[0] < 12  # 14 mm x .8 of a square of 165 mm: 8.7 pixels
    assert torch.equal(drawn(faces(np.zeros(2), np.zeros(2))[:, list(MOUTH)])[0], shut)  # the same way each time
