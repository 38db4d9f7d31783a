"""What `project` means, in plain PyTorch: EWA splatting (Zwicker et al. 2001) as in Kerbl et al. 2023 and gsplat."""

import torch
from torch import Tensor
from torch.nn import functional as F

NEAR = 0.01
"""Nearer than this (metres) a Gaussian is culled."""
LOW_PASS = 0.3
"""Added to the picture covariance (square pixels), so that no Gaussian falls between pixels."""
MARGIN = 0.15
"""Beyond the picture by this share of its size, the affine approximation is taken at the limit instead."""


def slope_limits(
    focal: tuple[float, float], centre: tuple[float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Smallest and largest x/z, smallest and largest y/z at which the projection is linearised (as in gsplat)."""
    (fx, fy), (cx, cy), (width, height) = focal, centre, size
    left, right = -cx / fx - MARGIN * width / fx, (width - cx) / fx + MARGIN * width / fx
    top, bottom = -cy / fy - MARGIN * height / fy, (height - cy) / fy + MARGIN * height / fy
    return left, right, top, bottom


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotation matrices [N 3 3] of quaternions w x y z [N 4] of any length."""
    w, x, y, z = F.normalize(quats, dim=-1, eps=1e-6).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(*quats.shape[:-1], 3, 3)


def project(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    viewmat: Tensor,
    focal: tuple[float, float],
    centre: tuple[float, float],
    size: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The definition of `likeness.kernels.project`, for any device and precision."""
    (fx, fy), (cx, cy), (width, height) = focal, centre, size
    viewmat = viewmat.to(means)
    x, y, depth = (means @ viewmat[:3, :3].T + viewmat[:3, 3]).unbind(-1)
    ahead = (depth > NEAR) & (depth < 1e30)
    x, y, z = x.where(ahead, 0), y.where(ahead, 0), depth.where(ahead, 1)

    left, right, top, bottom = slope_limits(focal, centre, size)
    u, v = (x / z).clamp(left, right), (y / z).clamp(top, bottom)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([fx / z, zero, -fx * u / z, zero, fy / z, -fy * v / z], -1).reshape(-1, 2, 3)
    axes = jacobian @ viewmat[:3, :3] @ rotation_matrices(quats) * scales[:, None, :]
    covariance = axes @ axes.mT
    xx, xy, yy = covariance[:, 0, 0] + LOW_PASS, covariance[:, 0, 1], covariance[:, 1, 1] + LOW_PASS
    determinant = xx * yy - xy * xy
    middle = (xx + yy) / 2
    radius = (3 * (middle + ((xx - yy) ** 2 / 4 + xy**2).sqrt()).sqrt()).ceil().detach()

    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
    inside = (means2d + radius[:, None] > 0).all(-1) & (means2d[:, 0] - radius < width)
    visible = ahead & inside & (means2d[:, 1] - radius < height) & (determinant > 0) & (radius < 1e9)
    conics = torch.stack([yy, -xy, xx], -1) / determinant.where(determinant > 0, 1)[:, None]
    return (
        means2d.where(visible[:, None], 0),
        conics.where(visible[:, None], 0),
        z.where(visible, 0),
        radius.where(visible, 0).to(torch.int32),
    )
