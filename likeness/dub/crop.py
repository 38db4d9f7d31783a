"""A square cut out of a picture, turned upright, and put back: one similarity and its exact inverse.

Points are in the project's convention (0, 0 is the corner of the picture, the first pixel's middle is at .5, .5).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Number = int | float | np.floating


@dataclass(frozen=True)
class Place:
    """A square in a picture, in its pixels."""

    x: Number
    """Its middle."""
    y: Number
    side: Number
    turn: Number
    """Radians, clockwise as seen: the direction of its upper edge."""

    def to_picture(self, points: Float[np.ndarray, "*n 2"], size: int) -> Float[np.ndarray, "*n 2"]:
        """Points in pixels of the crop of side `size`, in pixels of the picture."""
        matrix = self.matrix(size)
        return points @ matrix[:, :2].T + matrix[:, 2]

    def to_crop(self, points: Float[np.ndarray, "*n 2"], size: int) -> Float[np.ndarray, "*n 2"]:
        """The inverse of `to_picture`."""
        matrix = self.matrix(size)
        turned = matrix[:, :2]  # a similarity's inverse is its transpose over its square
        return (points - matrix[:, 2]) @ (turned / (turned[0] @ turned[0]))

    def matrix(self, size: int) -> Float[np.ndarray, "2 3"]:
        """From points of the crop to points of the picture."""
        scale = self.side / size
        cos, sin = scale * np.cos(self.turn), scale * np.sin(self.turn)
        turned = np.array([[cos, -sin], [sin, cos]])
        return np.concatenate([turned, (np.array([self.x, self.y]) - turned @ [size / 2, size / 2])[:, None]], 1)

    def window(
        self, width: int, height: int, margin: int = 1, part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    ) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the pixels within `margin` of the square, in a picture of this size; it is empty
        (right <= left or bottom <= top) where the square lies wholly outside. `part`: of the square, by its sides."""
        x, y, x1, y1 = part
        corners = self.to_picture(np.array([[x, y], [x1, y], [x1, y1], [x, y1]]), 1)
        low, high = np.floor(corners.min(0) - margin).astype(int), np.ceil(corners.max(0) + margin).astype(int)
        return max(0, int(low[0])), max(0, int(low[1])), min(width, int(high[0])), min(height, int(high[1]))


def cut_out(image: UInt8[np.ndarray, "height width 3"], place: Place, size: int) -> Float[np.ndarray, "size size 3"]:
    """The square at `size`², RGB 0 .. 1. Beyond the picture its edge is repeated.

    A square more than twice as large is first averaged by a whole factor: bilinear sampling alone would skip pixels.
    """
    factor = max(1, int(place.side / size))
    left, top, right, bottom = place.window(image.shape[1], image.shape[0], 2 * factor)
    if right <= left or bottom <= top:  # wholly outside: the nearest edge
        left, top = min(max(left, 0), image.shape[1] - 1), min(max(top, 0), image.shape[0] - 1)
        right, bottom = max(right, left + 1), max(bottom, top + 1)
    part = image[top:bottom, left:right].astype(np.float32) / 255
    if factor > 1:
        part = cv2.copyMakeBorder(part, 0, -part.shape[0] % factor, 0, -part.shape[1] % factor, cv2.BORDER_REPLICATE)
        part = cv2.resize(part, (part.shape[1] // factor, part.shape[0] // factor), interpolation=cv2.INTER_AREA)
    matrix = place.matrix(size)
    matrix[:, 2] -= (left, top)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(part, _centred(matrix / factor), (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def laid_back(
    crop: Float[np.ndarray, "size size *channels"], place: Place, window: tuple[int, int, int, int], border: int
) -> Float[np.ndarray, "height width *channels"]:
    """A crop as it lies in a window (left, top, right, bottom) of the picture; bilinear.

    Outside the square: what `border` (a cv2.BORDER_) says, its edge or nothing.
    """
    left, top, right, bottom = window
    matrix = place.matrix(crop.shape[0])
    matrix[:, 2] -= (left, top)
    shape = (right - left, bottom - top)
    return cv2.warpAffine(crop, _centred(matrix), shape, flags=cv2.INTER_LINEAR, borderMode=border)


def _centred(matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """For OpenCV, which counts from the middle of the first pixel."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    return shifted
