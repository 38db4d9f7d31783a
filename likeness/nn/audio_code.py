"""A window of speech features as one code per frame: AD-NeRF's AudioNet and the attention over neighbouring frames.

As used by RAD-NeRF (Tang et al. 2022, section 3.2), ER-NeRF and TalkingGaussian.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import ROWS_PER_FRAME, Hearing

BEFORE, AFTER = 4, 3  # frames that the attention weighs
LEAK = 0.02


@dataclass(frozen=True)
class Windows:
    """Which rows of features the convolutions hear of a frame."""

    rows: int
    every: int
    """Rows of 10 ms from one to the next."""
    first: int
    """Where they begin, counted from the frame's own first row."""

    @property
    def past(self) -> int:
        """Frames that a code hears before its own."""
        return BEFORE - self.first // ROWS_PER_FRAME

    @property
    def future(self) -> int:
        """Frames that a code hears after its own."""
        return AFTER + (self.first + self.span - 1) // ROWS_PER_FRAME

    @property
    def span(self) -> int:
        """Rows from the first to the last."""
        return (self.rows - 1) * self.every + 1


CENTRED = Windows(rows=16, every=1, first=-6)
"""Ours: 160 ms round the middle of a frame."""
LOGITS = Windows(rows=16, every=2, first=-16)
"""RAD-NeRF's code, of features that come 50 times a second: 320 ms round the beginning of a frame."""
PAIRS = Windows(rows=2, every=2, first=0)
"""ER-NeRF's code, of hidden states that come 50 times a second: the frame's own two."""
PAST, FUTURE = CENTRED.past, CENTRED.future


def hearing(features: tuple[str, ...], windows: Windows = CENTRED) -> Hearing:
    """What a portrait with an `AudioCode` over these features hears."""
    return Hearing(features, past=windows.past, future=windows.future)


class AudioCode(nn.Module):
    """Stretches of features to one code a frame."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, width: int, windows: Windows = CENTRED) -> None:
        """`dim` features a row; codes of `width` numbers."""
        super().__init__()
        self.windows = windows
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
        """Codes of the T frames in the middle of a stretch of past + T + future frames, normalised by `mean` and `std`."""
        normal = (stretch.float() - self.mean) / self.std.clamp_min(1e-3)
        hears = self.windows
        first = (hears.past - BEFORE) * ROWS_PER_FRAME + hears.first
        frames = len(normal) // ROWS_PER_FRAME - (hears.past - BEFORE) - (hears.future - AFTER)
        last = first + (frames - 1) * ROWS_PER_FRAME + hears.span
        windows = normal[first:last].unfold(0, hears.span, ROWS_PER_FRAME)[..., :: hears.every]  # frames dim rows
        heard = self.dense(self.convolutions(windows)[..., 0])
        near = heard.unfold(0, BEFORE + 1 + AFTER, 1)  # time width neighbours
        share = self.weigh(self.attention(near)[:, 0]).softmax(-1)
        return (near * share[:, None]).sum(-1)
