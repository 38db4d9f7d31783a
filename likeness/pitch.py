"""How high a voice is: fundamental frequency by autocorrelation, after Boersma (1993), 100 rows a second.

Autocorrelation of a windowed piece, divided by the window's own, is high at the period of a voiced sound. Of the few best
peaks of each row (and of being unvoiced) one path is chosen over time, in which jumps of pitch and of voicing cost. The
numbers are Boersma's, GeneFace's where it differs (80 to 750 Hz, voiced above 0.6).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.fft import irfft, rfft

RATE = 16000
STEP = 160
"""Samples in a row: 10 ms."""
LOWEST, HIGHEST = 80.0, 750.0
"""Hz."""
RECIPE = "autocorrelation of 640 under hann, 80-750 Hz, voiced .6, 6 candidates, octave cost .01, jumps .35, voicing .14; 1"
WINDOW = 3 * round(RATE / LOWEST) + 40  # three periods of the lowest voice: 40 ms
SPAN = 2048  # of the Fourier transform: more than window and longest lag together
CANDIDATES = 6
VOICED, SILENT = 0.6, 0.03  # strength above which a row is voiced; share of the loudest below which it is silent
OCTAVE_COST, JUMP_COST, VOICING_COST = 0.01, 0.35, 0.14
CHUNK = 6000  # rows at a time


def f0(waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " rows"]:
    """Hertz of every whole 10 ms of a 16 kHz waveform, 0 where unvoiced."""
    rows = len(waveform) // STEP
    if rows == 0:
        return np.zeros(0, np.float32)
    before = (WINDOW - STEP) // 2
    padded = np.pad(np.asarray(waveform, np.float32), (before, WINDOW))
    loudest = float(np.abs(waveform - waveform.mean()).max())
    pieces = [_candidates(padded, start, min(start + CHUNK, rows), loudest) for start in range(0, rows, CHUNK)]
    hertz, strength = (np.concatenate(part) for part in zip(*pieces))
    return hertz[np.arange(rows), _path(hertz, strength)].astype(np.float32)


def _candidates(
    padded: Float[np.ndarray, " samples"], start: int, stop: int, loudest: float
) -> tuple[Float[np.ndarray, "rows candidates"], Float[np.ndarray, "rows candidates"]]:
    """Frequencies (the first is 0: unvoiced) and strengths for rows start .. stop-1."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[start * STEP : (stop - 1) * STEP + 1 : STEP]
    window = np.hanning(WINDOW + 2)[1:-1]
    centred = windows - windows.mean(1, keepdims=True)
    longest = int(RATE / LOWEST) + 2
    own = irfft(np.abs(rfft(window, SPAN)) ** 2)[: longest + 1]
    power = irfft(np.abs(rfft(centred * window, SPAN, axis=1)) ** 2, axis=1)[:, : longest + 1]
    similar = power / np.maximum(power[:, :1], 1e-12) * (own[0] / own)
    shortest = int(RATE / HIGHEST)
    left, middle, right = similar[:, shortest - 1 : -2], similar[:, shortest:-1], similar[:, shortest + 1 :]
    bend = left - 2 * middle + right
    peak = (middle >= left) & (middle > right) & (bend < 0)
    shift = np.where(peak, 0.5 * (left - right) / np.where(peak, bend, 1.0), 0.0)
    height = np.where(peak, middle - 0.25 * (left - right) * shift, -1.0)
    height = np.where(height > 1, 1 / np.maximum(height, 1e-9), height)
    hertz = RATE / (np.arange(shortest, longest) + shift)
    score = np.where(peak, height + OCTAVE_COST * np.log2(hertz / LOWEST), -1.0)
    best = np.argpartition(score, -CANDIDATES, axis=1)[:, -CANDIDATES:]
    strength, found = np.take_along_axis(score, best, 1), np.take_along_axis(hertz, best, 1)
    loud = np.abs(centred).max(1) / max(loudest, 1e-9)
    unvoiced = VOICED + np.maximum(0.0, 2 - loud * (1 + VOICED) / SILENT)
    zero = np.zeros((len(found), 1))
    return np.concatenate([zero, found], 1), np.concatenate([unvoiced[:, None], strength], 1)


def _path(
    hertz: Float[np.ndarray, "rows candidates"], strength: Float[np.ndarray, "rows candidates"]
) -> Int[np.ndarray, " rows"]:
    """Which candidate in each row: the strongest path (Viterbi)."""
    voiced = hertz > 0
    octave = np.log2(np.where(voiced, hertz, 1.0))
    total = strength[0]
    came = np.zeros(hertz.shape, np.int64)
    for row in range(1, len(hertz)):
        both = voiced[row - 1][:, None] & voiced[row]
        change = voiced[row - 1][:, None] != voiced[row]
        cost = JUMP_COST * np.abs(octave[row - 1][:, None] - octave[row]) * both + VOICING_COST * change
        options = total[:, None] - cost
        came[row] = options.argmax(0)
        total = options[came[row], np.arange(options.shape[1])] + strength[row]
    path = np.empty(len(hertz), np.int64)
    path[-1] = int(total.argmax())
    for row in range(len(hertz) - 1, 0, -1):
        path[row - 1] = came[row, path[row]]
    return path
