"""What a face does, read off its landmarks in the picture: brows, lids, lips and jaw, and how wrong each half is.

The errors stand where papers give AUE-U and AUE-L, which need OpenFace (`likeness.evaluate.openface` reads its files). Ours
need nothing else, and are in units of how much the real signals vary: 0 is equal, 1 a face that holds still at the mean.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from likeness import mesh
from likeness.evaluate.metrics import stabilised

UPPER = ("brow_inner", "brow_outer", "frown", "lid_right", "lid_left")
LOWER = ("lips_part", "lip_width", "upper_lip", "corners", "jaw")
LEAST = 0.01
"""Of the inter-ocular distance: signals that vary less are counted as if they varied so much, or the detector's own noise
would be all that is measured."""


def signals(
    pixels: Float[np.ndarray, "time 478 2"], target: Float[np.ndarray, "skull 2"]
) -> dict[str, Float[np.ndarray, " time"]]:
    """Each signal over time, as a share of the inter-ocular distance of `target`, the mean place of the skull's points
    (`skull_of`), which every frame is brought to first."""
    still = stabilised(pixels, target)
    where = {point: i for i, point in enumerate(mesh.SKULL)}
    right, left = (target[[where[p] for p in c]].mean(0) for c in (mesh.RIGHT_EYE_CORNERS, mesh.LEFT_EYE_CORNERS))
    unit = float(np.linalg.norm(left - right))
    along = (left - right) / unit
    up = np.array([along[1], -along[0]])  # pictures count downwards

    def height(points: tuple[int, ...]) -> np.ndarray:
        return still[:, list(points)].mean(1) @ up

    def apart(a: int, b: int) -> np.ndarray:
        return np.linalg.norm(still[:, a] - still[:, b], axis=-1)

    frown = -0.5 * sum(apart(right, left) for right, left in zip(mesh.RIGHT_INNER_BROW, mesh.LEFT_INNER_BROW))
    raw = {
        "brow_inner": height(mesh.INNER_BROWS),
        "brow_outer": height(mesh.OUTER_BROWS),
        "frown": frown,
        "lid_right": apart(*mesh.LIDS[0]),
        "lid_left": apart(*mesh.LIDS[1]),
        "lips_part": apart(mesh.UPPER_INNER_LIP, mesh.LOWER_INNER_LIP),
        "lip_width": apart(*mesh.LIP_CORNERS),
        "upper_lip": height(mesh.UPPER_LIP_MIDDLE),
        "corners": height(mesh.LIP_CORNERS),
        "jaw": -height(mesh.CHIN_TIP),
    }
    return {name: value / unit for name, value in raw.items()}


def skull_of(pixels: Float[np.ndarray, "time 478 2"]) -> Float[np.ndarray, "skull 2"]:
    """The mean place of the points on the skull."""
    return pixels[:, list(mesh.SKULL)].mean(0)


def errors(
    drawn: Float[np.ndarray, "time 478 2"], real: Float[np.ndarray, "time 478 2"]
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """(upper, lower) error of each frame: squared differences over the real signals' variance, mean over the signals."""
    target = skull_of(real)
    ours, theirs = signals(drawn, target), signals(real, target)
    found = []
    for names in (UPPER, LOWER):
        spread = {name: max(float(theirs[name].std()), LEAST) for name in names}
        found.append(np.mean([np.square((ours[name] - theirs[name]) / spread[name]) for name in names], axis=0))
    return found[0], found[1]
