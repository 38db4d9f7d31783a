"""Parts of pictures to compare: random patches.

TalkingGaussian (Li et al. 2024) compares patches of 32 to 42 and of 64 to 96 pixels, of another size at each step, so that
no seam stays in one place.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor


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
