"""A memory for pictures: the gated recurrent unit with convolutions (Ballas et al. 2016, as in Lin et al. 2022)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Recurrence(nn.Module):
    """r, z = σ(conv[x, h]); c = tanh(conv[x, r h]); h' = (1 - z) h + z c. The output is the memory h' of every frame.

    The part of a convolution that sees x is done for all frames at once; only that which sees h goes from frame to frame.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.seen = nn.Conv2d(channels, 3 * channels, 3, padding=1)
        self.gates = nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False)
        self.candidate = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(
        self, x: Float[Tensor, "batch time channels height width"], memory: Float[Tensor, "batch channels height width"] | None
    ) -> Float[Tensor, "batch time channels height width"]:
        """`memory` after the frame before the first one; None: nothing is remembered, which is a memory of zeros."""
        seen = self.seen(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        out = []
        for now in seen.unbind(1):
            gates, candidate = now.split((2 * self.channels, self.channels), 1)
            if memory is None:  # a convolution of zeros
                memory = gates[:, self.channels :].sigmoid() * candidate.tanh()
            else:
                reset, update = (gates + self.gates(memory)).sigmoid().chunk(2, 1)
                candidate = (candidate + self.candidate(reset * memory)).tanh()
                memory = memory + update * (candidate - memory)
            out.append(memory)
        return torch.stack(out, 1)
