"""Tests of what a table hides: sound that is wrong must hurt, and nobody may follow an original that was not shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from likeness.evaluate import metrics
from likeness.evaluate.intervals import Sample
from likeness.evaluate.judge import Measured


def mismatched_sound(shifted: Measured, mean: Measured) -> dict[str, Any]:
    """With the wrong sound a portrait must be worse at the mouth than with mean lips: else it hardly moves them, or does
    not hear. `mouth_db` and `lmd_px` are how much worse (positive), with their intervals, frame by frame."""
    mouth = Sample(mean.samples["mouth"].values - shifted.samples["mouth"].values)
    lips = Sample(shifted.samples["lmd"].values - mean.samples["lmd"].values)
    return {
        "mouth_db": mouth.figure,
        "mouth_db_interval": mouth.interval(),
        "lmd_px": lips.figure,
        "lmd_px_interval": lips.interval(),
        "passed": mouth.figure > 0 and lips.figure > 0,
    }


def leak(
    drawn: Float[np.ndarray, " time"],
    hidden: Float[np.ndarray, " time"],
    heard: Float[np.ndarray, " time"],
    mean_lips: Float[np.ndarray, " time"] | None = None,
) -> dict[str, Any]:
    """Whether lips that say one thing (`heard`) follow the original of the frames that lend pose and eyes (`hidden`). All
    are lip openings; `mean_lips` is drawn with the same poses and eyes but lips that do not move.

    `r_hidden` and `r_heard` are correlations of the drawn opening; `r_chance` is that of both originals, and `r_leak` the
    partial correlation with the hidden one, that chance taken out. Passed unless its whole interval is above 0. What
    comes by pose alone, real or of the detector's making, `r_mean_lips` shows.
    """
    rows = np.stack([drawn, hidden, heard], axis=1).astype(np.float64)
    partly = Sample(rows, partial)
    low, high = partly.interval()
    found: dict[str, Any] = {
        "r_hidden": metrics.follows(drawn, hidden)[0],
        "r_heard": metrics.follows(drawn, heard)[0],
        "r_chance": metrics.follows(hidden, heard)[0],
        "r_leak": partly.figure,
        "r_leak_interval": [low, high],
    }
    if mean_lips is not None:
        found["r_mean_lips"] = metrics.follows(mean_lips, hidden)[0]
    return found | {"passed": low <= 0}


def partial(rows: Float[np.ndarray, "time 3"]) -> float:
    """Correlation of the first two columns, what both have from the third taken out; 0 where nothing is left."""
    x, y, z = rows.T
    xy, xz, yz = (metrics.follows(a, b)[0] for a, b in ((x, y), (x, z), (y, z)))
    left = (1 - xz**2) * (1 - yz**2)
    return float((xy - xz * yz) / np.sqrt(left)) if left > 1e-9 else 0.0
