"""Positions as features that are learned: a grid of many resolutions, and three planes of them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.kernels import GridShape, hash_grid

START = 1e-4
"""Tables begin uniformly within +- this (Müller et al. 2022, section 4)."""


class HashGrid(nn.Module):
    """Features of points within [-bound, bound] (zeros beyond), from a table that is learned."""

    def __init__(self, shape: GridShape, bound: float = 1.0) -> None:
        super().__init__()
        self.shape, self.bound = shape, bound
        self.table = nn.Parameter(torch.empty(shape.rows, shape.features).uniform_(-START, START))

    @property
    def width(self) -> int:
        return self.shape.width

    def forward(self, x: Float[Tensor, "n dims"]) -> Float[Tensor, "n width"]:
        return hash_grid((x + self.bound) / (2 * self.bound), self.table, self.shape)


class TriPlane(nn.Module):
    """Features of 3D points from grids over the planes xy, yz and xz, side by side (ER-NeRF, Li et al. 2023).

    No plane can mix up two points that the other two tell apart, and far fewer nodes share a row than in a 3D grid.
    Raises ValueError unless `shape` is 2D.
    """

    def __init__(self, shape: GridShape, bound: float = 1.0) -> None:
        super().__init__()
        if shape.dims != 2:
            raise ValueError(f"TriPlane: its grids are planes, so the shape has 2 dims, not {shape.dims}")
        self.xy, self.yz, self.xz = (HashGrid(shape, bound) for _ in range(3))

    @property
    def width(self) -> int:
        return 3 * self.xy.width

    def forward(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n width"]:
        return torch.cat([self.xy(x[:, :2]), self.yz(x[:, 1:]), self.xz(x[:, ::2])], -1)
