"""A window of speech features as one code per frame: AD-NeRF's AudioNet and the attention over neighbouring frames.

As used by RAD-NeRF (Tang et al. 2022, section 3.2), ER-NeRF and TalkingGaussian.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import ROWS_PER_FRAME, Hearing

ROWS = 16  # of features round the middle of a frame
BEFORE, AFTER = 4, 3  # frames that the attention weighs
LEAK = 0.02

PAST, FUTURE = BEFORE + 2, AFTER + 2
"""Frames that a code hears before and after its own."""


def hearing(features: tuple[str, ...]) -> Hearing:
    """What a portrait with an `AudioCode` over these features hears."""
    return Hearing(features, past=PAST, future=FUTURE)


class AudioCode(nn.Module):
    """Stretches of features to one code a frame."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, width: int) -> None:
        """`dim` features a row; codes of `width` numbers."""
        super().__init__()
        channels = (dim, 32, 32, 64, 64)
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv1d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(LEAK)]
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(LEAK), nn.Linear(64, width))
        steps = (width, 16, 8, 4, 2, 1)
        layers = []
        for before, after in pairwise(steps):
            layers += [nn.Conv1d(before, after, 3, padding=1), nn.LeakyReLU(LEAK)]
        self.attention = nn.Sequential(*layers)
        self.weigh = nn.Linear(BEFORE + 1 + AFTER, BEFORE + 1 + AFTER)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def forward(self, stretch: Float[Tensor, "rows dim"]) -> Float[Tensor, "time width"]:
        """Codes of the T frames in the middle of a stretch of PAST + T + FUTURE frames, normalised by `mean` and `std`."""
        normal = (stretch.float() - self.mean) / self.std.clamp_min(1e-3)
        first = (PAST - BEFORE) * ROWS_PER_FRAME - (ROWS - ROWS_PER_FRAME) // 2
        last = len(normal) - (FUTURE - AFTER) * ROWS_PER_FRAME + (ROWS - ROWS_PER_FRAME) // 2
        windows = normal[first:last].unfold(0, ROWS, ROWS_PER_FRAME)  # frames dim rows
        heard = self.dense(self.convolutions(windows)[..., 0])
        near = heard.unfold(0, BEFORE + 1 + AFTER, 1)  # time width neighbours
        share = self.weigh(self.attention(near)[:, 0]).softmax(-1)
        return (near * share[:, None]).sum(-1)
