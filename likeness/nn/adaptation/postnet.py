"""Post-net: generic motion to a person's, a residual convolutional net; and the critic that tells one from the other.

GeneFace (Ye et al. 2023), section "domain adaptive post-net". Sizes are its own; three things are not:
- Each frame is normalised by itself (LayerNorm). Batch statistics of a person's track and of generic motion would be two, and
  one blend of them is used afterwards.
- Convolutions see real neighbours only, never padding: a stretch is CONTEXT frames longer on both sides than what comes out.
- It begins as the identity: the last layer is zero.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.nn.adaptation.person import WIDTH

CONTEXT = 7  # one frame on each side for every convolution of three
SLOPE = 0.2
DROPPED = 0.25


class Block(nn.Module):
    """Convolution over three frames, normalisation of each frame, and what came in where it is as wide."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, out, 3)
        self.norm = nn.LayerNorm(out)
        self.residual = width == out

    def forward(self, x: Float[Tensor, "batch time width"]) -> Float[Tensor, "batch fewer out"]:
        y = self.norm(self.convolution(x.transpose(1, 2)).transpose(1, 2))
        return nn.functional.leaky_relu(y + x[:, 1:-1] if self.residual else y, SLOPE)


class PostNet(nn.Module):
    """Moves of mouth and jaw, centimetres, in the person's manner."""

    scale: Tensor

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        widths = (width, 128, 128, 128, 256, 256, 256, 128)
        self.blocks = nn.Sequential(*(Block(a, b) for a, b in pairwise(widths)))
        self.out = nn.Linear(widths[-1], width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("scale", torch.ones(1))

    def forward(self, moves: Float[Tensor, "batch time width"]) -> Float[Tensor, "batch fewer width"]:
        """Of CONTEXT + T + CONTEXT frames the T in the middle."""
        return moves[:, CONTEXT:-CONTEXT] + self.scale * self.out(self.blocks(moves / self.scale))


class Critic(nn.Module):
    """How much a frame looks like the person's own: about 1 where it does, 0 where not (LSGAN)."""

    scale: Tensor

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        widths = (width, 128, 256, 256, 128)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.out = nn.Linear(widths[-1], 1, bias=False)
        self.register_buffer("scale", torch.ones(1))

    def forward(self, moves: Float[Tensor, "n width"], chance: torch.Generator | None = None) -> Float[Tensor, " n"]:
        """`chance`: of what is dropped in training; None: nothing is."""
        x = moves / self.scale
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), SLOPE)
            if chance is not None:
                x = x * (torch.rand(x.shape, generator=chance) >= DROPPED) / (1 - DROPPED)
        return self.out(x)[:, 0]
