"""Tests of what a table hides: sound that is wrong must hurt, and nobody may follow an original that was not shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from likeness.evaluate import metrics
from likeness.evaluate.figures import FEWEST
from likeness.evaluate.intervals import Sample
from likeness.evaluate.judge import Measured

LARGE = 0.5
"""A correlation that a check must be able to see, to say that there is none."""


def mismatched_sound(shifted: Measured, mean: Measured, by: int) -> dict[str, Any]:
    """With the sound of `by` frames later a portrait must be worse at the mouth than with mean lips: else it hardly moves
    them, or does not hear. `mouth_db` and `lmd_px` are how much worse (positive), with their intervals, frame by frame.

    Passed where both intervals lie above 0; None, which cannot be told, where one of them holds 0.
    """
    if "lmd" not in shifted.samples or "lmd" not in mean.samples:
        return {"by": by, "passed": None}
    mouth = Sample(mean.samples["mouth"].values - shifted.samples["mouth"].values)
    lips = Sample(shifted.samples["lmd"].values - mean.samples["lmd"].values)
    low = min(mouth.interval()[0], lips.interval()[0])
    return {
        "by": by,
        "mouth_db": mouth.figure,
        "mouth_db_interval": mouth.interval(),
        "lmd_px": lips.figure,
        "lmd_px_interval": lips.interval(),
        "passed": True if low > 0 else False if min(mouth.figure, lips.figure) <= 0 else None,
    }


def leak(
    drawn: Float[np.ndarray, " time"],
    hidden: Float[np.ndarray, " time"],
    heard: Float[np.ndarray, " time"],
    mean_lips: Float[np.ndarray, " time"],
) -> dict[str, Any]:
    """Whether lips that say one thing (`heard`: lip opening, or loudness) follow the original of the frames that lend pose and
    eyes (`hidden`). `mean_lips` is drawn with the same poses, but lips that do not move: what follows by pose alone, really or
    by the detector. NaN where a face was not found; such frames are left out.

    `r_hidden` and `r_heard` are correlations of the drawn opening, `r_chance` that of both originals; `r_leak` is the partial
    correlation with the hidden one, that with `heard` and `mean_lips` taken out. Failed where its interval lies above 0,
    passed where it does not and lies below LARGE; None, which cannot be told, where it is too wide.
    """
    rows = np.stack([drawn, hidden, heard, mean_lips], axis=1).astype(np.float64)
    rows = rows[np.isfinite(rows).all(1)]
    if len(rows) < FEWEST:
        return {"passed": None}
    partly = Sample(rows, partial)
    low, high = partly.interval()
    return {
        "r_hidden": metrics.follows(rows[:, 0], rows[:, 1])[0],
        "r_heard": metrics.follows(rows[:, 0], rows[:, 2])[0],
        "r_chance": metrics.follows(rows[:, 1], rows[:, 2])[0],
        "r_mean_lips": metrics.follows(rows[:, 3], rows[:, 1])[0],
        "r_leak": partly.figure,
        "r_leak_interval": [low, high],
        "passed": False if low > 0 else True if high < LARGE else None,
    }


def partial(rows: Float[np.ndarray, "time columns"]) -> float:
    """Correlation of the first two columns, what both have linearly from the others taken out; 0 where nothing is left."""
    others = np.column_stack([rows[:, 2:], np.ones(len(rows))])
    left = rows[:, :2] - others @ np.linalg.lstsq(others, rows[:, :2], rcond=None)[0]
    scale = np.linalg.norm(rows[:, :2] - rows[:, :2].mean(0), axis=0)
    nothing = np.linalg.norm(left, axis=0) <= 1e-6 * np.maximum(scale, 1e-12)
    return 0.0 if nothing.any() else metrics.follows(left[:, 0], left[:, 1])[0]
