"""What the lip generator hears of a frame: 0.2 s of sound, from one frame before it.

HyperLips (as Wav2Lip, Prajwal et al. 2020) takes 16 columns of mel, 12.5 ms each, that begin with frame f - 1 in training but
with frame f in use, so its lips come a frame early. Here there is one convention, `HEARING`: the rows of frames f - 1 .. f + 3,
in training and in use. The mel is likeness' own, 10 ms a row, so a window has 20 rows; the same 0.2 s.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from likeness.audio import Hearing
from likeness.speech import FLOOR, RECIPES, probabilities

HEARABLE = ("mel", "phones")
PAST, FUTURE = 1, 3  # frames of 5 in all
PICTURE = 16
"""Columns of the published window."""
LOUDEST = 4.76
"""ln of the power of a full-scale sine in its mel band, the highest over 150 frequencies of 80 to 7600 Hz (at 7 kHz, where
a band holds all that the window spreads)."""
PEAK = 4.0
"""Of the normalised mel, as in Wav2Lip: silence is -4, a full-scale sine 4."""


def hearing(features: tuple[str, ...]) -> Hearing:
    """The convention: which rows of sound belong to a frame. `hearing(...).window` and `.windows` cut them."""
    return Hearing(features, PAST, FUTURE)


def normalised(
    windows: Float[Tensor, "*batch rows columns"], features: tuple[str, ...]
) -> Float[Tensor, "*batch columns rows"]:
    """Windows of raw features as the generator takes them: columns first, mel from -4 (silence) to 4, phones as probabilities.

    The scale is fixed, so that live sound, a file and a part of it are heard alike, and silence has no statistics to divide by.
    """
    found, at = [], 0
    for name in features:
        rows = windows[..., at : at + RECIPES[name].dim]
        at += RECIPES[name].dim
        if name == "mel":
            quietest = math.log(FLOOR)
            found.append(2 * PEAK * (rows - quietest) / (LOUDEST - quietest) - PEAK)
        else:
            found.append(2 * probabilities(rows))
    return torch.cat(found, dim=-1).transpose(-1, -2)


def picture(windows: Float[Tensor, "n columns rows"]) -> Float[Tensor, "n 1 columns 16"]:
    """The window as the published picture: 20 rows of 10 ms read off at the middles of 16 columns of 12.5 ms."""
    return interpolate(windows, size=PICTURE, mode="linear", align_corners=False)[:, None]
