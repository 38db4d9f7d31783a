"""Sketches: where lips and jaw are to be, drawn. One way of drawing, in training and in use.

HyperLips (Chen et al. 2023) draws white lines through landmarks that a detector finds in each made face, one way in training
and another in use; its lips tremble with the detector. Here the points come from the shape that was asked for.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.nn.hyper.mouth import jaw_of, lips_of
from likeness.nn.hyper.settings import GUIDES, SIDE

SHIFT = 4  # bits of a pixel's fractions that OpenCV draws with
LINE = 2  # pixels


def drawn(mouths: Float[Tensor, "n mouth 2"]) -> Float[Tensor, "n guides 128 128"]:
    """Sketches of the points `mouth.MOUTH`, in the unit of the square: the lips filled, the mouth's inside filled, the jaw's
    line; 0..1, edges smooth."""
    made = np.zeros((len(mouths), GUIDES, SIDE, SIDE), np.uint8)
    for picture, mouth in zip(made, mouths):
        outer, inner = (_pixels(ring) for ring in lips_of(mouth))
        cv2.fillPoly(picture[0], [outer], (255,), cv2.LINE_AA, SHIFT)
        cv2.fillPoly(picture[1], [inner], (255,), cv2.LINE_AA, SHIFT)
        np.subtract(picture[0], np.minimum(picture[0], picture[1]), out=picture[0])
        cv2.polylines(picture[2], [_pixels(jaw_of(mouth))], False, (255,), LINE, cv2.LINE_AA, SHIFT)
    return torch.from_numpy(made.astype(np.float32) / 255)


def _pixels(points: Float[Tensor, "n 2"]) -> np.ndarray:
    """For OpenCV, which counts from the middle of the first pixel, in fixed point."""
    return np.round((points.numpy() * SIDE - 0.5) * 2**SHIFT).astype(np.int32)
