"""A curve made steady over time, whole: symmetric, so that nothing lags, and straight lines stay what they are.

Whittaker's smoother (Eilers 2003, A perfect smoother, equations 4 to 7): the z with the least
sum of w (y - z)² + stiffness x sum of (second difference of z)². A mean over the frames to come, as in Wav2Lip and
HyperLips, leads a moving head by two frames; filtering in place, as HyperLips does with landmarks, is not symmetric.
It is least squares: one wild frame would pull a dozen others along, so a median of three comes first (Tukey 1977).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import solveh_banded


def stiffness(cutoff_hz: float | int, fps: float | int) -> float:
    """The stiffness that halves a sine of this frequency; slower ones pass. Raises ValueError beyond fps / 2."""
    if not 0 < cutoff_hz <= fps / 2:
        raise ValueError(f"a cutoff of {cutoff_hz} Hz cannot be seen at {fps} frames a second")
    return (2 - 2 * np.cos(2 * np.pi * cutoff_hz / fps)) ** -2


def tamed(values: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "time columns"]:
    """The columns without values that stand out alone: the median of each and its neighbours. The ends have one neighbour,
    and where a straight line would go from the next two (Tukey's rule). Curves that rise or fall stay as they are."""
    if len(values) < 4:
        return values
    inner = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    ends = np.median(np.stack([values[[0, -1]], inner[[0, -1]], 3 * inner[[0, -1]] - 2 * inner[[1, -2]]]), axis=0)
    return np.concatenate([ends[:1], inner, ends[1:]])


def steady(
    values: Float[np.ndarray, "time columns"], known: Bool[np.ndarray, " time"], stiff: float
) -> Float[np.ndarray, "time columns"]:
    """The columns smoothed, and filled in where not known. The input is left alone. Raises ValueError when nothing is known."""
    count = int(known.sum())
    if count == 0:
        raise ValueError("nothing is known of the curve")
    if count == 1 or len(values) < 3:
        return np.where(known[:, None], values, values[known].mean(0))
    length = len(values)
    band = np.zeros((3, length))  # the lower half of W + stiff D'D: its diagonal, and two below
    for i, a in enumerate((1.0, -2.0, 1.0)):
        for j, b in enumerate((1.0, -2.0, 1.0)[: i + 1]):
            band[i - j, j : length - 2 + j] += stiff * a * b
    band[0] += known
    return solveh_banded(band, np.where(known[:, None], values, 0.0), lower=True)
