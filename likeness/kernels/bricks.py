"""Densities and colours that were worked out once and are kept in bricks: the operator `bricks`."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int32, UInt8
from torch import Tensor
from torch.library import custom_op

from likeness.kernels import bricks_reference
from likeness.kernels.arrays import readable
from likeness.kernels.bricks_cpu import look_up
from likeness.kernels.bricks_reference import ABSENT, CHANNELS, EMPTY, UNKNOWN
from likeness.kernels.parallel import parallel

__all__ = ["ABSENT", "CHANNELS", "EMPTY", "UNKNOWN", "Kept", "bricks"]


class Kept(NamedTuple):
    """What bricks tell of samples."""

    density: Float[Tensor, " m"]
    color: Float[Tensor, "m 3"]
    brick: Int32[Tensor, " m"]
    """Of each sample that was looked up, what `index` holds there; EMPTY for those that are hidden, too."""


def bricks(
    xyz: Float[Tensor, "m 3"],
    rays_start: Int[Tensor, " rays"],
    directions: Float[Tensor, "n 3"],
    apart: UInt8[Tensor, " m"],
    index: Int32[Tensor, "cells cells cells"],
    nodes: Float[Tensor, "kept side side side 10"],
    step: float,
    hidden: float,
) -> Kept:
    """Looks up samples of rays, given from near to far, in bricks over the cells of the cube [-1, 1]³.

    index[x, y, z] numbers the cell's brick, or is EMPTY (density 0), ABSENT (to be worked out otherwise), or UNKNOWN. A
    brick holds nodes [z y x] that reach from one corner of its cell to the other, interpolated linearly: the
    logarithm of density, the colour of a view along z, and its change with the view's x and y (3 numbers each). A ray
    ends where its optical depth, by densities times step of bricks alone, passes `hidden`. Samples that are `apart` (not 0)
    or beyond the cube are ABSENT. What is not in a brick has density and colour 0.

    There is no gradient, and the result is the same on any number of threads. Raises ValueError where shapes do not match.
    """
    m, n = len(xyz), len(directions)
    if len(apart) != m or len(rays_start) != n + 1:
        raise ValueError(f"bricks: {m} samples given, but {len(apart)} marks, and {len(rays_start) - 1} of {n} rays")
    if int(rays_start[0]) != 0 or int(rays_start[-1]) != m or bool((rays_start.diff() < 0).any()):
        raise ValueError(f"bricks: starts must go from 0 up to the {m} samples and never back")
    if (
        len({*index.shape}) != 1
        or not len(index)
        or len({*nodes.shape[1:4]}) != 1
        or nodes.shape[1] < 2
        or nodes.shape[4] != CHANNELS
    ):
        raise ValueError(f"bricks: cubes of cells and of two nodes a side wanted, not {(*index.shape,)} and {(*nodes.shape,)}")
    if int(index.max()) >= len(nodes):
        raise ValueError(f"bricks: a cell has the brick {int(index.max())} of {len(nodes)}")
    given = xyz.detach(), rays_start, directions.detach(), apart, index, nodes.detach()
    if xyz.device.type != "cpu":
        return Kept(*bricks_reference.bricks(*given, step, hidden))
    return Kept(*_bricks(*given, step, hidden))


@custom_op("likeness::bricks", mutates_args=(), device_types="cpu")
def _bricks(
    xyz: Tensor,
    rays_start: Tensor,
    directions: Tensor,
    apart: Tensor,
    index: Tensor,
    nodes: Tensor,
    step: float,
    hidden: float,
) -> tuple[Tensor, Tensor, Tensor]:
    samples = readable(xyz), readable(rays_start.long()), readable(directions), readable(apart)
    with parallel() as workers:
        found = look_up(*samples, readable(index), readable(nodes), np.float32(step), np.float32(hidden), workers)
    density, color, brick = map(torch.from_numpy, found)
    return density, color, brick
