"""Flicker: what changes from frame to frame although nothing moved it (the warping error of Lai et al. 2018).

The next picture is brought back by the optical flow of the real frames (DIS, Kroeger et al. 2016) and compared with this
one wherever the flow holds both ways: what the real person's movement does not explain remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

Image = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Flow:
    """From a frame to the next one."""

    to: Float[np.ndarray, "height width 2"]
    """Where each pixel of the frame is in the next one, x and y."""
    holds: Bool[np.ndarray, "height width"]
    """Pixels that are seen in both: there and back again ends near where it began (Sundaram et al. 2010, equation 5)."""


def flow(image: Image, following: Image) -> Flow:
    """Dense flow by OpenCV."""
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    a, b = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (image, following))
    height, width = a.shape
    there, back = estimator.calc(a, b, None), estimator.calc(b, a, None)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    to = np.stack([x, y], axis=-1) + there
    back = _brought(back, to)
    inside = ((to >= 0) & (to <= np.array([width - 1, height - 1]))).all(-1)
    lengths = np.square(there).sum(-1) + np.square(back).sum(-1)
    return Flow(to, inside & (np.square(there + back).sum(-1) < 0.01 * lengths + 0.5))


def flows(pictures: Sequence[Image], follows: Bool[np.ndarray, " pairs"]) -> list[Flow | None]:
    """Of each pair of neighbours; None where `follows` says that the second is not the next moment of the first."""
    return [flow(pictures[t], pictures[t + 1]) if follows[t] else None for t in range(len(pictures) - 1)]


def warping_errors(pictures: Sequence[Image], moved: Sequence[Flow | None]) -> Float[np.ndarray, " pairs"]:
    """Root of the mean squared difference (RGB, grey levels of 255) of each pair where the flow holds, in order. Pairs
    without a flow, or in which it holds nowhere, are left out."""
    found = []
    for image, following, way in zip(pictures, pictures[1:], moved):
        if way is None or not way.holds.any():
            continue
        back = _brought(following.astype(np.float32), way.to)
        found.append(np.sqrt(np.square(back - image)[way.holds].mean()))
    return np.array(found, np.float64)


def _brought(
    values: Float[np.ndarray, "height width channels"], to: Float[np.ndarray, "height width 2"]
) -> Float[np.ndarray, "height width channels"]:
    """The values at `to`, linear in between; the border is repeated."""
    x, y = np.ascontiguousarray(to[..., 0]), np.ascontiguousarray(to[..., 1])
    return cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
