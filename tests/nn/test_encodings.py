"""Encodings: where their boxes end, and which plane sees which axes."""

import pytest
import torch

from likeness.kernels import GridShape, hash_grid
from likeness.nn.encodings import HashGrid, TriPlane


def test_a_grid_covers_its_box_and_nothing_else() -> None:
    grid = HashGrid(GridShape(3, (4.0, 8.0)), bound=0.5)
    torch.nn.init.normal_(grid.table)
    x = torch.tensor([[-0.5, 0.0, 0.5], [0.1, 0.2, -0.3], [0.51, 0.0, 0.0]])
    encoded = grid(x)
    assert encoded.shape == (3, grid.width)
    assert torch.equal(encoded, hash_grid(x + 0.5, grid.table, grid.shape))
    assert (encoded[:2] != 0).all() and (encoded[2] == 0).all()


def test_each_plane_is_blind_to_one_axis() -> None:
    planes = TriPlane(GridShape(2, (5.0, 12.0), 1))
    x = torch.tensor([[0.1, 0.2, 0.3]])
    here = planes(x).reshape(3, -1)
    for axis, blind in ((2, 0), (0, 1), (1, 2)):
        moved = x.clone()
        moved[0, axis] += 0.15
        same = (planes(moved).reshape(3, -1) == here).all(-1)
        assert same.tolist() == [plane == blind for plane in range(3)]


def test_every_plane_learns() -> None:
    planes = TriPlane(GridShape(2, (5.0, 12.0), 2))
    x = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    planes(x).square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in planes.parameters())
    assert (x.grad != 0).any(0).all()


def test_planes_are_flat() -> None:
    with pytest.raises(ValueError, match="2 dims"):
        TriPlane(GridShape(3, (5.0,)))
