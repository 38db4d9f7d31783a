"""The radiance field: density and colour of a place, under what is said, the upper face, and a frame's own light.

RAD-NeRF: Tang et al. 2022, sections 3.2 and 3.3. Planes and region attention: ER-NeRF, Li et al. 2023.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from likeness.kernels import GridShape, harmonics
from likeness.nn.encodings import HashGrid, TriPlane
from likeness.nn.mlp import mlp
from likeness.nn.precision import fast_products, product_type
from likeness.nn.radiance.occupancy import BOUND
from likeness.nn.radiance.settings import Settings
from likeness.nn.radiance.warp import Shift

CODE = 32
SHARPEST = 15.0  # of the logarithm of density, for its gradient
OVER = 1e-3  # how far colours may pass 0 and 1, so that they can be reached
DIRECTIONS = 16  # harmonics of degree 3
CHUNK = 32768  # places whose inner results stay in the cache
BATCH = 1024  # places, of which networks are best given whole numbers


class Said(NamedTuple):
    """What moves the face in each of some frames."""

    code: Float[Tensor, "frames code"]
    upper: Float[Tensor, "frames upper"]
    appearance: Float[Tensor, "frames appearance"]
    shift: Shift | None = None
    """How the rig moves the face; None where places are as they are."""


class Density(NamedTuple):
    """What is at some places."""

    density: Float[Tensor, " n"]
    """Per UNIT."""
    geometry: Float[Tensor, "n geometry"]
    """What colour is made of."""
    heard: Float[Tensor, " _"]
    """How much speech counts there."""
    shown: Float[Tensor, " _"]
    """How much the upper face counts there."""


class _Exp(torch.autograd.Function):
    """exp, whose gradient does not run away."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grads[0] * x.clamp(-SHARPEST, SHARPEST).exp()


class Field(nn.Module):
    """Places are in UNIT, within [-BOUND, BOUND]³."""

    def __init__(self, config: Settings, code: int, upper: int) -> None:
        super().__init__()
        self.config = config
        self.beyond = OVER
        if config.space == "planes":
            self.space: nn.Module = TriPlane(GridShape(2, config.plane_sizes, 1, config.plane_log2_rows), BOUND)
            width = 3 * len(config.plane_sizes)
        else:
            self.space = HashGrid(GridShape(3, config.grid_sizes, 2, config.grid_log2_rows, "tiled"), BOUND)
            width = 2 * len(config.grid_sizes)
        if config.speech == "attention":
            self.hears = mlp(width, code, 64, 2)
            self.shows = mlp(width, upper, 16, 2)
            inputs = width + code + upper
        else:
            self.squeeze = mlp(width + code, config.ambient, config.hidden, 3)
            # A line is a plane of which one row is looked at.
            shape = GridShape(max(2, config.ambient), config.grid_sizes, 2, config.grid_log2_rows, "tiled")
            self.ambient = HashGrid(shape)
            inputs = width + 2 * len(config.grid_sizes) + upper
        self.density = mlp(inputs, 1 + config.hidden, config.hidden, 3)
        self.color = mlp(DIRECTIONS + config.hidden + config.appearance, 3, config.hidden, 2)

    def at(self, xyz: Float[Tensor, "n 3"], frame: Int[Tensor, " n"], said: Said, maps: bool = True) -> Density:
        """Density at places, each in one of the frames of `said`, which do not fall; without `maps`, `heard` and `shown` are
        empty."""
        features = self.space(xyz if said.shift is None else said.shift.undo(xyz, frame)).to(product_type(xyz.device))
        code, upper = of_frames(frame, said.code, said.upper)
        heard = shown = xyz.new_zeros(0)
        with fast_products(xyz.device):
            if self.config.speech == "attention":
                hearing, showing = self.hears(features), self.shows(features).sigmoid()
                if maps:
                    heard, shown = hearing.float().norm(dim=1), showing.float().norm(dim=1)
                spoken = [hearing * code, showing * upper]
            else:
                coordinate = self.squeeze(torch.cat([features, code.expand(len(features), -1)], 1)).float().tanh()
                if maps:
                    heard, shown = coordinate.abs().sum(1), torch.ones_like(coordinate[:, 0])
                if self.config.ambient == 1:
                    coordinate = torch.cat([coordinate, torch.zeros_like(coordinate)], 1)
                spoken = [self.ambient(coordinate), upper.expand(len(features), -1)]
            found = self.density(torch.cat([features, *spoken], 1))
        return Density(_Exp.apply(found[:, 0].float()), found[:, 1:], heard, shown)  # pyright: ignore[reportArgumentType]

    def colored(
        self, geometry: Float[Tensor, "n geometry"], towards: Float[Tensor, "n 16"], appearance: Float[Tensor, "_ appearance"]
    ) -> Float[Tensor, "n 3"]:
        """Colours; `towards` holds the harmonics of the direction of view, `appearance` one row or one for each."""
        appearance = appearance.to(geometry.dtype).expand(len(geometry), -1)
        with fast_products(geometry.device):
            found = self.color(torch.cat([towards.to(geometry.dtype), geometry, appearance], 1))
        return found.float().sigmoid() * (1 + 2 * self.beyond) - self.beyond


def of_frames(frame: Int[Tensor, " n"], *rows: Float[Tensor, "frames _"]) -> list[Tensor]:
    """The rows of each one's frame, in the type of `fast_products`; of a single frame its one row, for all."""
    rows = tuple(row.to(product_type(row.device)) for row in rows)
    if len(rows[0]) == 1:
        return [*rows]
    # A product, whose gradient is one, too: that of indexing took 4 ms a step.
    pick = one_hot(frame, len(rows[0])).to(rows[0].dtype)
    return [pick @ row for row in rows]


def rounded(rows: Int[Tensor, " n"]) -> Int[Tensor, " more"]:
    """The last repeated up to a whole number of BATCH: to make a network ready for a number of rows that it has not met took up
    to a millisecond a layer."""
    return torch.cat([rows, rows[-1:].expand(-len(rows) % BATCH)]) if len(rows) else rows


def view(directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays 16"]:
    """Spherical harmonics, by which colour depends on the direction of view."""
    return harmonics(directions, DIRECTIONS)
