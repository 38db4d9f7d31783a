"""What makes numbers of a frame's sound, for each scale at which hypernets stand."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from likeness.nn.hyper.hearing import picture
from likeness.nn.hyper.settings import Settings
from likeness.nn.hyper.trunk import Context, Trunk

SCALES = 4
WIDTH = 96  # of the small ear: 0.15 million parameters
ROWS = 5  # what its two halvings leave of 20
CONTEXT = 128  # channels of the paper's LR-ASPP
MAPS = ((40, 8), (20, 4), (10, 2), (5, 1))  # of the trunk's taps on 80 x 16


class SmallEar(nn.Module):
    """Convolutions along time, 20 rows → 10 → 5, and one description for all scales. Every window by itself."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.sizes = (CONTEXT,) * SCALES
        self.layers = nn.Sequential(
            nn.Conv1d(columns, WIDTH, 3, padding=1), nn.GroupNorm(1, WIDTH), nn.ReLU(inplace=True),
            nn.Conv1d(WIDTH, WIDTH, 3, 2, 1), nn.GroupNorm(1, WIDTH), nn.ReLU(inplace=True),
            nn.Conv1d(WIDTH, WIDTH, 3, 2, 1), nn.GroupNorm(1, WIDTH), nn.ReLU(inplace=True),
            nn.Flatten(), nn.Linear(ROWS * WIDTH, CONTEXT), nn.LeakyReLU(0.01),
        )  # fmt: skip

    def forward(self, windows: Float[Tensor, "n columns 20"]) -> tuple[Float[Tensor, "n _"], ...]:
        return (self.layers(windows),) * SCALES


class PictureEar(nn.Module):
    """The paper's: a trunk on the mel as a picture of 80 x 16, its maps flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(1)
        self.context = Context(self.trunk.channels[-1], CONTEXT)
        channels = (*self.trunk.channels[:-1], CONTEXT)
        self.sizes = tuple(c * height * width for c, (height, width) in zip(channels, MAPS))

    def forward(self, windows: Float[Tensor, "n 80 20"]) -> tuple[Float[Tensor, "n _"], ...]:
        *fine, coarse = self.trunk(picture(windows))
        return tuple(maps.flatten(1) for maps in (*fine, self.context(coarse)))


def ear(settings: Settings) -> SmallEar | PictureEar:
    """The ear of these settings; `sizes` are the numbers it gives, for the finest scale to the coarsest."""
    return PictureEar() if settings.ear == "picture" else SmallEar(settings.columns)
