"""What `march` means, in plain PyTorch: lattice points along rays, kept where a grid is occupied (Müller et al. 2022, E.1)."""

import torch
from torch import Tensor

FARTHEST = 1e6
"""How many steps away a ray may leave the box: farther on, float32 would not tell its samples apart."""
SHORTEST = 0.25
"""The square of the shortest direction: a ray with a shorter one, which is not a unit vector, has no samples."""
RAYS = 4096
"""Rays at a time: every lattice point of all of them is in memory at once."""


def march(
    origins: Tensor,
    directions: Tensor,
    occupancy: Tensor,
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    step: float,
    most: int,
    jitter: Tensor,
    near: float,
) -> tuple[Tensor, Tensor]:
    """The definition of `likeness.kernels.march`, for any device: distances [m] and offsets [n + 1].

    Every product and every sum is rounded to float32, none fused: a body that does the same gives the same samples, to the
    last bit.
    """
    pieces = zip(origins.split(RAYS), directions.split(RAYS), jitter.split(RAYS))
    found = [_march(*piece, occupancy != 0, low, high, step, most, near) for piece in pieces]
    counts = torch.cat([count for _, count in found]) if found else origins.new_zeros(0, dtype=torch.long)
    t = torch.cat([distances for distances, _ in found]) if found else origins.new_zeros(0)
    return t, torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _march(origins, directions, jitter, occupied, low, high, step, most, near) -> tuple[Tensor, Tensor]:
    o, d, shift = origins.float(), directions.float(), jitter.float()
    low, high, shape, step, near = (o.new_tensor(numbers) for numbers in (low, high, occupied.shape, step, near))
    begin, end = crossing(o, d, low, high, near)
    good = torch.cat([o, d, shift[:, None]], -1).isfinite().all(-1)
    good = (
        good & (d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1] + d[:, 2] * d[:, 2] >= SHORTEST) & (begin < end) & (end < FARTHEST * step)
    )
    lengths = ((end - begin) / step - shift).ceil().where(good, 0)
    k = torch.arange(int(lengths.max().clamp(min=0)) if len(lengths) else 0, device=o.device)
    t = begin[:, None] + (k.float() + shift[:, None]) * step
    u = (o[:, None] + t[..., None] * d[:, None] - low) * (shape / (high - low))
    inside = ((u >= 0) & (u < shape)).all(-1) & (k < lengths[:, None])
    x, y, z = u.where(inside[..., None], 0).long().unbind(-1)
    kept = inside & occupied[x, y, z]
    kept = kept & (kept.cumsum(-1) <= most)
    return t[kept], kept.sum(-1)


def crossing(origins: Tensor, directions: Tensor, low: Tensor, high: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
    """Distances at which rays enter the box (not before `near`) and leave it; those that miss leave before they enter."""
    a, b = (low - origins) / directions, (high - origins) / directions
    first, last = torch.minimum(a, b), torch.maximum(a, b)
    parallel, beside = directions == 0, (origins < low) | (origins >= high)
    infinity = torch.full_like(first, float("inf"))
    first = torch.where(parallel, torch.where(beside, infinity, -infinity), first)
    last = torch.where(parallel, torch.where(beside, -infinity, infinity), last)
    return first.amax(-1).clamp(min=near), last.amin(-1)
