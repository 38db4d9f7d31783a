"""Convolutions whose kernels a sound makes: the heart of HyperLips (Chen et al. 2023; hypernetworks: Ha et al. 2017).

Sound is not set beside the picture's features; it says by which kernels, a sample's own, they are convolved. `HyperNet` makes
a code of what is heard, `Generated` one convolution of a code, `HyperConv` two of these with what is around them.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likeness.nn.hyper.layers import norm
from likeness.nn.hyper.settings import CODE

LEAK = 0.01
AREA = 9  # of a 3x3 kernel
GAIN = 0.1
"""What HyperConv's residual form starts with: features first go through nearly as they are."""


class HyperNet(nn.Module):
    """What is heard as a code, a row a sample."""

    def __init__(self, inputs: int, even: bool) -> None:
        """`even`: codes are brought to mean 0 and spread 1, so that a kernel is as strong as its start is made for."""
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, CODE), nn.LeakyReLU(LEAK), nn.Linear(CODE, CODE), nn.LeakyReLU(LEAK))
        self.even = nn.LayerNorm(CODE) if even else nn.Identity()

    def forward(self, heard: Float[Tensor, "n inputs"]) -> Float[Tensor, "n code"]:
        return self.even(self.layers(heard))


class Generated(nn.Module):
    """A 3x3 convolution that keeps the channels and has its own kernel and bias for every sample, linear in the code.

    With a rank the kernel is a product: a 3x3 convolution to `rank` channels and a 1x1 back, both made of the code. It is
    never multiplied out, and costs accordingly less.
    """

    def __init__(self, channels: int, rank: int = 0, scaled: bool = True) -> None:
        """`scaled`: start with kernels of spread 1 / sqrt(9 channels), which keep the features' strength, half of it the
        sound's; else PyTorch's own start for a linear layer, which batch norm makes up for (paper)."""
        super().__init__()
        self.channels, self.rank = channels, rank
        self.kernel = nn.Linear(CODE, AREA * channels * (rank or channels))
        self.back = nn.Linear(CODE, channels * rank) if rank else None
        self.bias = nn.Linear(CODE, channels)
        if scaled:
            _start(self.kernel, (AREA * channels) ** -0.5)
            if self.back is not None:
                _start(self.back, rank**-0.5)
            nn.init.zeros_(self.bias.bias)

    def forward(
        self, maps: Float[Tensor, "n channels height width"], code: Float[Tensor, "n code"]
    ) -> Float[Tensor, "n channels height width"]:
        """All samples in one grouped convolution, a group a sample."""
        n, channels, height, width = maps.shape
        kernels = self.kernel(code).view(-1, channels, 3, 3)
        bias = self.bias(code).flatten()
        maps = maps.reshape(1, n * channels, height, width)
        if self.back is None:
            out = F.conv2d(maps, kernels, bias, padding=1, groups=n)
        else:
            narrow = F.conv2d(maps, kernels, padding=1, groups=n)
            out = F.conv2d(narrow, self.back(code).view(-1, self.rank, 1, 1), bias, groups=n)
        return out.view(n, channels, height, width)

    def written_out(
        self, code: Float[Tensor, "n code"]
    ) -> tuple[Float[Tensor, "n channels channels 3 3"], Float[Tensor, "n channels"]]:
        """The kernels and biases themselves, products multiplied out."""
        kernels = self.kernel(code).view(len(code), -1, self.channels, 3, 3)
        if self.back is not None:
            kernels = torch.einsum("nor,nrikl->noikl", self.back(code).view(-1, self.channels, self.rank), kernels)
        return kernels, self.bias(code)


class HyperConv(nn.Module):
    """Convolution, norm, ReLU, convolution, norm of one code; then added to the features, or in their place."""

    def __init__(
        self, channels: int, form: Literal["residual", "replacing"], kind: Literal["batch", "group"], rank: int = 0
    ) -> None:
        """See `Settings` for the arguments; a rank of the channels' number or more is none."""
        super().__init__()
        rank = rank if rank < channels else 0
        scaled = kind == "group"
        self.first, self.second = (Generated(channels, rank, scaled) for _ in range(2))
        self.first_norm, self.second_norm = (norm(kind, channels) for _ in range(2))
        self.gain = nn.Parameter(torch.full((channels, 1, 1), GAIN)) if form == "residual" else None

    def forward(
        self, maps: Float[Tensor, "n channels height width"], code: Float[Tensor, "n code"]
    ) -> Float[Tensor, "n channels height width"]:
        made = self.first_norm(self.first(maps, code)).relu()
        made = self.second_norm(self.second(made, code))
        return made.sigmoid() if self.gain is None else maps + self.gain * made


def _start(linear: nn.Linear, spread: float) -> None:
    """What comes out has this spread where what goes in has spread 1: half of the variance from it, half without it."""
    nn.init.normal_(linear.weight, std=spread * (2 * linear.in_features) ** -0.5)
    nn.init.normal_(linear.bias, std=spread * 0.5**0.5)
