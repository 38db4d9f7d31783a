"""Layers of the motion generator. None pads: a convolution gives only frames of which it saw everything.

So what a frame depends on is exact, chunks do not show, and a look-ahead is kept by counting: each layer has a `Reach`, how
far before and after a frame it looks. Gated stacks are WaveNet's (van den Oord et al. 2016) as in GeneFace, not causal.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


class Reach(NamedTuple):
    """How many frames (or latents) before and after its own one the output of a layer depends on."""

    before: int
    after: int

    def plus(self, other: Reach) -> Reach:
        """Of one layer after another."""
        return Reach(self.before + other.before, self.after + other.after)


NOWHERE = Reach(0, 0)


def widest(one: Reach, other: Reach) -> Reach:
    """Of two layers side by side."""
    return Reach(max(one.before, other.before), max(one.after, other.after))


def total(reaches: list[Reach]) -> Reach:
    """Of layers one after the other."""
    return Reach(sum(r.before for r in reaches), sum(r.after for r in reaches))


def spread(kernel: int, dilations: list[int], ahead: int | None) -> list[Reach]:
    """The reach of each layer: as far ahead as behind, while the layers together look no more than `ahead` frames ahead."""
    reaches = []
    left = ahead
    for dilation in dilations:
        span = (kernel - 1) * dilation
        after = span // 2 if left is None else min(span // 2, left)
        left = None if left is None else left - after
        reaches.append(Reach(span - after, after))
    return reaches


def trim(x: Float[Tensor, "batch channels long"], reach: Reach) -> Float[Tensor, "batch channels short"]:
    """Without the frames that a layer of this reach has no output for."""
    return x[..., reach.before : x.shape[-1] - reach.after]


class Gated(nn.Module):
    """A stack of gated convolutions with a condition: [batch width L] to [batch width L - reach]."""

    def __init__(self, width: int, condition: int, kernel: int, dilations: list[int], ahead: int | None) -> None:
        super().__init__()
        self.width = width
        self.reaches = spread(kernel, dilations, ahead)
        last = len(dilations) - 1
        self.heard = weight_norm(nn.Conv1d(condition, 2 * width * len(dilations), 1))
        self.convolutions = nn.ModuleList(weight_norm(nn.Conv1d(width, 2 * width, kernel, dilation=d)) for d in dilations)
        outs = [width if i == last else 2 * width for i in range(len(dilations))]
        self.outs = nn.ModuleList(weight_norm(nn.Conv1d(width, out, 1)) for out in outs)

    @property
    def reach(self) -> Reach:
        """Of the output on the input."""
        return total(self.reaches)

    @property
    def heard_reach(self) -> Reach:
        """Of the output on the condition: it enters behind the first convolution."""
        return total(self.reaches[1:])

    def forward(
        self, x: Float[Tensor, "batch width long"], condition: Float[Tensor, "batch cond heard"]
    ) -> Float[Tensor, "batch width short"]:
        """`condition` lacks, against x, what the first layer trims."""
        heard = self.heard(condition)
        out: Tensor | float = 0.0
        for i, (convolution, project) in enumerate(zip(self.convolutions, self.outs)):
            reach = self.reaches[i]
            heard = trim(heard, reach) if i else heard
            filtered, gate = (convolution(x) + heard[:, 2 * self.width * i : 2 * self.width * (i + 1)]).chunk(2, 1)
            made = project(filtered.tanh() * gate.sigmoid())
            out = trim(out, reach) if isinstance(out, Tensor) else out
            if i + 1 < len(self.outs):
                x = trim(x, reach) + made[:, : self.width]
                made = made[:, self.width :]
            out = out + made
        assert isinstance(out, Tensor)
        return out


class ChannelNorm(nn.Module):
    """Every frame's channels to mean 0 and spread 1: local in time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "batch channels time"]) -> Float[Tensor, "batch channels time"]:
        return nn.functional.layer_norm(x.transpose(1, 2), self.scale.shape, self.scale, self.shift).transpose(1, 2)


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe, Szegedy 2015) with the statistics of all processes of a distributed training."""

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Float[Tensor, "batch channels time"]) -> Float[Tensor, "batch channels time"]:
        if self.training:
            mean = _over_processes(x.mean((0, 2)))  # all processes have as many frames
            variance = _over_processes((x - mean[:, None]).square().mean((0, 2)))
            with torch.no_grad():
                self.mean += self.momentum * (mean - self.mean)
                self.variance += self.momentum * (variance - self.variance)
        else:
            mean, variance = self.mean, self.variance
        scale = self.scale * (variance + 1e-5).rsqrt()
        return (x - mean[:, None]) * scale[:, None] + self.shift[:, None]


def _over_processes(x: Float[Tensor, " channels"]) -> Float[Tensor, " channels"]:
    """The mean over processes, through which gradients pass."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return x
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(x) / dist.get_world_size()


def normaliser(kind: str, channels: int) -> nn.Module:
    """`none`, `layer` or `batch`."""
    return {"none": nn.Identity, "layer": ChannelNorm, "batch": BatchNorm}[kind](*([] if kind == "none" else [channels]))
