"""How different two pictures look: LPIPS where its weights are in place, else a distance of Laplacian pyramids.

`perceptual_loss()` chooses and its `name` says which it is, for the log of a training run. Both take pictures as the
rest of likeness has them (RGB 0..1, channels last, 32 pixels or more to a side) and give one number a picture, 0 where
both are equal. Their scales differ: a weight that was chosen for one says nothing about the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likeness.published import Published

SMALLEST = 32
"""Pixels to a side that both distances need: below, AlexNet has nothing left to pool."""
Pictures = Float[Tensor, "*batch height width 3"]
Mask = Float[Tensor, "*batch height width"]

LAYERS = {  # index in torchvision's `features`: channels in, channels out, side of the kernel, stride, padding
    0: (3, 64, 11, 4, 2),
    3: (64, 192, 5, 1, 2),
    6: (192, 384, 3, 1, 1),
    8: (384, 256, 3, 1, 1),
    10: (256, 256, 3, 1, 1),
}
BACKBONE = {f"features.{i}.weight": (out, into, side, side) for i, (into, out, side, _, _) in LAYERS.items()}
BACKBONE |= {f"features.{i}.bias": (out,) for i, (_, out, _, _, _) in LAYERS.items()}
LINEAR = {f"lin{i}.model.1.weight": (1, out, 1, 1) for i, (_, out, _, _, _) in enumerate(LAYERS.values())}
ALEXNET = Published(
    what="LPIPS",
    folder="lpips",
    names=("alexnet-owt-7be5be79.pth", "alexnet.safetensors"),
    source="download.pytorch.org/models",
    ignored=("classifier.*",),
)
WEIGHTS = Published(
    what="LPIPS",
    folder="lpips",
    names=("alex.pth", "alex.safetensors"),
    source="lpips/weights/v0.1 of github.com/richzhang/PerceptualSimilarity",
)


class LaplacianDistance(nn.Module):
    """Sum over the levels of a Laplacian pyramid (Burt and Adelson 1983) of the mean absolute difference.

    Ling and Okada 2006; Bojanowski et al. 2018 train with it as Lap1 and weight level j by 4^j in a sum over pixels, which
    is 1 in the mean over its own, as here. The last level is the low-pass that is left over. Linear in the contrast.
    """

    name: ClassVar[str] = "laplacian"

    def __init__(self, weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)) -> None:
        """`weights` of the levels, fine to coarse; 4 levels leave a low-pass of 4 pixels to the smallest picture."""
        super().__init__()
        self.weights = weights

    def forward(self, a: Pictures, b: Pictures, mask: Mask | None = None) -> Float[Tensor, "*batch"]:
        """Outside the mask (1 counts, 0 does not) both pictures are taken for equal. Raises ValueError under 32 pixels."""
        require_size("LaplacianDistance", a)
        batch = a.shape[:-3]
        # The pyramid is linear: that of the difference is the difference of both.
        band = _planes(a - b if mask is None else mask[..., None] * (a - b))
        total = band.new_zeros(len(band))
        for weight in self.weights[:-1]:
            coarse = _blur(band)[..., ::2, ::2]
            spread = band.new_zeros(band.shape)
            spread[..., ::2, ::2] = 4 * coarse
            total = total + weight * (band - _blur(spread)).abs().mean((1, 2, 3))
            band = coarse
        total = total + self.weights[-1] * band.abs().mean((1, 2, 3))
        return total.reshape(batch)


class Lpips(nn.Module):
    """LPIPS v0.1 over AlexNet (Zhang et al. 2018, equation 1): squared differences of features that are normalised at each
    place, weighted by channel, averaged over the picture and summed over the five stages of convolution.

    Frozen: gradients reach the pictures only.
    """

    name: ClassVar[str] = "lpips"
    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
        """`backbone` and `linear` are tensors of the shapes `BACKBONE` and `LINEAR`."""
        super().__init__()
        for i, layer in enumerate(LAYERS):
            self.register_buffer(f"kernel{i}", backbone[f"features.{layer}.weight"].float())
            self.register_buffer(f"bias{i}", backbone[f"features.{layer}.bias"].float())
            self.register_buffer(f"linear{i}", linear[f"lin{i}.model.1.weight"].float().reshape(-1))
        # The mean and spread of ImageNet's colours, for pictures in -1..1, as LPIPS rounds them.
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])

    @staticmethod
    def in_place() -> Lpips:
        """From the weights that the user put in place; nothing is ever fetched.

        Raises MissingAsset where there are none, BadInput where a file holds something else.
        """
        return Lpips(ALEXNET.read(BACKBONE), WEIGHTS.read(LINEAR))

    def forward(self, a: Pictures, b: Pictures, mask: Mask | None = None) -> Float[Tensor, "*batch"]:
        """Outside the mask (1 counts, 0 does not) both pictures are taken for equal. Raises ValueError under 32 pixels."""
        require_size("Lpips", a)
        if mask is not None:
            a = b + mask[..., None] * (a - b)
        total = a.new_zeros(a.shape[:-3].numel())
        for i, (x, y) in enumerate(zip(self._stages(a), self._stages(b))):
            difference = (_normalised(x) - _normalised(y)).square()
            total = total + torch.einsum("bchw,c->bhw", difference, self.get_buffer(f"linear{i}")).mean((1, 2))
        return total.reshape(a.shape[:-3])

    def _stages(self, pictures: Pictures) -> list[Float[Tensor, "batch channels rows columns"]]:
        """What AlexNet's five convolutions say, rectified (Krizhevsky 2014)."""
        x = (2 * _planes(pictures) - 1 - self.shift) / self.scale
        stages = []
        for i, (_, _, _, stride, padding) in enumerate(LAYERS.values()):
            if i in (1, 2):
                x = F.max_pool2d(x, 3, 2)
            x = F.relu(F.conv2d(x, self.get_buffer(f"kernel{i}"), self.get_buffer(f"bias{i}"), stride, padding))
            stages.append(x)
        return stages


