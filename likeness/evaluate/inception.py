"""The network behind FID: Inception v3 (Szegedy et al. 2016) as Heusel et al. 2017 used it.

The weights are TensorFlow's of 2015-12-05, as published for PyTorch by the project pytorch-fid. They differ from torchvision's:
mean pooling leaves the padding out of its count, and the last block pools by maximum.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from likeness.published import Published

INCEPTION = Published(
    what="FID",
    folder="fid",
    names=("pt_inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05.safetensors"),
    source="the release fid_weights of github.com/mseitzer/pytorch-fid",
    ignored=("*.num_batches_tracked",),
)
DIM = 2048
SIDE = 299
EPSILON = 1e-3  # of the batch norms

Layer = tuple[int, int, tuple[int, int], int, tuple[int, int]]  # channels in and out, kernel, stride, padding


def _square(into: int, out: int, side: int = 1, stride: int = 1, padding: int = 0) -> Layer:
    return into, out, (side, side), stride, (padding, padding)


def _wide(into: int, out: int, side: int = 7) -> Layer:
    return into, out, (1, side), 1, (0, side // 2)


def _tall(into: int, out: int, side: int = 7) -> Layer:
    return into, out, (side, 1), 1, (side // 2, 0)


def _block_a(into: int, pooled: int) -> dict[str, Layer]:
    return {
        "branch1x1": _square(into, 64),
        "branch5x5_1": _square(into, 48), "branch5x5_2": _square(48, 64, 5, 1, 2),
        "branch3x3dbl_1": _square(into, 64), "branch3x3dbl_2": _square(64, 96, 3, 1, 1),
        "branch3x3dbl_3": _square(96, 96, 3, 1, 1),
        "branch_pool": _square(into, pooled),
    }  # fmt: skip


def _block_c(middle: int) -> dict[str, Layer]:
    return {
        "branch1x1": _square(768, 192),
        "branch7x7_1": _square(768, middle), "branch7x7_2": _wide(middle, middle), "branch7x7_3": _tall(middle, 192),
        "branch7x7dbl_1": _square(768, middle), "branch7x7dbl_2": _tall(middle, middle),
        "branch7x7dbl_3": _wide(middle, middle), "branch7x7dbl_4": _tall(middle, middle),
        "branch7x7dbl_5": _wide(middle, 192),
        "branch_pool": _square(768, 192),
    }  # fmt: skip


def _block_e(into: int) -> dict[str, Layer]:
    return {
        "branch1x1": _square(into, 320),
        "branch3x3_1": _square(into, 384), "branch3x3_2a": _wide(384, 384, 3), "branch3x3_2b": _tall(384, 384, 3),
        "branch3x3dbl_1": _square(into, 448), "branch3x3dbl_2": _square(448, 384, 3, 1, 1),
        "branch3x3dbl_3a": _wide(384, 384, 3), "branch3x3dbl_3b": _tall(384, 384, 3),
        "branch_pool": _square(into, 192),
    }  # fmt: skip


STEM = {
    "Conv2d_1a_3x3": _square(3, 32, 3, 2), "Conv2d_2a_3x3": _square(32, 32, 3), "Conv2d_2b_3x3": _square(32, 64, 3, 1, 1),
    "Conv2d_3b_1x1": _square(64, 80), "Conv2d_4a_3x3": _square(80, 192, 3),
}  # fmt: skip
BLOCKS = {
    "Mixed_5b": _block_a(192, 32), "Mixed_5c": _block_a(256, 64), "Mixed_5d": _block_a(288, 64),
    "Mixed_6a": {
        "branch3x3": _square(288, 384, 3, 2), "branch3x3dbl_1": _square(288, 64),
        "branch3x3dbl_2": _square(64, 96, 3, 1, 1), "branch3x3dbl_3": _square(96, 96, 3, 2),
    },
    "Mixed_6b": _block_c(128), "Mixed_6c": _block_c(160), "Mixed_6d": _block_c(160), "Mixed_6e": _block_c(192),
    "Mixed_7a": {
        "branch3x3_1": _square(768, 192), "branch3x3_2": _square(192, 320, 3, 2),
        "branch7x7x3_1": _square(768, 192), "branch7x7x3_2": _wide(192, 192), "branch7x7x3_3": _tall(192, 192),
        "branch7x7x3_4": _square(192, 192, 3, 2),
    },
    "Mixed_7b": _block_e(1280), "Mixed_7c": _block_e(2048),
}  # fmt: skip
LAYERS = STEM | {f"{block}.{name}": layer for block, layers in BLOCKS.items() for name, layer in layers.items()}
NORM = ("weight", "bias", "running_mean", "running_var")


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of the published file; its classifier is read and not used."""
    found: dict[str, tuple[int, ...]] = {}
    for name, (into, out, kernel, _, _) in LAYERS.items():
        found[f"{name}.conv.weight"] = (out, into, *kernel)
        found |= {f"{name}.bn.{part}": (out,) for part in NORM}
    return found | {"fc.weight": (1008, DIM), "fc.bias": (1008,)}


class Inception:
    """Pictures to the 2048 features before the classifier."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """`tensors` as in `shapes`; batch norms are folded into the convolutions."""
        self.kernels, self.biases = {}, {}
        for name in LAYERS:
            weight, bias, mean, variance = (tensors[f"{name}.bn.{part}"] for part in NORM)
            scale = weight / (variance + EPSILON).sqrt()
            self.kernels[name] = tensors[f"{name}.conv.weight"] * scale[:, None, None, None]
            self.biases[name] = bias - mean * scale

    @staticmethod
    def in_place() -> Inception:
        """From the file that the user put in place. Raises MissingAsset, or BadInput for another file."""
        return Inception(INCEPTION.read(shapes()))

    @torch.no_grad()
    def features(self, picture: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "2048"]:
        """Of one RGB picture of any size."""
        x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        x = 2 * F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1
        x = F.max_pool2d(self._along(x, "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"), 3, 2)
        x = F.max_pool2d(self._along(x, "Conv2d_3b_1x1", "Conv2d_4a_3x3"), 3, 2)
        for block, layers in BLOCKS.items():
            x = self._block(block, layers, x)
        return x.mean((2, 3))[0].numpy()

    def _block(self, block: str, layers: Mapping[str, Layer], x: Tensor) -> Tensor:
        """One block: its branches side by side, in the order of their names in `BLOCKS`, pooling last."""
        branches: dict[str, list[str]] = {}
        for name in layers:
            branches.setdefault(name.partition("_")[0] if name != "branch_pool" else name, []).append(f"{block}.{name}")
        found = [self._branch(names, x) for branch, names in branches.items() if branch != "branch_pool"]
        if "branch_pool" not in branches:
            return torch.cat([*found, F.max_pool2d(x, 3, 2)], dim=1)
        maximum = block == "Mixed_7c"
        pooled = F.max_pool2d(x, 3, 1, 1) if maximum else F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return torch.cat([*found, self._along(pooled, f"{block}.branch_pool")], dim=1)

    def _branch(self, names: list[str], x: Tensor) -> Tensor:
        """A chain of layers; the last two are side by side where their names end in a and b."""
        if not names[-1].endswith("b"):
            return self._along(x, *names)
        x = self._along(x, *names[:-2])
        return torch.cat([self._along(x, name) for name in names[-2:]], dim=1)

    def _along(self, x: Tensor, *names: str) -> Tensor:
        for name in names:
            _, _, _, stride, padding = LAYERS[name]
            x = F.relu(F.conv2d(x, self.kernels[name], self.biases[name], stride, padding))
        return x
