"""A head over what is behind it, in one pass."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from likeness.kernels.compiled import compiled


def over(
    rgb: Float[np.ndarray, "height width 3"],
    alpha: Float[np.ndarray, "height width"],
    under: UInt8[np.ndarray, "height width 3"],
) -> UInt8[np.ndarray, "height width 3"]:
    """Premultiplied colours 0..1 over a picture; clipped and rounded."""
    out = np.empty_like(under)
    _over(rgb.reshape(-1, 3), alpha.reshape(-1), under.reshape(-1, 3), out.reshape(-1, 3))
    return out


@compiled()
def _over(rgb, alpha, under, out):
    for i in range(len(alpha)):
        seen = np.float32(1) - alpha[i]
        for c in range(3):
            value = rgb[i, c] * np.float32(255) + seen * np.float32(under[i, c]) + np.float32(0.5)
            out[i, c] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))
