"""Where head and body meet: an edge in a band round jaw and neck that the real frame does not have is a seam."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from likeness.clip import HEAD, PARTS

REACH = 3.0  # pixels at 256² on either side of the border: the blend of head and torso lies within
BODY = (PARTS["neck"], PARTS["torso"])


def band(parts: UInt8[np.ndarray, "full_height full_width"], size: int) -> Bool[np.ndarray, "size size"]:
    """The band of a frame by what its pixels are (`likeness.clip.PARTS`), at another size."""
    head, body = (_small(np.isin(parts, which), size) for which in (HEAD, BODY))
    return border(head, body)


def border(head: Bool[np.ndarray, "height width"], body: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Pixels that lie within REACH of both."""
    reach = round(REACH * head.shape[1] / 256)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    near = [cv2.dilate(part.astype(np.uint8), kernel) > 0 for part in (head, body)]
    return near[0] & near[1]


def error(
    image: UInt8[np.ndarray, "height width 3"],
    real: UInt8[np.ndarray, "height width 3"],
    where: Bool[np.ndarray, "height width"],
) -> float:
    """Mean length of the difference of both pictures' gradients in the band, grey levels a pixel."""
    rows, columns = _around(where)
    change = _gradient(image[rows, columns]) - _gradient(real[rows, columns])
    return float(np.linalg.norm(change, axis=-1)[where[rows, columns]].mean())


def edge(image: UInt8[np.ndarray, "height width 3"], where: Bool[np.ndarray, "height width"]) -> float:
    """Mean length of a picture's own gradient in the band, grey levels a pixel: needs no real frame."""
    rows, columns = _around(where)
    return float(np.linalg.norm(_gradient(image[rows, columns]), axis=-1)[where[rows, columns]].mean())


def _around(where: Bool[np.ndarray, "height width"]) -> tuple[slice, slice]:
    """The part of a picture that the gradient in the band depends on."""
    held = [np.flatnonzero(where.any(axis)) for axis in (1, 0)]
    rows, columns = (slice(max(0, int(at[0]) - 1), int(at[-1]) + 2) for at in held)
    return rows, columns


def _gradient(image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width 2"]:
    """Central differences of the brightness (BT.601)."""
    grey = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return np.stack(np.gradient(grey), axis=-1)


def _small(mask: Bool[np.ndarray, "rows columns"], size: int) -> Bool[np.ndarray, "size size"]:
    return cv2.resize(mask.astype(np.uint8) * 255, (size, size), interpolation=cv2.INTER_AREA) > 127
