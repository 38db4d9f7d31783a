"""The decoder: maps back to a face, in the manner of Robust Video Matting (Lin et al. 2022), with a memory at every scale.

Half of the channels at each scale pass through a `Recurrence`. HyperLips begins it anew at every frame, so that it is no more
than a gate; carried on, it ties a frame to those before it, against trembling.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likeness.nn.hyper.layers import Residual, convolved
from likeness.nn.hyper.recurrence import Recurrence

WIDTHS = (128, 80, 40, 32)
"""Channels at a sixteenth of the size (these come from the trunk's `Context`), an eighth, a quarter and a half."""
FINEST = 64
"""Channels at full size."""
LAST = 32  # of the head
State = tuple[Float[Tensor, "batch _ _ _"], ...]
"""What is remembered at the four scales, coarse to fine; empty at the beginning."""


class Remembering(nn.Module):
    """The second half of the channels remembers, the first does not."""

    def __init__(self, channels: int, carried: bool) -> None:
        super().__init__()
        self.carried = carried
        self.recurrence = Recurrence(channels // 2)

    def forward(
        self, x: Float[Tensor, "n channels height width"], time: int, memory: Tensor | None
    ) -> tuple[Float[Tensor, "n channels height width"], Float[Tensor, "_ half height width"]]:
        """`n` is batch * time. The second result is the memory after the last frame."""
        plain, through = x.chunk(2, 1)
        if self.carried:
            frames = self.recurrence(through.unflatten(0, (-1, time)), memory)
            return torch.cat([plain, frames.flatten(0, 1)], 1), frames[:, -1]
        through = self.recurrence(through[:, None], None)[:, 0]
        return torch.cat([plain, through], 1), through


class FaceDecoder(nn.Module):
    """Four maps, and the picture that they are of, to features of every pixel."""

    def __init__(self, channels: tuple[int, ...], inputs: int, width: float, carried: bool) -> None:
        """`channels` of the maps, fine to coarse; `inputs` of the picture; `width` multiplies the paper's channels."""
        super().__init__()
        self.carried = carried
        fine = [even(width * c) for c in WIDTHS[1:]]
        widths = (channels[-1], *fine)
        self.remember = nn.ModuleList(Remembering(c, carried) for c in widths)
        skips = tuple(reversed(channels[:-1]))
        self.merge = nn.ModuleList(
            convolved(before + skip + inputs, after, "batch", bias=False)
            for (before, after), skip in zip(pairwise(widths), skips)
        )
        self.outputs = even(width * FINEST)
        self.finish = nn.Sequential(
            convolved(fine[-1] + inputs, self.outputs, "batch", bias=False),
            convolved(self.outputs, self.outputs, "batch", bias=False),
        )

    def forward(
        self,
        maps: tuple[Float[Tensor, "n _ _ _"], ...],
        picture: Float[Tensor, "n inputs height width"],
        time: int,
        state: State,
    ) -> tuple[Float[Tensor, "n outputs height width"], State]:
        """`n` is batch * time, a sample's frames side by side. Returns the state after the last frame, empty where nothing
        is carried on."""
        pictures = [picture]
        for _ in maps[1:]:
            pictures.append(F.avg_pool2d(pictures[-1], 2))
        x, remembered = maps[-1], []
        for i, remember in enumerate(self.remember):
            if i:
                x = self.merge[i - 1](torch.cat([_doubled(x), maps[-1 - i], pictures[-i]], 1))
            x, memory = remember(x, time, state[i] if state else None)
            remembered.append(memory)
        x = self.finish(torch.cat([_doubled(x), picture], 1))
        return x, tuple(remembered) if self.carried else ()


def head(inputs: int, width: float) -> nn.Sequential:
    """Features of every pixel to its colour, 0..1."""
    last = even(width * LAST)
    return nn.Sequential(
        Residual(inputs, "batch"),
        Residual(inputs, "batch"),
        convolved(inputs, last, "batch"),
        nn.Conv2d(last, 3, 1),
        nn.Sigmoid(),
    )


def even(channels: float) -> int:
    """The nearest even number, 2 or more: half of it remembers."""
    return max(2, 2 * round(channels / 2))


def _doubled(x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n channels h w"]:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
