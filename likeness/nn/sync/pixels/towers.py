"""The towers of Wav2Lip's sync expert (Prajwal et al. 2020): five pictures, or 16 columns of mel, to 512 numbers.

That of pictures in two sizes: for lower halves of 96 pixels, as published there, and of 128, as HyperLips enlarged it (Chen et
al. 2023). None of the numbers is negative, so a cosine of two is a probability.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

FRAMES = 5
"""Of a window."""


class Block(nn.Module):
    """Convolution, BatchNorm, the input added where it is residual, ReLU (as the original's)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int | tuple[int, int] = 1,
        padding: int = 1,
        rest: bool = False,
    ) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(inputs, outputs, kernel, stride, padding)
        self.norm = nn.BatchNorm2d(outputs)
        self.rest = rest

    def forward(self, x: Float[Tensor, "n inputs height width"]) -> Float[Tensor, "n outputs lower narrower"]:
        y = self.norm(self.convolve(x))
        return torch.relu(y + x if self.rest else y)


def lip_tower_96() -> nn.Sequential:
    """15 x 48 x 96 → 32 x 48 x 96 → 64 x 46 x 47 → 128 x 23 x 24 → 256 x 12 x 12 → 512 x 6 x 6 → 512 x 3 x 3 → 512."""
    return nn.Sequential(*_lips_begin(), Block(512, 512, 3, 2), Block(512, 512, 3, 1, 0), *_end())


def lip_tower_128() -> nn.Sequential:
    """15 x 64 x 128 → 32 x 64 x 128 → 64 x 62 x 63 → 128 x 31 x 32 → 256 x 16 x 16 → 512 x 8 x 8 → 512 x 4 x 4 → 512."""
    return nn.Sequential(*_lips_begin(), Block(512, 512, 3, 2), *_rest(512, 2), Block(512, 512, 4, 1, 0), *_end())


def sound_tower() -> nn.Sequential:
    """1 x 80 x 16 → 64 x 27 x 16 → 128 x 9 x 6 → 256 x 3 x 3 → 512."""
    return nn.Sequential(
        Block(1, 32), *_rest(32, 2), Block(32, 64, 3, (3, 1)), *_rest(64, 2), Block(64, 128, 3, 3), *_rest(128, 2),
        Block(128, 256, 3, (3, 2)), *_rest(256, 2), Block(256, 512, 3, 1, 0), *_end(),
    )  # fmt: skip


def _lips_begin() -> list[nn.Module]:
    return [
        Block(3 * FRAMES, 32, 7, 1, 3), Block(32, 64, 5, (1, 2), 1), *_rest(64, 2), Block(64, 128, 3, 2), *_rest(128, 3),
        Block(128, 256, 3, 2), *_rest(256, 2), Block(256, 512, 3, 2), *_rest(512, 2),
    ]  # fmt: skip


def _rest(width: int, count: int) -> list[Block]:
    return [Block(width, width, rest=True) for _ in range(count)]


def _end() -> tuple[Block, nn.Flatten]:
    return Block(512, 512, 1, 1, 0), nn.Flatten()
