"""A picture of a person brought to where skull and mouth are to be: what the networks begin from.

Skin, teeth and beard of the reference get where they are wanted, at any resolution; what is left to make is what a warp cannot
show. The field is a thin-plate spline (Bookstein 1989) through the points that are known on both sides.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.mesh import SKULL
from likeness.nn.hyper.mouth import MOUTH

CELLS = 24  # of the lattice on which the field is worked out: it is smooth but for the lips, which are three cells high
SOFT = 2e-3
"""How far the spline may pass beside its points, against trembling landmarks: as a share of its own stiffness."""
SMALL = 1e-9


def control(face: Float[Tensor, "478 2"], mouth: Float[Tensor, "mouth 2"] | None = None) -> Float[Tensor, "control 2"]:
    """The points that hold the field: the skull's, and the mouth's as it is or as it is to be."""
    return torch.cat([face[list(SKULL)], face[list(MOUTH)] if mouth is None else mouth])


def brought(
    picture: Float[np.ndarray, "size size 3"], own: Float[Tensor, "control 2"], wanted: Float[Tensor, "control 2"]
) -> Float[np.ndarray, "size size 3"]:
    """The picture with its points `own` moved to `wanted`, both 0..1 across it. Beyond its edge the edge is repeated. Cubic:
    skin stays sharper; what that overshoots is cut off."""
    size = picture.shape[0]
    field = _field(wanted.double().numpy(), (own - wanted).double().numpy())
    # Lattice points lie on the edges of cells: sampled at the middles of pixels.
    at = ((np.arange(size, dtype=np.float32) + 0.5) / size * CELLS).astype(np.float32)
    x, y = np.meshgrid(at, at)
    moved = cv2.remap(field.astype(np.float32), x, y, cv2.INTER_LINEAR)
    place = (np.arange(size, dtype=np.float32) + 0.5) / size
    where_x, where_y = place[None] + moved[..., 0], place[:, None] + moved[..., 1]
    at_x, at_y = where_x * size - 0.5, where_y * size - 0.5
    return cv2.remap(picture, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).clip(0, 1)


def _field(points: Float[np.ndarray, "k 2"], shifts: Float[np.ndarray, "k 2"]) -> Float[np.ndarray, "rows columns 2"]:
    """The shift at every point of the lattice, that takes these values at these points."""
    count = len(points)
    kernel = _bent(points, points)
    stiff = SOFT * np.eye(count)
    edge = np.column_stack([np.ones(count), points])
    system = np.block([[kernel + stiff, edge], [edge.T, np.zeros((3, 3))]])
    solved = np.linalg.solve(system, np.concatenate([shifts, np.zeros((3, 2))]))
    lattice = _lattice()
    values = _bent(lattice, points) @ solved[:count]
    values += np.column_stack([np.ones(len(lattice)), lattice]) @ solved[count:]
    return values.reshape(CELLS + 1, CELLS + 1, 2)


def _bent(a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "m 2"]) -> Float[np.ndarray, "n m"]:
    """r² ln r², of every point of one from every point of the other."""
    squared = (a[:, 0, None] - b[None, :, 0]) ** 2 + (a[:, 1, None] - b[None, :, 1]) ** 2
    return squared * np.log(squared + SMALL)


@lru_cache(1)
def _lattice() -> Float[np.ndarray, "n 2"]:
    place = np.linspace(0, 1, CELLS + 1)
    return np.stack(np.meshgrid(place, place), -1).reshape(-1, 2)
