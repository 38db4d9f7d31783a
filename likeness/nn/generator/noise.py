"""White noise that hangs on a seed and the place in the sound alone, so that chunks do not show."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

BLOCK = 64  # latents that are drawn together
WORD = 1 << 64


def noise(seed: int, first: int, last: int, dim: int) -> Float[Tensor, "dim latents"]:
    """Standard normal numbers of the latents first .. last-1, which may lie before 0, by Philox keyed by seed and block."""
    blocks = range(first // BLOCK, (last - 1) // BLOCK + 1)
    drawn = [_block(seed, block, dim) for block in blocks]
    start = first - BLOCK * blocks[0]
    return torch.from_numpy(np.concatenate(drawn)[start : start + last - first].T.copy())


def _block(seed: int, block: int, dim: int) -> Float[np.ndarray, "block dim"]:
    key = np.array([seed % WORD, block % WORD], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).standard_normal((BLOCK, dim), np.float32)
