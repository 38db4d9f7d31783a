"""The trunk: MobileNetV3-Large (Howard et al. 2019, table 1), dilated in its last stage, and the LR-ASPP head (their fig. 10).

Taps at a half, a quarter, an eighth and a sixteenth of the picture's size, as Robust Video Matting has them (Lin et al. 2022).
Any number of input channels, random start, no normalisation of colours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.nn.hyper.layers import norm
from likeness.nn.hyper.settings import Norm

MULTIPLE = 8  # channels are multiples of it
SQUEEZE = 4  # of channels in a squeeze-and-excitation's middle
EPSILON, MOMENTUM = 1e-3, 0.01  # of its batch norms, as its authors have them (their 1 - .99)


class Row(NamedTuple):
    """A bottleneck of table 1."""

    kernel: int
    expanded: int
    outputs: int
    squeezed: bool
    hard: bool
    """Bend: hard swish, else ReLU."""
    stride: int = 1
    dilation: int = 1


FIRST, LAST, TAPPED = 16, 960, (0, 2, 5)  # channels, channels, rows after which there is a tap
ROWS = (
    Row(3, 16, 16, False, False), Row(3, 64, 24, False, False, 2), Row(3, 72, 24, False, False),
    Row(5, 72, 40, True, False, 2), Row(5, 120, 40, True, False), Row(5, 120, 40, True, False),
    Row(3, 240, 80, False, True, 2), Row(3, 200, 80, False, True), Row(3, 184, 80, False, True), Row(3, 184, 80, False, True),
    Row(3, 480, 112, True, True), Row(3, 672, 112, True, True),
    Row(5, 672, 160, True, True, 1, 2), Row(5, 960, 160, True, True, 1, 2), Row(5, 960, 160, True, True, 1, 2),
)  # fmt: skip


def divisible(channels: float) -> int:
    """The nearest multiple of 8, never less than nine tenths of what is asked for (Howard et al. 2019)."""
    near = max(MULTIPLE, int(channels + MULTIPLE / 2) // MULTIPLE * MULTIPLE)
    return near if near >= 0.9 * channels else near + MULTIPLE


class Excitation(nn.Module):
    """Channels weighed by what the whole picture says (Hu et al. 2018), with a hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = divisible(channels / SQUEEZE)
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, middle, 1), nn.ReLU(inplace=True), nn.Conv2d(middle, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n channels height width"]:
        return x * self.weigh(x.mean((2, 3), keepdim=True))


class Bottleneck(nn.Module):
    """Widen, look around channel by channel, narrow; the input is added where the shape allows."""

    def __init__(self, inputs: int, row: Row, width: float, kind: Norm) -> None:
        super().__init__()
        middle, outputs = divisible(width * row.expanded), divisible(width * row.outputs)
        layers: list[nn.Module] = []
        if middle != inputs:
            layers += _layer(inputs, middle, row.hard, kind)
        layers += _layer(middle, middle, row.hard, kind, row.kernel, row.stride, row.dilation, middle)
        if row.squeezed:
            layers.append(Excitation(middle))
        layers += _layer(middle, outputs, None, kind)
        self.layers = nn.Sequential(*layers)
        self.added = row.stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "n inputs height width"]) -> Float[Tensor, "n outputs h w"]:
        return x + self.layers(x) if self.added else self.layers(x)


class Trunk(nn.Module):
    """Pictures to four maps, fine to coarse. Sides that are multiples of 16 halve exactly."""

    def __init__(self, inputs: int, width: float = 1.0, kind: Norm = "batch") -> None:
        """`width` multiplies every number of channels."""
        super().__init__()
        first = divisible(width * FIRST)
        self.entrance = nn.Sequential(*_layer(inputs, first, True, kind, 3, 2))
        widths = [first, *(divisible(width * row.outputs) for row in ROWS)]
        self.rows = nn.ModuleList(Bottleneck(before, row, width, kind) for before, row in zip(widths, ROWS))
        self.exit = nn.Sequential(*_layer(widths[-1], divisible(width * LAST), True, kind))
        self.channels = (*(widths[i + 1] for i in TAPPED), divisible(width * LAST))
        """Of the four maps."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, "n inputs height width"]) -> tuple[Float[Tensor, "n _ _ _"], ...]:
        taps = []
        x = self.entrance(x)
        for i, row in enumerate(self.rows):
            x = row(x)
            if i in TAPPED:
                taps.append(x)
        return (*taps, self.exit(x))


class Context(nn.Module):
    """LR-ASPP: a 1x1 convolution, weighed channel by channel by what the whole map says."""

    def __init__(self, inputs: int, outputs: int, kind: Norm = "batch") -> None:
        super().__init__()
        self.local = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), norm(kind, outputs), nn.ReLU(inplace=True))
        self.whole = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Float[Tensor, "n inputs height width"]) -> Float[Tensor, "n outputs height width"]:
        return self.local(x) * torch.sigmoid(self.whole(x.mean((2, 3), keepdim=True)))


def _layer(
    inputs: int,
    outputs: int,
    hard: bool | None,
    kind: Norm,
    kernel: int = 1,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> list[nn.Module]:
    """Convolution, norm and the bend: hard swish, ReLU, or with None none."""
    padding = (kernel - 1) // 2 * dilation
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(outputs, eps=EPSILON, momentum=MOMENTUM) if kind == "batch" else norm(kind, outputs),
    ]
    if hard is not None:
        layers.append(nn.Hardswish(inplace=True) if hard else nn.ReLU(inplace=True))
    return layers
