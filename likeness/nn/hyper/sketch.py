"""Sketches: where lips and jaw are to be, drawn. One way of drawing, in training and in use.

HyperLips (Chen et al. 2023) draws white lines through landmarks that a detector finds in each made face, one way in training
and another in use; its lips tremble with the detector. Here the points of mouth and jaw come from the shape that was asked for,
those of eyes, brows and nose, which `lined` draws as the paper does, from the frame that is seen: they lie in rows that are not
hidden, so they tell nothing that the picture does not.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.mesh import LEFT_BROW, LEFT_EYE, NOSE_RIDGE, NOSTRILS, RIGHT_BROW, RIGHT_EYE
from likeness.nn.hyper.mouth import jaw_of, lips_of
from likeness.nn.hyper.settings import GUIDES, SIDE

SHIFT = 4  # bits of a pixel's fractions that OpenCV draws with
LINE = 2  # pixels
WHITE_LINE = 6  # pixels, of the paper's lines
BROW = len(RIGHT_BROW) // 2  # points of its lower edge, and of its upper one
RINGS = (RIGHT_EYE, LEFT_EYE, NOSTRILS)
OPEN = (RIGHT_BROW[:BROW], RIGHT_BROW[BROW:], LEFT_BROW[:BROW], LEFT_BROW[BROW:], NOSE_RIDGE)
BESIDE = ((162, 127, 234), (454, 356, 389))
"""Of the face's oval, from the temples to before the ears: between them is the jaw's line. What lies between ear and jaw (93,
323) is left out: it is beside the mouth."""
UPPER = tuple(point for line in (*RINGS, *OPEN, *BESIDE) for point in line)
"""The points that are taken from the frame that is seen; some bound two lines."""


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


def lined(mouths: Float[Tensor, "n mouth 2"], uppers: Float[Tensor, "n upper 2"]) -> Float[Tensor, "n guides 128 128"]:
    """The paper's sketches: white lines of lips, eyes, brows, nose and oval without the forehead, as thick as it draws them on
    128 pixels, in every channel alike; 0..1, edges smooth. `uppers` are the points `UPPER`."""
    made = np.zeros((len(mouths), SIDE, SIDE), np.uint8)
    for picture, mouth, upper in zip(made, mouths, uppers):
        lines = upper.split([len(line) for line in (*RINGS, *OPEN, *BESIDE)])
        *opened, before, behind = lines[len(RINGS) :]
        oval = torch.cat([before, jaw_of(mouth), behind])
        for rings, closed in (((*lines[: len(RINGS)], *lips_of(mouth)), True), ((*opened, oval), False)):
            cv2.polylines(picture, [_pixels(line) for line in rings], closed, (255,), WHITE_LINE, cv2.LINE_AA, SHIFT)
    return torch.from_numpy(made.astype(np.float32) / 255)[:, None].repeat(1, GUIDES, 1, 1)


def _pixels(points: Float[Tensor, "n 2"]) -> np.ndarray:
    """For OpenCV, which counts from the middle of the first pixel, in fixed point."""
    return np.round((points.numpy() * SIDE - 0.5) * 2**SHIFT).astype(np.int32)
