"""Sound to the shape of a mouth, for anybody: what a base face is told where no voice of its own is known.

A small net over the frames round each one, learned from many people. Regression moves less than life; `gain` gives back what it
lacks, as far as a number of the shape can be foretold at all.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import ROWS_PER_FRAME, Hearing
from likeness.nn.hyper.settings import SHAPE

PAST, FUTURE = 4, 4
"""Frames that it hears round each one."""
WIDTH, DROPPED = 64, 0.2


class Articulation(nn.Module):
    """Windows of normalised features to shapes; every window by itself."""

    gain: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        frames = PAST + 1 + FUTURE
        self.layers = nn.Sequential(
            nn.Conv1d(columns, WIDTH, 3, padding=1), nn.ReLU(), nn.Dropout(DROPPED),
            nn.Conv1d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Dropout(DROPPED),
            nn.Linear(frames * WIDTH, SHAPE),
        )  # fmt: skip
        self.register_buffer("gain", torch.ones(SHAPE))

    def forward(self, windows: Float[Tensor, "n columns rows"]) -> Float[Tensor, "n shape"]:
        """Shapes as they are expected, without the gain. `windows` as `hearing.normalised` gives them, of `PAST` frames before
        and `FUTURE` behind."""
        frames = windows.unflatten(-1, (-1, ROWS_PER_FRAME)).mean(-1)
        return self.layers(frames)

    def spoken(self, windows: Float[Tensor, "n columns rows"]) -> Float[Tensor, "n shape"]:
        """Shapes that move as much as real ones."""
        return self(windows) * self.gain


def wide(features: tuple[str, ...]) -> Hearing:
    """What it hears of a sound."""
    return Hearing(features, PAST, FUTURE)
