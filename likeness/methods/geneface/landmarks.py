"""What moves the face in GeneFace (Ye et al. 2023): 68 landmarks of five frames, and the code that the renderer makes of them.

Landmarks are displacement from the person's mean face in centimetres, z-scored over the training frames and kept within a
few standard deviations. They come from the rig, in training as in use: sound never finds more than the rig's lips, and a
head that learned from the tracker's own landmarks would lean on what it is not given later. Of the five frames the lips
differ; the upper face is that of the frame that is drawn, as eyes may be moved by whoever delivers a speech.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likeness.displacement import BROWS, CM, EYES, POINTS_68
from likeness.nn.audio_code import LEAK
from likeness.rig import Rig

NEAR = 2  # frames before and after the one that is drawn
FRAMES = 2 * NEAR + 1
NUMBERS = 3 * len(POINTS_68)
FLOOR_CM = 0.02
"""Of a standard deviation: the nose's bridge hardly moves, and its noise is not to be blown up to the size of a smile."""


class Landmarks(nn.Module):
    """The rig's conditioning as z-scored landmarks."""

    mean: Tensor
    std: Tensor
    limit: Tensor
    basis: Tensor

    def __init__(self, clamp: float) -> None:
        """`clamp`: standard deviations that a landmark may be from its mean."""
        super().__init__()
        limit = torch.full((len(POINTS_68), 3), clamp)
        for part in (BROWS, EYES):
            limit[part, :2] = clamp / 2
        self.register_buffer("limit", limit.flatten(), persistent=False)
        self.register_buffer("mean", torch.zeros(NUMBERS))
        self.register_buffer("std", torch.ones(NUMBERS))
        self.register_buffer("basis", torch.zeros(0, NUMBERS), persistent=False)  # the rig's, which the portrait file holds

    def follow(self, rig: Rig) -> None:
        """Take the landmarks of this rig's face."""
        self.basis = CM * rig.basis[:, POINTS_68].flatten(1)

    def measure(self, cond: Float[Tensor, "time cond"]) -> None:
        """Take mean and spread from the conditioning of training frames."""
        moves = cond @ self.basis
        self.mean.copy_(moves.mean(0))
        self.std.copy_(moves.std(0, correction=0).clamp_min(FLOOR_CM))

    def forward(self, cond: Float[Tensor, "*time cond"]) -> Float[Tensor, "*time numbers"]:
        """Point by point x, y, z, in standard deviations."""
        z = (cond @ self.basis - self.mean) / self.std
        return torch.minimum(torch.maximum(z, -self.limit), self.limit)


class LandmarkCode(nn.Module):
    """Landmarks of FRAMES frames to one code: AD-NeRF's AudioNet for each, and the attention that weighs them.

    The AudioNet's convolutions see a window of one frame, of which only their middle tap is not padding: linear maps.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((NUMBERS, 32, 32, 64, 64, 64)):
            layers += [nn.Linear(before, after), nn.LeakyReLU(LEAK)]
        self.dense = nn.Sequential(*layers, nn.Linear(64, width))
        layers = []
        for before, after in pairwise((width, 16, 8, 4, 2, 1)):
            layers += [nn.Conv1d(before, after, 3, padding=1), nn.LeakyReLU(LEAK)]
        self.attention = nn.Sequential(*layers)
        self.weigh = nn.Linear(FRAMES, FRAMES)

    def forward(self, landmarks: Float[Tensor, "time near numbers"]) -> Float[Tensor, "time width"]:
        near = self.dense(landmarks).transpose(1, 2)
        share = self.weigh(self.attention(near)[:, 0]).softmax(-1)
        return (near * share[:, None]).sum(-1)


def windows(rows: Float[Tensor, "time lips"]) -> Float[Tensor, "time cond"]:
    """Each frame's row with those NEAR it, side by side; beyond the ends the last one again."""
    at = torch.arange(len(rows))[:, None] + torch.arange(-NEAR, NEAR + 1)
    return rows[at.clamp(0, len(rows) - 1)].flatten(1)


def neighbours(frames: Int[np.ndarray, " frames"], breaks: tuple[int, ...]) -> Int[np.ndarray, "frames near"]:
    """The frames NEAR each of `frames`, as `windows` has them: where those around are not of `frames`, or lie beyond a cut,
    the last one again."""
    cuts = np.flatnonzero((np.diff(frames) > 1) | np.isin(frames[1:], breaks)) + 1
    offsets = np.arange(-NEAR, NEAR + 1)
    return np.concatenate([np.clip(run[:, None] + offsets, run[0], run[-1]) for run in np.split(frames, cuts)])
