"""Networks that judge, as far as tests need them: the right interface, and nothing that was learned."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from torch import nn

from likeness.evaluate.experts import Experts
from likeness.evaluate.inception import DIM, Inception
from likeness.evaluate.syncnet import SyncNet
from likeness.nn.perceptual import Lpips


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


class QuickLpips(Lpips):
    """Mean absolute difference."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, a, b, mask=None):
        return (a - b).abs().mean((-3, -2, -1))


@pytest.fixture(scope="session")
def experts() -> Iterator[Experts]:
    """Stand-ins; the shared clip holds out 14 frames, of which SyncNet's is judged, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("likeness.evaluate.syncnet.SMALLEST_STRETCH", 13)
        yield Experts(QuickLpips(), QuickInception(), QuickSyncNet())
