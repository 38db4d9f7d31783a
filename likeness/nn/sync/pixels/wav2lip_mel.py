"""The mel that Wav2Lip's networks hear (Prajwal et al. 2020): another recipe than `likeness.speech` has, 80 columns a second.

Pre-emphasis .97; 50 ms of Hann every 12.5 ms; magnitudes, not powers, in 80 bands of Slaney's scale from 55 to 7600 Hz, each
of area 1; decibels from -100, moved by -20, as -4 (silence) to 4. It is made of the waveform: what can be made of our own mel
is 2.5 dB off in the mean over a low synthetic voice and 4.2 over a high one (below 1 kHz 4.5 and 7.2), for its 25 ms do not
resolve the harmonics that these 50 ms do.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import RATE

EMPHASIS = 0.97
LENGTH, STEP = 800, 200
BANDS, LOWEST_HZ, HIGHEST_HZ = 80, 55.0, 7600.0
QUIETEST_DB, REFERENCE_DB, PEAK = -100.0, 20.0, 4.0
LINEAR_HZ, A_MEL_HZ, LOG_MEL = 1000.0, 200 / 3, np.log(6.4) / 27
"""Slaney's scale (Auditory Toolbox): straight below 1 kHz, 15 mel there; logarithmic beyond."""


def mel(sound: Float[Tensor, "*n samples"]) -> Float[Tensor, "*n 80 columns"]:
    """Of sound at 16 kHz, -1 .. 1, whose first sample only the pre-emphasis of the second hears. Column c hears the samples
    1 + 200 c .. 800 + 200 c, and its middle is 401 + 200 c: what lies beyond the ends is for the caller to give."""
    rising = sound[..., 1:] - EMPHASIS * sound[..., :-1]
    pieces = rising.unfold(-1, LENGTH, STEP) * torch.hann_window(LENGTH, device=sound.device)
    bands = torch.fft.rfft(pieces).abs() @ _bank().to(sound.device).T
    decibels = 20 * bands.clamp_min(10 ** (QUIETEST_DB / 20)).log10() - REFERENCE_DB
    return (2 * PEAK * (decibels - QUIETEST_DB) / -QUIETEST_DB - PEAK).clamp(-PEAK, PEAK).transpose(-1, -2)


@cache
def _bank() -> Float[Tensor, "80 bins"]:
    """Triangles of area 1 in hertz."""
    ends = _mels(np.array([LOWEST_HZ, HIGHEST_HZ]))
    edges = _hertz(np.linspace(ends[0], ends[1], BANDS + 2))
    bins = np.linspace(0, RATE / 2, LENGTH // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)).clip(0)
    return torch.from_numpy(2 / (high - low) * triangles).float()


def _mels(hertz: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    beyond = LINEAR_HZ / A_MEL_HZ + np.log(np.maximum(hertz, LINEAR_HZ) / LINEAR_HZ) / LOG_MEL
    return np.where(hertz < LINEAR_HZ, hertz / A_MEL_HZ, beyond)


def _hertz(mels: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    knee = LINEAR_HZ / A_MEL_HZ
    return np.where(mels < knee, mels * A_MEL_HZ, LINEAR_HZ * np.exp(LOG_MEL * (mels - knee)))
