"""Sound to the shape of a mouth, for anybody: what a base face is told where no voice of its own is known.

Kernel regression over the frames round each one, of many people. On 22 people in three folds (12.6 minutes) it foretells the
first number of strangers' shapes with r .63 (mean of their videos), where a small convolutional net had .44. Regression moves
less than life; `gain` gives back what it lacks, as far as a number can be foretold at all.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import ROWS_PER_FRAME, Hearing, activity_rows, levels
from likeness.nn.hyper.settings import SHAPE
from likeness.nn.regression import Regression, tapered
from likeness.phones import PHONES
from likeness.speech import BANDS, probabilities

PAST, FUTURE = 4, 2
"""Frames that it hears round each one. Five and four gain nothing (.66)."""
FEATURES = ("mel", "phones")
TAPER = 2.2
"""Standard deviation in frames of the weight that a window's frames have."""
MEL = 0.35
"""What mel counts beside phones, which do without it at .58. Twice and half as much are the same."""
SPREAD_FLOOR = 0.05  # of a phone's probability: rare phones must not shout
KEYS = 3000


class Articulation(Regression):
    """Windows of raw features (`FEATURES` side by side) to shapes; every window by itself."""

    centre: Tensor
    spread: Tensor
    gain: Tensor

    def __init__(self) -> None:
        super().__init__(KEYS, (PAST + 1 + FUTURE) * (BANDS + len(PHONES)), SHAPE)
        self.register_buffer("centre", torch.zeros(len(PHONES)))
        self.register_buffer("spread", torch.ones(len(PHONES)))
        self.register_buffer("gain", torch.ones(SHAPE))

    def forward(self, windows: Float[Tensor, "n rows dim"], mean: Float[Tensor, " dim"]) -> Float[Tensor, "n shape"]:
        """Shapes as they are expected, without the gain. `windows` of `PAST` frames before and `FUTURE` behind; `mean` over the
        rows of the whole sound in which somebody speaks (`spoken_mean`): how loud and how coloured a voice is, is taken out."""
        return self.answered(self._compared(windows, mean))

    def spoken(self, windows: Float[Tensor, "n rows dim"], mean: Float[Tensor, " dim"]) -> Float[Tensor, "n shape"]:
        """Shapes that move as much as real ones."""
        return self(windows, mean) * self.gain

    @torch.no_grad()
    def learn(
        self, heard: list[tuple[Float[Tensor, "_ rows dim"], Float[Tensor, " dim"]]], shapes: Float[Tensor, "n shape"]
    ) -> None:
        """Solve it; windows of each sound with its mean, all sounds' shapes one after the other."""
        phones = torch.cat([self._frames(windows)[..., BANDS:].flatten(0, 1) for windows, _ in heard])
        self.centre.copy_(phones.mean(0))
        self.spread.copy_(phones.std(0).clamp_min(SPREAD_FLOOR))
        self.fit(torch.cat([self._compared(*one) for one in heard]), shapes)

    def _compared(self, windows: Float[Tensor, "n rows dim"], mean: Float[Tensor, " dim"]) -> Float[Tensor, "n window"]:
        mel, phones = self._frames(windows).split([BANDS, len(PHONES)], -1)
        mel = MEL * (mel - mean[:BANDS]) * BANDS**-0.5
        phones = (phones - self.centre) / self.spread * len(PHONES) ** -0.5
        return tapered(torch.cat([mel, phones], -1).transpose(-1, -2), PAST, TAPER)

    @staticmethod
    def _frames(windows: Float[Tensor, "n rows dim"]) -> Float[Tensor, "n frames dim"]:
        """Means over each frame's rows; phones as probabilities."""
        mel, phones = windows.split([BANDS, len(PHONES)], -1)
        return torch.cat([mel, probabilities(phones)], -1).unflatten(1, (-1, ROWS_PER_FRAME)).mean(2)


def spoken_mean(rows: Float[Tensor, "rows dim"]) -> Float[Tensor, " dim"]:
    """Mean of the rows of a sound, `FEATURES` side by side, in which somebody speaks; of all where nobody does.

    With pauses in it, a mean says that the voice is quiet: 2 s of silence behind 8 s of speech moved the first number of all
    shapes by half of its spread.
    """
    decibels = (10 / math.log(10) * rows[:, :BANDS].logsumexp(1)).numpy()
    active = torch.from_numpy(activity_rows(decibels, levels(decibels))[0])
    return (rows[active] if active.any() else rows).mean(0)


EARS = Hearing(FEATURES, PAST, FUTURE)
"""What it hears of a sound."""
