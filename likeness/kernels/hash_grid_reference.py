"""What `hash_grid` means, in plain PyTorch: the encoding of Instant NGP (Müller et al. 2022, section 3)."""

from functools import reduce
from itertools import product
from operator import add, xor

import torch
from torch import Tensor

from likeness.kernels.grid_shape import GridShape, Level


def hash_grid(x: Tensor, table: Tensor, shape: GridShape) -> Tensor:
    """The definition of `likeness.kernels.hash_grid`, for any device and precision."""
    inside = ((x >= 0) & (x <= 1)).all(-1, keepdim=True)
    x = x.where(inside, 0)
    features = [interpolate(x, table[level.offset : level.offset + level.rows], level) for level in shape.levels]
    return torch.cat(features, -1).where(inside, 0)


def interpolate(x: Tensor, rows: Tensor, level: Level) -> Tensor:
    """Features [N F] of one level at points within [0, 1]."""
    position = x * level.scale + 0.5
    cell = position.detach().floor()
    fractions = (position - cell).unbind(-1)
    nodes = cell.long().unbind(-1)
    total = torch.zeros(x.shape[0], rows.shape[1], dtype=rows.dtype, device=rows.device)
    for corner in product((0, 1), repeat=len(nodes)):
        weight = reduce(torch.mul, [f if step else 1 - f for f, step in zip(fractions, corner, strict=True)])
        terms = [(node + step) * stride for node, step, stride in zip(nodes, corner, level.strides, strict=True)]
        index = reduce(xor if level.kind == "hash" else add, terms) & level.mask
        total = total + weight[:, None] * rows[index]
    return total
