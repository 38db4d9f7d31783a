"""What `rasterise` means, in plain PyTorch: compositing 2D Gaussians front to back (Kerbl et al. 2023, eq. 3)."""

import torch
from torch import Tensor

FAINTEST = 1 / 255
"""Where a Gaussian's alpha is below this, it does not exist."""
MOST = 0.999
"""The largest alpha of one Gaussian at one pixel."""
OPAQUE = 1e-4
"""A pixel takes no further Gaussian once its transmittance is below this."""
TILE = 16


def rasterise(
    means2d: Tensor,
    conics: Tensor,
    colors: Tensor,
    opacities: Tensor,
    depths: Tensor,
    radii: Tensor,
    size: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor]:
    """The definition of `likeness.kernels.rasterise`, for any device and precision.

    Picture by picture it is `composite` of all Gaussians, nearest first; going through tiles only leaves out, at each
    pixel, Gaussians that `composite` would give alpha 0 there.
    """
    width, height = size
    determinant = conics[:, 0] * conics[:, 2] - conics[:, 1] ** 2
    solid = (radii > 0) & (opacities > FAINTEST) & (opacities <= 1) & (conics[:, 0] > 0) & (conics[:, 2] > 0)
    solid = solid & (determinant > 0) & means2d.isfinite().all(-1) & depths.isfinite()
    order = solid.nonzero()[:, 0]
    order = order[torch.sort(depths.detach()[order], stable=True).indices]
    low, high = _bounds(means2d.detach()[order], conics.detach()[order], opacities.detach()[order])
    values = torch.cat([colors, torch.ones_like(depths)[:, None], depths[:, None]], -1)
    strips = []
    for top in range(0, height, TILE):
        bottom = min(top + TILE, height)
        in_strip = (low[:, 1] < bottom) & (high[:, 1] > top)
        tiles = []
        for left in range(0, width, TILE):
            right = min(left + TILE, width)
            here = order[in_strip & (low[:, 0] < right) & (high[:, 0] > left)]
            y = torch.arange(top, bottom, dtype=means2d.dtype, device=means2d.device) + 0.5
            x = torch.arange(left, right, dtype=means2d.dtype, device=means2d.device) + 0.5
            pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
            tiles.append(composite(pixels, means2d[here], conics[here], opacities[here], values[here]))
        strips.append(torch.cat(tiles, 1))
    picture = torch.cat(strips, 0)
    return picture[..., :-2], picture[..., -2], picture[..., -1]


def composite(pixels: Tensor, means2d: Tensor, conics: Tensor, opacities: Tensor, values: Tensor) -> Tensor:
    """Composites sorted Gaussians at pixel centres [H W 2]; values [N D] are what is blended. Returns [H W D]."""
    dx, dy = (pixels[:, :, None] - means2d).unbind(-1)
    sigma = 0.5 * (conics[:, 0] * dx * dx + conics[:, 2] * dy * dy) + conics[:, 1] * dx * dy
    alpha = opacities * torch.exp(-sigma)
    alpha = alpha.clamp(max=MOST).where(alpha >= FAINTEST, 0)
    transmittance = torch.cumprod(1 - alpha, -1)
    before = torch.cat([torch.ones_like(transmittance[..., :1]), transmittance[..., :-1]], -1)[..., : alpha.shape[-1]]
    return (alpha * before).where(before >= OPAQUE, 0) @ values


def _bounds(means2d: Tensor, conics: Tensor, opacities: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes outside of which alpha is below FAINTEST, one pixel wider to be safe."""
    a, b, c = conics.unbind(-1)
    reach = 2 * torch.log(opacities / FAINTEST)
    extent = (reach[:, None] * torch.stack([c, a], -1) / (a * c - b * b)[:, None]).sqrt() + 1
    return means2d - extent, means2d + extent
