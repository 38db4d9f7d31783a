"""Where rays are sampled: the operators `march` and `sample_positions`."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.library import custom_op

from likeness.kernels import marching_reference
from likeness.kernels.arrays import readable
from likeness.kernels.marching_cpu import march_rays, place
from likeness.kernels.parallel import parallel

FINEST = 2**-18
"""The smallest step, as a share of the box's diagonal: finer ones would be lost on distances in float32."""
ROOM = 2**26
"""Samples that there is room for at a time; more rays than have that are marched in parts."""


class Samples(NamedTuple):
    """Samples of all rays, one ray after the other, each from near to far."""

    t: Float[Tensor, " m"]
    """Distance along the ray, in units of its direction."""
    rays_start: Int[Tensor, " rays"]
    """Where each ray's samples begin [n + 1], int64: those of ray i are rays_start[i] to rays_start[i + 1]."""


def march(
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    occupancy: Bool[Tensor, "rx ry rz"] | UInt8[Tensor, "rx ry rz"],
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    step: float,
    most: int,
    jitter: Float[Tensor, " n"] | None = None,
    near: float = 0.0,
) -> Samples:
    """Samples rays where a grid is occupied (Müller et al. 2022, appendix E.1; radnerf.md 5.2).

    The grid's cells (x, y, z) fill the box from low to high evenly. Along a ray with a direction of length 1 the
    candidates are at begin + (k + jitter) step, k = 0, 1, 2 ...; begin is where it enters the box, or near where that is
    farther. Those within the box whose cell is not zero are kept, the nearest `most` of them. jitter is in 0..1, one
    number per ray; without it, samples are in the middle of their steps (1/2). Nothing else decides: cells that are
    passed over are passed over exactly. Rays with numbers that are not finite have no samples, nor have those that leave
    the box a million steps away.

    There is no gradient, and the result is the same on any number of threads. Raises ValueError for a box without volume,
    shapes that do not match, a step that is not positive (or below 2^-18 of the diagonal), most < 1 or near < 0.
    """
    diagonal = math.dist(low, high)
    if not (all(a < b for a, b in zip(low, high, strict=True)) and math.isfinite(diagonal)) or 0 in occupancy.shape:
        raise ValueError(
            f"march: a box with cells wanted, but it goes from {low} to {high} with {tuple(occupancy.shape)} cells"
        )
    if occupancy.numel() >= 2**31:
        raise ValueError(f"march: a grid of fewer than 2^31 cells wanted, not {tuple(occupancy.shape)}")
    if not diagonal * FINEST < step < math.inf:
        raise ValueError(
            f"march: step must be positive and not vanish beside the box's diagonal of {diagonal:.3g}, but is {step}"
        )
    if most < 1 or not 0 <= near < math.inf:
        raise ValueError(f"march: at least one sample a ray and a near of at least 0 wanted, not most={most} and near={near}")
    if origins.shape != directions.shape or (jitter is not None and jitter.shape != origins.shape[:1]):
        shapes = [tuple(tensor.shape) for tensor in (origins, directions, jitter) if tensor is not None]
        raise ValueError(f"march: as many origins, directions and jitters wanted, not {shapes}")
    origins, directions = origins.detach(), directions.detach()
    jitter = torch.full_like(origins[:, 0], 0.5) if jitter is None else jitter.detach()
    if origins.device.type != "cpu":
        return Samples(*marching_reference.march(origins, directions, occupancy, low, high, step, most, jitter, near))
    occupied = occupancy if occupancy.dtype == torch.bool else occupancy != 0
    return Samples(*_march(origins, directions, occupied, [*low], [*high], step, most, jitter, near))


@custom_op("likeness::march", mutates_args=(), device_types="cpu")
def _march(
    origins: Tensor,
    directions: Tensor,
    occupied: Tensor,
    low: list[float],
    high: list[float],
    step: float,
    most: int,
    jitter: Tensor,
    near: float,
) -> tuple[Tensor, Tensor]:
    # Even the shortest directions allowed have no more lattice points within the box.
    most = min(most, int(2 * math.dist(low, high) / step) + 2)
    box = readable(occupied).view(np.uint8), np.array([low, high], np.float32)
    how = np.float32(step), most, np.float32(near)
    rays = readable(origins), readable(directions), readable(jitter)
    part = max(ROOM // most, 1)
    with parallel() as workers:
        found = []
        for i in range(0, max(len(origins), 1), part):
            piece = rays[0][i : i + part], rays[1][i : i + part], rays[2][i : i + part]
            found.append(march_rays(*piece, *box, *how, workers))
    if len(found) == 1:
        return torch.from_numpy(found[0][0]), torch.from_numpy(found[0][1])
    t = torch.cat([torch.from_numpy(distances) for distances, _ in found])
    counts = torch.cat([torch.from_numpy(starts).diff() for _, starts in found])
    return t, torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def sample_positions(
    samples: Samples, origins: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, "m 3"], Int[Tensor, " m"]]:
    """Positions of samples, origin + t direction, and the number of each one's ray (int64). There is no gradient."""
    t, rays_start = samples
    if len(rays_start) != len(origins) + 1 or origins.shape != directions.shape or rays_start[-1] != len(t):
        raise ValueError(
            f"sample_positions: {len(t)} samples of {len(rays_start) - 1} rays given, but {len(origins)} origins and "
            f"{len(directions)} directions"
        )
    origins, directions = origins.detach(), directions.detach()
    if t.device.type != "cpu":
        rays = torch.repeat_interleave(torch.arange(len(origins), device=t.device), rays_start.diff())
        return origins[rays] + t[:, None] * directions[rays], rays
    return _sample_positions(t.detach(), rays_start, origins, directions)


@custom_op("likeness::sample_positions", mutates_args=(), device_types="cpu")
def _sample_positions(t: Tensor, rays_start: Tensor, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    with parallel():
        arrays = place(*map(readable, (t, rays_start, origins, directions)))
    positions, rays = map(torch.from_numpy, arrays)
    return positions, rays
