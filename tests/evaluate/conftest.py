"""Networks that judge, as far as tests need them: the right interface, and nothing that was learned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from likeness.evaluate.experts import Experts
from likeness.evaluate.inception import DIM, Inception
from likeness.evaluate.syncnet import SyncNet
from likeness.nn.perceptual import BACKBONE, LINEAR, Lpips


class QuickInception(Inception):
    """Mean colours as features."""

    def __init__(self) -> None:
        pass

    def features(self, picture):
        return np.resize(picture.mean((0, 1)), DIM).astype(np.float32)


class QuickSyncNet(SyncNet):
    """Brightness at the chin, and loudness."""

    def __init__(self) -> None:
        super().__init__({})

    def lips(self, pictures):
        return pictures[:, :, 2, 150:200, 80:140].mean((1, 2, 3))[:, None].expand(-1, 1024)

    def sound(self, cepstra):
        return cepstra[:, 0, 0].mean(1)[:, None].expand(-1, 1024)


@pytest.fixture(scope="session")
def experts() -> Experts:
    generator = torch.Generator().manual_seed(0)
    backbone = {
        key: torch.randn(shape, generator=generator) * (math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1)
        for key, shape in BACKBONE.items()
    }
    linear = {key: torch.rand(shape, generator=generator) for key, shape in LINEAR.items()}
    return Experts(Lpips(backbone, linear), QuickInception(), QuickSyncNet())
