"""HyperLips' second stage (Chen et al. 2023): a base face and its sketch to a face with detail, up to 4 times as large.

What goes in is always 128 pixels to a side, as in training. The original enlarges it to the output's size before use, and the
network then enlarges it again: 16 times the cost, and pictures that it never learned from.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likeness.nn.hyper.layers import Residual, convolved, norm
from likeness.nn.hyper.settings import MADE, SIDE, Refining

LAST = 0.5  # channels before the colours, of the width


class Refiner(nn.Module):
    """What is drawn depends on each frame alone."""

    def __init__(self, refining: Refining) -> None:
        super().__init__()
        self.refining = refining
        width, kind, scale = refining.width, refining.norm, refining.scale
        looked = 3 + refining.guides + (3 * scale**2 if refining.referred else 0)
        layers: list[nn.Module] = [convolved(looked, width, kind)]
        layers += [Residual(width, kind) for _ in range(refining.depth)]
        if refining.enlarging == "shuffle":
            self.layers = nn.Sequential(*layers)
            self.colors = nn.Sequential(nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))
        else:
            doublings = scale.bit_length() - 1
            for _ in range(max(1, doublings)):
                layers += _doubling(width, refining) if doublings else []
                layers += [Residual(width, kind), Residual(width, kind)]
            last = max(1, round(LAST * width))
            self.layers = nn.Sequential(*layers)
            self.colors = nn.Sequential(convolved(width, last, kind), nn.Conv2d(last, 3, 1))
        if refining.residual:
            outermost = next(m for m in reversed(list(self.colors.modules())) if isinstance(m, nn.Conv2d))
            nn.init.zeros_(outermost.weight)
            assert outermost.bias is not None
            nn.init.zeros_(outermost.bias)

    def forward(
        self,
        base: Float[Tensor, "n 3 height width"],
        sketch: Float[Tensor, "n guides rows columns"],
        references: Float[Tensor, "n 3 high wide"] | None = None,
    ) -> Float[Tensor, "n 3 high wide"]:
        """Pictures of scale * 128 pixels to a side, RGB. `references`: other pictures of the person, of that size, where the
        settings have them.

        In the residual form nothing holds them in 0..1, for a clamp would have no gradient beyond: clamp what is shown. It
        begins as `begun` says, and its rows above `MADE` stay that. Raises ValueError for pictures of another size
        than 128.
        """
        for what, picture in (("base face", base), ("sketch", sketch)):
            if picture.shape[-2:] != (SIDE, SIDE):
                raise ValueError(
                    f"Refiner: the {what} has {picture.shape[-1]} x {picture.shape[-2]} pixels; it must have {SIDE} x {SIDE}, "
                    "whatever the output's size: the refiner itself enlarges"
                )
        seen = [base, sketch]
        if self.refining.referred:
            assert references is not None
            seen.append(F.pixel_unshuffle(references, self.refining.scale))
        looked = torch.cat(seen, 1)
        if not self.refining.residual:
            return self.colors(self.layers(looked)).sigmoid()
        made = self.colors(self.layers(looked[..., MADE:, :]))
        return begun(base, references, self.refining) + F.pad(made, (0, 0, MADE * self.refining.scale, 0))


def begun(
    base: Float[Tensor, "n 3 height width"], references: Float[Tensor, "n 3 high wide"] | None, refining: Refining
) -> Float[Tensor, "n 3 high wide"]:
    """What the residual form begins with: the base face enlarged; with a reference its detail, and in it what the base face
    changed."""
    if references is None or not refining.referred:
        return enlarged(base, refining.scale)
    return references + enlarged(base - shrunk(references, refining.scale), refining.scale)


def shrunk(pictures: Float[Tensor, "n 3 high wide"], scale: int) -> Float[Tensor, "n 3 height width"]:
    """By means over squares of pixels."""
    return F.avg_pool2d(pictures, scale) if scale > 1 else pictures


def enlarged(pictures: Float[Tensor, "n 3 height width"], scale: int) -> Float[Tensor, "n 3 high wide"]:
    """Bilinearly."""
    return F.interpolate(pictures, scale_factor=scale, mode="bilinear", align_corners=False) if scale > 1 else pictures


def _doubling(width: int, refining: Refining) -> list[nn.Module]:
    """A transposed convolution to twice the size, norm, ReLU."""
    doubling = nn.ConvTranspose2d(width, width, 3, 2, 1, output_padding=1)
    return [doubling, norm(refining.norm, width), nn.ReLU(inplace=True)]
