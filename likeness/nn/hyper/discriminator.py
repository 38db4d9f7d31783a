"""Discriminators: whether a lower half is a real one, and whether a refined picture is (HyperLips, Chen et al. 2023).

Both give logits. The original puts a sigmoid behind each, and a second one over differences of these in its relativistic loss,
which leaves hardly any gradient. A frame is judged by itself, without norms, with LeakyReLU.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.nn.hyper.settings import KEPT, Judging

LEAK = 0.01
BASE = (32, 64, 128, 256, 512, 512)
DETAIL = (32, 64, 128, 128, 128)
MOUTH = 0.5
"""Side of the square round the mouth, of the picture's: a mouth that opens wide in a face crop has .4 to .5."""


class BaseDiscriminator(nn.Module):
    """Of base faces: their lower half alone, the only part that the generator makes up."""

    def __init__(self, judging: Judging) -> None:
        super().__init__()
        widths = [_scaled(judging.base_width, c) for c in BASE]
        last = widths[-1]
        self.layers = nn.Sequential(
            *_stages(widths, (1, 2)), nn.Conv2d(last, last, 3), nn.LeakyReLU(LEAK), nn.Conv2d(last, last, 1), nn.LeakyReLU(LEAK)
        )
        self.verdict = nn.Conv2d(last, 1, 1)
        _begun(self.layers)

    def forward(self, faces: Float[Tensor, "n 3 128 128"]) -> Float[Tensor, "n 1"]:
        """Logits: above 0 for real."""
        return self.verdict(self.layers(faces[..., KEPT:, :]).mean((2, 3), keepdim=True)).flatten(1)


class DetailDiscriminator(nn.Module):
    """Of refined pictures: patches of the mouth (Isola et al. 2017), or one verdict on the whole (paper)."""

    def __init__(self, judging: Judging) -> None:
        super().__init__()
        widths = [_scaled(judging.detail_width, c) for c in DETAIL]
        self.look: Literal["mouth", "whole"] = judging.detail_look
        self.layers = nn.Sequential(*_stages(widths, (2, 2)))
        self.verdict = nn.Conv2d(widths[-1], 1, 1)
        _begun(self.layers)

    def forward(
        self, pictures: Float[Tensor, "n 3 side side"], centres: Float[Tensor, "n 2"] | None = None
    ) -> Float[Tensor, "n verdicts"]:
        """Logits, above 0 for real, one a patch. `centres` of mouths (x, y) in pixels; without them the lower half's middle.

        Where the whole is looked at, centres make no difference and there is one verdict.
        """
        if self.look == "whole":
            return self.verdict(self.layers(pictures).mean((2, 3), keepdim=True)).flatten(1)
        return self.verdict(self.layers(mouths(pictures, centres))).flatten(1)


def mouths(pictures: Float[Tensor, "n 3 side side"], centres: Float[Tensor, "n 2"] | None = None) -> Float[Tensor, "n 3 s s"]:
    """The square round each mouth, half a picture wide, moved to lie inside the picture; pixels as they are."""
    side = pictures.shape[-1]
    cut = round(MOUTH * side)
    if centres is None:
        centres = pictures.new_tensor([side / 2, 3 * side / 4]).expand(len(pictures), 2)
    corners = (centres - cut / 2).round().long().clamp(0, side - cut).tolist()
    return torch.stack([picture[:, y : y + cut, x : x + cut] for picture, (x, y) in zip(pictures, corners)])


def _scaled(width: float, channels: int) -> int:
    return max(1, round(width * channels))


def _begun(layers: nn.Sequential) -> None:
    """Weights that keep the size of what passes (He et al. 2015): PyTorch's own halve it at each of up to 13 layers without
    norms, and hardly any gradient comes back to the picture."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, LEAK)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def _stages(widths: list[int], first: tuple[int, int]) -> list[nn.Module]:
    """A 7x7 convolution, then for every width one that strides (the first by `first`, later ones by 2) and one that stays."""
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 7, padding=3), nn.LeakyReLU(LEAK)]
    for i, (before, after) in enumerate(pairwise(widths)):
        kernel, stride = 5 if i < 3 else 3, first if i == 0 else (2, 2)
        layers += [nn.Conv2d(before, after, kernel, stride, kernel // 2), nn.LeakyReLU(LEAK)]
        layers += [nn.Conv2d(after, after, kernel, padding=kernel // 2), nn.LeakyReLU(LEAK)]
    return layers
