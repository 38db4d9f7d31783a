"""Mel-frequency cepstral coefficients as SyncNet was trained on them.

Davis and Mermelstein 1980, with the defaults of the package python_speech_features, which the reference procedure calls:
rectangular windows, energy in the place of the first coefficient, sine lifter of 22. Other mel features would not do.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.fft import dct

from likeness.audio import RATE

LENGTH, STEP, FFT = 400, 160, 512  # 25 ms every 10 ms
FILTERS, COEFFICIENTS, LIFTER = 26, 13, 22
EMPHASIS = 0.97


def mfcc(waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "rows 13"]:
    """100 rows a second of a waveform in -1 .. 1 at 16 kHz; row r hears the samples from 160 r to 160 r + 400, zeros beyond
    the end. Values are those of 16-bit samples, as in the reference."""
    samples = np.round(waveform.astype(np.float64) * 32767)
    rising = np.append(samples[:1], samples[1:] - EMPHASIS * samples[:-1])
    rows = 1 + max(0, -(-(len(rising) - LENGTH) // STEP))
    rising = np.pad(rising, (0, max(0, (rows - 1) * STEP + LENGTH - len(rising))))
    frames = np.lib.stride_tricks.sliding_window_view(rising, LENGTH)[::STEP][:rows]
    power = np.square(np.abs(np.fft.rfft(frames, FFT))) / FFT
    smallest = np.finfo(float).eps
    energy = power.sum(1)
    bands = power @ filters().T
    cepstrum = np.asarray(dct(np.log(np.where(bands == 0, smallest, bands)), type=2, axis=1, norm="ortho"))[:, :COEFFICIENTS]
    cepstrum *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    cepstrum[:, 0] = np.log(np.where(energy == 0, smallest, energy))
    return cepstrum


def filters() -> Float[np.ndarray, "26 bins"]:
    """Triangles of height 1 whose corners are whole bins, evenly spaced in mel from 0 to 8 kHz."""
    mel = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), FILTERS + 2)
    corner = np.floor((FFT + 1) * 700 * (10 ** (mel / 2595) - 1) / RATE)
    bins = np.arange(FFT // 2 + 1)
    low, middle, high = (corner[i : i + FILTERS, None] for i in range(3))
    rise = (bins - low) / np.maximum(middle - low, 1)
    fall = (high - bins) / np.maximum(high - middle, 1)
    return np.where((bins >= low) & (bins < middle), rise, np.where((bins >= middle) & (bins < high), fall, 0.0))
