"""What `composite` means, in plain PyTorch: volume rendering (Mildenhall et al. 2020, eq. 3) of samples of many rays."""

import torch
from torch import Tensor

OPAQUE = 1e-4
"""A ray takes no further sample once its transmittance is below this."""


def composite(
    density: Tensor, values: Tensor, widths: Tensor, starts: Tensor, t: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The definition of `likeness.kernels.composite`, for any device and precision: value, alpha, depth and weights."""
    counts = starts.diff()
    n, longest = len(counts), int(counts.max()) if len(counts) else 0
    rays = torch.repeat_interleave(torch.arange(n, device=starts.device), counts)
    place = torch.arange(len(density), device=starts.device) - starts[rays]
    thickness = density.new_zeros(n, longest).index_put((rays, place), density * widths)
    before = torch.exp(-torch.cat([thickness.new_zeros(n, 1), thickness.cumsum(-1)], -1))[:, :longest]
    padded = (before * -torch.expm1(-thickness)).where(before >= OPAQUE, 0)
    weights = padded[rays, place]
    value = values.new_zeros(n, values.shape[1]).index_add(0, rays, weights[:, None] * values)
    depth = weights.new_zeros(n).index_add(0, rays, weights * t)
    return value, padded.sum(-1), depth, weights
