"""What moves the face as a code of a frame, and the attention that smooths codes (GeneFace, Ye et al. 2023; AD-NeRF)."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from likeness.nn.vanilla.settings import Settings

LEAK = 0.02
CONVOLUTIONS = (32, 32, 64, 64)
HIDDEN = 64
DEEPEST = 2 ** len(CONVOLUTIONS)  # frames that the convolutions fold into one


class ConditionCode(nn.Module):
    """Windows of numbers to codes. Raises ValueError for a window that the convolutions cannot fold."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        if not 1 <= settings.window <= DEEPEST or settings.smooth < 1:
            raise ValueError(
                f"a code of {settings.window} frames, {settings.smooth} weighed: 1 to {DEEPEST}, and 1 or more, work"
            )
        self.window, self.smooth = settings.window, settings.smooth
        layers: list[nn.Module] = []
        for before, after in pairwise((settings.inputs, *CONVOLUTIONS)):
            layers += [nn.Conv1d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(LEAK)]
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(nn.Linear(CONVOLUTIONS[-1], HIDDEN), nn.LeakyReLU(LEAK), nn.Linear(HIDDEN, settings.code))
        layers = []
        for before, after in pairwise((settings.code, 16, 8, 4, 2, 1)):
            layers += [nn.Conv1d(before, after, 3, padding=1), nn.LeakyReLU(LEAK)]
        self.attention = nn.Sequential(*layers)
        self.weigh = nn.Linear(settings.smooth, settings.smooth)

    def forward(self, near: Float[Tensor, "frames around inputs"], smooth: bool) -> Float[Tensor, "frames code"]:
        """Codes of frames among their neighbours: the frame's own, or with `smooth` a weighed mean of those
        round it."""
        if not smooth:
            first = self.smooth // 2
            return self._single(near[:, first : first + self.window])
        windows = near.unfold(1, self.window, 1).transpose(2, 3)  # frames smooth window inputs
        codes = self._single(windows.flatten(0, 1)).unflatten(0, (-1, self.smooth))
        share = self.weigh(self.attention(codes.transpose(1, 2))[:, 0]).softmax(-1)
        return (codes * share[..., None]).sum(1)

    def _single(self, windows: Float[Tensor, "n window inputs"]) -> Float[Tensor, "n code"]:
        return self.dense(self.convolutions(windows.transpose(1, 2))[..., 0])
