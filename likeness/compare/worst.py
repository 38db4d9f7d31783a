"""The frames in which a mouth is worst, beside the real ones and everybody else's."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

COUNT = 3  # for each portrait
APART = 12  # frames: half a second on, a mouth says something else
TILE = 200  # pixels
Image = UInt8[np.ndarray, "height width 3"]
Box = tuple[int, int, int, int]


def worst(errors: Sequence[float], frames: Sequence[int]) -> list[int]:
    """The frames of the lowest values (PSNR), worst first, at least APART frames from one another."""
    chosen: list[int] = []
    for i in np.argsort(np.asarray(errors), kind="stable"):
        if len(chosen) < COUNT and all(abs(frames[i] - other) >= APART for other in chosen):
            chosen.append(int(frames[i]))
    return chosen


def close_up(image: Image, face: Box) -> UInt8[np.ndarray, "tile tile 3"]:
    """A square round the face box with a little room, TILE² pixels; moved inwards where the picture ends."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = face
    side = min(round(1.1 * max(x1 - x0, y1 - y0)), width, height)
    left = min(max((x0 + x1 - side) // 2, 0), width - side)
    upper = min(max((y0 + y1 - side) // 2, 0), height - side)
    how = cv2.INTER_AREA if side > TILE else cv2.INTER_CUBIC
    return cv2.resize(image[upper : upper + side, left : left + side], (TILE, TILE), interpolation=how)
