"""MS-SSIM: structural similarity over five sizes of the picture (Wang, Simoncelli and Bovik 2003)."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

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
    a, b = (x.astype(np.float32) / 255 for x in (image, real))
    found = np.ones(3)
    for j, weight in enumerate(WEIGHTS):
        if j:
            a, b = _halved(a), _halved(b)
        luminance, contrast = _parts(a, b)
        alike = contrast if j + 1 < len(WEIGHTS) else luminance * contrast
        # A negative mean has no real root: opposite structure counts as none at all.
        found *= alike.mean((0, 1), dtype=np.float64).clip(min=0) ** weight
    return float(found.mean())


def _parts(
    a: Float[np.ndarray, "height width 3"], b: Float[np.ndarray, "height width 3"]
) -> tuple[Float[np.ndarray, "rows columns 3"], Float[np.ndarray, "rows columns 3"]]:
    """Luminance, and contrast times structure, around each place: equations 1 to 3 with C3 = C2 / 2."""
    mean_a, mean_b, aa, bb, ab = (_blur(x) for x in (a, b, a * a, b * b, a * b))
    variances, covariance = aa - mean_a**2 + bb - mean_b**2, ab - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return luminance, (2 * covariance + C2) / (variances + C2)


def _blur(x: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "rows columns 3"]:
    offsets = np.arange(WINDOW) - WINDOW // 2
    taps = np.exp(-(offsets**2) / (2 * SIGMA**2))
    taps /= taps.sum()
    inside = slice(WINDOW // 2, -(WINDOW // 2))
    return cv2.sepFilter2D(x, -1, taps, taps)[inside, inside]


def _halved(x: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "rows columns 3"]:
    """The mean of each 2 x 2 pixels; an odd last row or column is left out."""
    rows, columns = x.shape[0] // 2, x.shape[1] // 2
    return cv2.resize(x[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA)
