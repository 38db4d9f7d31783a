"""Parts of pictures to compare: random patches, and a box that is large enough to be looked at.

TalkingGaussian (Li et al. 2024) compares patches of 32 to 42 and of 64 to 96 pixels, of another size at each step, so that
no seam stays in one place.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from likeness.nn.perceptual import SMALLEST

Box = tuple[int, int, int, int]


def random_patches(
    pictures: Float[Tensor, "pictures height width channels"], sides: tuple[int, int], rng: np.random.Generator
) -> Float[Tensor, "pictures patches side side channels"]:
    """Every picture cut from its upper left corner into the same patches that do not overlap, of a random even side.

    `sides` are the smallest and the largest, both possible; what is left over at the right and below belongs to no patch.
    Give the drawn and the real picture as one stack. Raises ValueError where no even side fits the range and the pictures.
    """
    height, width = pictures.shape[1:3]
    even = np.arange(sides[0] + sides[0] % 2, min(sides[1], height, width) + 1, 2)
    if not len(even):
        raise ValueError(f"random_patches: no even side from {sides[0]} to {sides[1]} fits pictures of {width} x {height}")
    side = int(rng.choice(even))
    cut = pictures.unfold(1, side, side).unfold(2, side, side)  # pictures rows columns channels side side
    return cut.permute(0, 1, 2, 4, 5, 3).flatten(1, 2)


def crop_box(box: Box, size: tuple[int, int], smallest: int = SMALLEST) -> Box:
    """A box (x0, y0, x1, y1; the last two exclusive) grown round its middle to `smallest` pixels to a side, and within a
    picture of `size` (width, height), whatever it was: beside the picture, empty, or with corners exchanged.

    Raises ValueError for a picture smaller than that.
    """
    if min(size) < smallest:
        raise ValueError(f"crop_box: a picture of {size[0]} x {size[1]} holds no box of {smallest} pixels")
    left, right = _span(box[0], box[2], size[0], smallest)
    top, bottom = _span(box[1], box[3], size[1], smallest)
    return left, top, right, bottom


def _span(start: int, stop: int, limit: int, smallest: int) -> tuple[int, int]:
    start, stop = max(min(start, stop), 0), min(max(start, stop), limit)
    if stop - start < smallest:
        start = (start + stop - smallest) // 2
        start = max(0, min(start, limit - smallest))
        stop = start + smallest
    return start, stop
