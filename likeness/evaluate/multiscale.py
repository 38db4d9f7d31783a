"""MS-SSIM: structural similarity over five sizes of the picture (Wang, Simoncelli and Bovik 2003)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five sizes, fine to coarse: section 3.2 of the paper."""
WINDOW, SIGMA = 11, 1.5
SMALLEST = WINDOW * 2 ** (len(WEIGHTS) - 1)
"""Pixels to a side that the coarsest window needs: 176."""
C1, C2 = 0.01**2, 0.03**2  # for values in 0 .. 1


def ms_ssim(image: UInt8[np.ndarray, "height width 3"], real: UInt8[np.ndarray, "height width 3"]) -> float:
    """Equation 7 of the paper for each of RGB, then their mean: contrast and structure at every size, luminance at the
    coarsest. Windows lie wholly within the picture. Raises ValueError under 176 pixels to a side."""
    if min(image.shape[:2]) < SMALLEST:
        raise ValueError(f"ms_ssim: {image.shape[1]} x {image.shape[0]}; {SMALLEST} pixels to a side are needed")
    a, b = (torch.from_numpy(np.array(x, np.float32)).permute(2, 0, 1)[:, None] / 255 for x in (image, real))
    found = torch.ones(3)
    for j, weight in enumerate(WEIGHTS):
        if j:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        luminance, contrast = _parts(a, b)
        alike = contrast if j + 1 < len(WEIGHTS) else luminance * contrast
        # A negative mean has no real root: opposite structure counts as none at all.
        found = found * alike.mean((1, 2, 3)).clamp_min(0) ** weight
    return float(found.mean())


def _parts(
    a: Float[Tensor, "3 1 height width"], b: Float[Tensor, "3 1 height width"]
) -> tuple[Float[Tensor, "3 1 rows columns"], Float[Tensor, "3 1 rows columns"]]:
    """Luminance, and contrast times structure, around each place: equations 1 to 3 with C3 = C2 / 2."""
    mean_a, mean_b, aa, bb, ab = (_blur(x) for x in (a, b, a * a, b * b, a * b))
    variances, covariance = aa - mean_a**2 + bb - mean_b**2, ab - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return luminance, (2 * covariance + C2) / (variances + C2)


def _blur(x: Float[Tensor, "3 1 height width"]) -> Float[Tensor, "3 1 rows columns"]:
    offsets = torch.arange(WINDOW, dtype=torch.float32) - WINDOW // 2
    taps = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    taps = taps / taps.sum()
    return F.conv2d(F.conv2d(x, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))
