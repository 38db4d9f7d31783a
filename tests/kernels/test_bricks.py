"""`bricks`: the CPU body against the reference, and what looking up means."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likeness.kernels import bricks, bricks_reference
from likeness.kernels.bricks import ABSENT, CHANNELS, EMPTY, UNKNOWN


def case(rays: int, cells: int, side: int, kept: int, unknown: float, seed: int) -> tuple[Tensor, ...]:
    """Rays with samples along them from near to far, in a cube of cells of all kinds."""
    random = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, 12, (rays,), generator=random)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    ray = torch.repeat_interleave(torch.arange(rays), counts)
    directions = torch.nn.functional.normalize(torch.randn(rays, 3, generator=random), dim=1)
    along = (torch.arange(len(ray)) - starts[ray]) * 0.1
    xyz = (2.2 * torch.rand(rays, 3, generator=random) - 1.1)[ray] + along[:, None] * directions[ray]
    apart = (torch.rand(len(ray), generator=random) < 0.1).byte()
    index = torch.randint(-2, kept, (cells,) * 3, generator=random, dtype=torch.int32)
    index[torch.rand(index.shape, generator=random) < unknown] = UNKNOWN
    nodes = torch.randn(kept, side, side, side, CHANNELS, generator=random)
    return xyz, starts, directions, apart, index, nodes


@settings(max_examples=60, deadline=None)
@given(
    rays=st.integers(0, 400),
    cells=st.sampled_from([1, 5, 16]),
    side=st.sampled_from([2, 3, 5]),
    kept=st.sampled_from([1, 7, 50]),
    unknown=st.sampled_from([0.0, 0.05]),
    hidden=st.sampled_from([0.0, 0.2, 1e9]),
    seed=st.integers(0, 999),
)
def test_body_and_reference_agree(rays, cells, side, kept, unknown, hidden, seed) -> None:
    """By rounding a ray may end a sample earlier or later; how many do is counted."""
    given = case(rays, cells, side, kept, unknown, seed)
    found, wanted = bricks(*given, 0.016, hidden), bricks_reference.bricks(*given, 0.016, hidden)
    same = found.brick == wanted[2]
    assert (~same).sum() <= 1 + len(same) // 500
    assert torch.allclose(found.density[same], wanted[0][same], rtol=2e-4, atol=1e-6)
    assert torch.allclose(found.color[same], wanted[1][same], atol=2e-4)


def test_what_is_linear_is_exact() -> None:
    """Bricks over the whole cube whose nodes hold linear functions of place and view."""
    cells, side = 4, 3
    random = torch.Generator().manual_seed(3)
    slopes, offsets = torch.randn(3, CHANNELS, generator=random), torch.randn(CHANNELS, generator=random)
    index = torch.arange(cells**3, dtype=torch.int32).reshape(cells, cells, cells)
    cell = torch.cartesian_prod(*[torch.arange(cells)] * 3)
    line = torch.arange(side) / (side - 1)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    at = (cell[:, None, None, None] + torch.stack([x, y, z], -1)) * (2 / cells) - 1
    nodes = at @ slopes + offsets
    xyz = 2 * torch.rand(300, 3, generator=random) - 1
    directions = torch.nn.functional.normalize(torch.randn(300, 3, generator=random), dim=1)
    found = bricks(xyz, torch.arange(301), directions, torch.zeros(300, dtype=torch.uint8), index, nodes, 0.01, 1e9)
    values = xyz @ slopes + offsets
    wanted = values[:, 1:4] + directions[:, :1] * values[:, 4:7] + directions[:, 1:2] * values[:, 7:]
    assert torch.allclose(found.density, values[:, 0].exp(), rtol=1e-4)
    assert torch.allclose(found.color, wanted, atol=1e-4)


def test_rays_end_where_nothing_more_is_seen() -> None:
    xyz = torch.tensor([[-0.5, 0.0, -0.9], [-0.5, 0.0, -0.3], [-0.5, 0.0, 0.3], [-0.5, 0.0, 0.9]])
    rays, along, apart = torch.tensor([0, 4]), torch.tensor([[0.0, 0.0, 1.0]]), torch.zeros(4, dtype=torch.uint8)
    index = torch.tensor([0, EMPTY, ABSENT, 0], dtype=torch.int32).expand(4, 4, 4).contiguous()
    nodes = torch.ones(1, 2, 2, 2, CHANNELS)
    whole = bricks(xyz, rays, along, apart, index, nodes, 1.0, 1e9)
    assert whole.brick.tolist() == [0, EMPTY, ABSENT, 0] and torch.equal(whole.density > 0, torch.tensor([1, 0, 0, 1]).bool())
    hidden = bricks(xyz, rays, along, apart, index, nodes, 1.0, 2.0)
    assert hidden.brick.tolist() == [0, EMPTY, EMPTY, EMPTY] and hidden.density[0] == whole.density[0]
    index[:, :, 1] = UNKNOWN
    assert bricks(xyz, rays, along, apart, index, nodes, 1.0, 1e9).brick.tolist() == [0, UNKNOWN, ABSENT, 0]
    apart[0] = 1
    assert bricks(xyz, rays, along, apart, index, nodes, 1.0, 1e9).brick.tolist() == [ABSENT, UNKNOWN, ABSENT, 0]


def test_threads_do_not_matter() -> None:
    given, threads = case(5000, 16, 5, 50, 0.02, 5), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = bricks(*given, 0.016, 0.5)
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(alone, bricks(*given, 0.016, 0.5)):
        assert torch.equal(one, other)


def test_what_does_not_fit_is_an_error() -> None:
    xyz, starts, directions, apart, index, nodes = case(9, 4, 3, 5, 0.0, 1)
    for wrong in (
        (xyz, starts[:-1], directions, apart, index, nodes),
        (xyz, starts, directions, apart, index, nodes[:, :1, :1, :1]),
        (xyz, starts, directions, apart, index + 5, nodes),
        (xyz, starts, directions, apart, index[:0, :0, :0], nodes),
        (xyz, torch.cat([starts[:1] + 1, starts[1:]]), directions, apart, index, nodes),
        (xyz, torch.cat([starts[:1], starts[1:-1].flip(0), starts[-1:]]), directions, apart, index, nodes),
    ):
        with pytest.raises(ValueError, match="bricks"):
            bricks(*wrong, 0.016, 1.0)
