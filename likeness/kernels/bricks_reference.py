"""What `bricks` means, in plain PyTorch."""

import torch
from torch import Tensor

EMPTY, ABSENT, UNKNOWN = -1, -2, -3
CHANNELS = 10
"""Numbers of a node: the logarithm of density, a colour, its change with the view's x, and with its y."""


def bricks(
    xyz: Tensor,
    rays_start: Tensor,
    directions: Tensor,
    apart: Tensor,
    index: Tensor,
    nodes: Tensor,
    step: float,
    hidden: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The definition of `likeness.kernels.bricks`, for any device: densities, colours, and what `index` holds."""
    counts = rays_start.diff()
    ray = torch.repeat_interleave(torch.arange(len(counts), device=xyz.device), counts)
    cells, sides = len(index), nodes.shape[1] - 1
    u = (xyz + 1) * (cells / 2)
    within = ((u >= 0) & (u < cells)).all(1) & (apart == 0)
    cell = u.where(within[:, None], 0).long()
    found = torch.where(within, index[tuple(cell.T)], ABSENT)
    here = found >= 0
    values = xyz.new_zeros(len(xyz), CHANNELS)
    values[here] = _blended(nodes, found[here].long(), (u - cell)[here] * sides)
    density = values[:, 0].exp() * here
    towards = torch.cat([torch.ones_like(directions[:, :1]), directions[:, :2]], 1)[ray]
    color = (values[:, 1:].reshape(-1, 3, 3) * towards[:, :, None]).sum(1)
    before = torch.cat([density.new_zeros(1), (density * step).cumsum(0)])
    over = before[:-1] - before[rays_start[:-1][ray]] > hidden
    return density.where(~over, 0), color.where(~over[:, None], 0), found.where(~over, EMPTY).int()


def _blended(nodes: Tensor, brick: Tensor, place: Tensor) -> Tensor:
    """Between nodes; places are in nodes from a brick's first."""
    node = place.long().clamp_max(nodes.shape[1] - 2)
    part, found = place - node, nodes.new_zeros(len(brick), CHANNELS)
    for corner in range(8):
        at = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2], device=nodes.device)
        x, y, z = (node + at).unbind(1)
        found += torch.where(at == 1, part, 1 - part).prod(1, keepdim=True) * nodes[brick, z, y, x]
    return found
