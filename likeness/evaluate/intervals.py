"""How sure a figure is: bootstrap intervals over blocks of frames, because neighbouring frames are alike.

Circular block bootstrap (Politis and Romano 1992) with percentiles (Efron and Tibshirani 1993, section 13.3). The blocks
are the same for every metric and row of an evaluation, so that rows can be compared draw by draw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

BLOCK = 12
"""Frames in a block: half a second, beyond which lips and pose have mostly changed. At most a quarter of the frames."""
DRAWS = 1000
LEVEL = 0.95
SEED = 0


@dataclass(frozen=True)
class Sample:
    """The values that a figure is made of: one row a frame (or a pair or window of frames), in order. A mean leaves NaN out,
    and is NaN where there is nothing else."""

    values: Float[np.ndarray, "time *rest"]
    statistic: Callable[[Float[np.ndarray, "time *rest"]], float] | None = None
    """From rows to the figure; None: their mean."""

    @property
    def figure(self) -> float:
        if self.statistic is not None:
            return float(self.statistic(self.values))
        return float(_means(self.values[None].reshape(1, -1))[0])

    def interval(self) -> list[float]:
        """[low, high] of 95 % of the draws. Holds for this clip's frames, not for other clips or other trainings."""
        if not len(self.values):
            return [np.nan, np.nan]
        index = draws(len(self.values))
        if self.statistic is None:
            found = _means(self.values.reshape(len(self.values), -1).mean(1)[index])
        else:
            found = np.array([self.statistic(self.values[rows]) for rows in index])
        tail = 100 * (1 - LEVEL) / 2
        return [float(v) for v in np.nanpercentile(found, [tail, 100 - tail])] if np.isfinite(found).any() else [np.nan] * 2


def _means(rows: Float[np.ndarray, "draws time"]) -> Float[np.ndarray, " draws"]:
    there = np.isfinite(rows)
    return np.where(there, rows, 0).sum(1) / np.where(there.any(1), there.sum(1), np.nan)


def draws(length: int) -> Int[np.ndarray, "draws length"]:
    """Row numbers of each draw: blocks with random beginnings, going on at the front where the end is reached."""
    block = min(BLOCK, max(1, length // 4))
    count = -(-length // block)
    first = np.random.default_rng(SEED).integers(0, length, (DRAWS, count, 1))
    return ((first + np.arange(block)) % length).reshape(DRAWS, -1)[:, :length]
