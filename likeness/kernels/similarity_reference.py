"""What `ssim` means, in plain PyTorch: structural similarity (Wang et al. 2004) as Kerbl et al. 2023 train with it."""

import torch
from torch import Tensor
from torch.nn import functional as F


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """The map [B H W C] of structural similarity of pictures [B H W C], for any device and precision."""
    channels = a.shape[-1]
    offsets = torch.arange(-5, 6, device=a.device, dtype=torch.float64)
    curve = torch.exp(-(offsets**2) / (2 * 1.5**2))
    curve = (curve / curve.sum()).to(a.dtype)
    window = torch.outer(curve, curve).expand(channels, 1, 11, 11)

    def blur(picture: Tensor) -> Tensor:
        return F.conv2d(picture, window, padding=5, groups=channels)

    a, b = a.permute(0, 3, 1, 2), b.permute(0, 3, 1, 2)
    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    bottom = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return (top / bottom).permute(0, 2, 3, 1)