def perceptual_loss(wanted: Literal["auto", "lpips", "laplacian"] = "auto") -> Lpips | LaplacianDistance:
    """LPIPS where its weights are in place, otherwise Laplacian pyramids; or the one that is wanted. `name` tells which.

    Raises MissingAsset where LPIPS is wanted and not there, or one of its two files is missing, and BadInput where they
    hold something else: who put weights there means them to be used.
    """
    if wanted == "laplacian" or (wanted == "auto" and not (ALEXNET.path or WEIGHTS.path)):
        return LaplacianDistance()
    return Lpips.in_place()


# ---- pictures


def require_size(what: str, pictures: Pictures) -> None:
    """Raise ValueError where a side has fewer than SMALLEST pixels."""
    height, width = pictures.shape[-3:-1]
    if min(height, width) < SMALLEST:
        raise ValueError(f"{what}: pictures of {width} x {height}; {SMALLEST} pixels to a side are needed")


def _planes(pictures: Pictures) -> Float[Tensor, "flat 3 height width"]:
    return pictures.reshape(-1, *pictures.shape[-3:]).permute(0, 3, 1, 2)


def _normalised(x: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch channels rows columns"]:
    # vector_norm, as the derivative of a root of a sum of squares is not finite where a place has no feature at all
    return x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-10)


def _blur(x: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
    """Burt and Adelson's five taps, mirrored at the border: so the zeros between spread samples stay where they are."""
    taps = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    x = F.pad(x, (2, 2, 2, 2), mode="reflect")
    x = F.conv2d(x, taps.view(1, 1, 5, 1).expand(3, 1, 5, 1), groups=3)
    return F.conv2d(x, taps.view(1, 1, 1, 5).expand(3, 1, 1, 5), groups=3)
