"""What the lip networks are built of: a convolution with its norm and its bend, and two of them with a way round."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from likeness.nn.hyper.settings import Norm

GROUP = 8  # channels, or a few more where they do not divide


def norm(kind: Norm, channels: int) -> nn.Module:
    """batch (Ioffe and Szegedy 2015), group (Wu and He 2018): in groups of 8 channels, each sample by itself; or none."""
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    groups = next(g for g in range(max(1, channels // GROUP), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels)


def convolved(inputs: int, outputs: int, kind: Norm, bias: bool = True) -> nn.Sequential:
    """3x3 convolution, norm, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), norm(kind, outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """3x3 convolution and norm, the input added, then ReLU."""

    def __init__(self, channels: int, kind: Norm) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = norm(kind, channels)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n channels height width"]:
        return (x + self.norm(self.convolve(x))).relu()
