"""A cloud of Gaussians in front of a slightly turned camera, in any precision."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from likeness.kernels.projection_reference import rotation_matrices


class Cloud(NamedTuple):
    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor

    def to(self, dtype: torch.dtype) -> "Cloud":
        return Cloud(*(tensor.detach().to(dtype).requires_grad_() for tensor in self))


class View(NamedTuple):
    viewmat: Tensor
    focal: tuple[float, float]
    centre: tuple[float, float]
    size: tuple[int, int]


def make_cloud(n: int, seed: int = 0, channels: int = 3) -> Cloud:
    random = torch.Generator().manual_seed(seed)
    spread = torch.tensor([0.5, 0.5, 0.2])
    means = (torch.rand(n, 3, generator=random) - 0.5) * spread
    quats = torch.randn(n, 4, generator=random)
    scales = torch.exp(torch.rand(n, 3, generator=random) * 1.5 - 4.8)
    opacities = torch.rand(n, generator=random) * 0.9 + 0.05
    return Cloud(means, quats, scales, opacities, torch.rand(n, channels, generator=random)).to(torch.float32)


def make_view(width: int, height: int) -> View:
    viewmat = torch.eye(4)
    viewmat[:3, :3] = rotation_matrices(torch.tensor([[1.0, 0.1, 0.2, -0.05]]))[0]
    viewmat[2, 3] = 0.8
    return View(viewmat, (1.1 * width, 1.2 * width), (0.52 * width, 0.47 * height), (width, height))


@pytest.fixture(scope="session")
def cloud() -> Callable[..., Cloud]:
    return make_cloud


@pytest.fixture(scope="session")
def view() -> Callable[[int, int], View]:
    return make_view
