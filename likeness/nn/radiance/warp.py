"""Where a place would be in the face at rest: the rig's motion, carried from the face's nodes into the space around them.

With it the grids see a face that hardly moves, and only what the rig does not know is left to speech. None of RAD-NeRF,
ER-NeRF and GeneFace has it; their published settings do without.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from likeness import mesh
from likeness.kernels import unwarp
from likeness.nn.radiance.occupancy import UNIT
from likeness.rig import Rig

SPACING = 0.004  # metres between the points that motion is worked out at
REACH = 0.03  # metres from the face where it has faded
WIDTH = 0.005  # metres over which nodes are blended
NEIGHBOURS = 8
TURNS = 2  # a place moves with what is there after the motion, which is found by repetition
LIP_WIDTH, LIP_REACH = 0.002 * UNIT, 0.008 * UNIT  # as WIDTH and REACH, of the lips, which move apart
INSIDE = (0.7, 0.0, -0.7)  # where the inside of the mouth is looked up: in no plane does anything else lie there


class Shift(NamedTuple):
    """How far the face has moved around it, in some frames; nothing moves outside of the box. Lengths are UNIT."""

    motion: Float[Tensor, "frames depth height width 3"]
    """At the box's corners and evenly between."""
    low: Float[Tensor, " 3"]
    high: Float[Tensor, " 3"]
    lips: Float[Tensor, "frames lips 3"]
    """Where the nodes of the lips are: the outer ring, then the inner."""
    moved: Float[Tensor, "frames lips 3"]
    """How far they have moved to there."""

    def undo(self, xyz: Float[Tensor, "n 3"], frame: Int[Tensor, " n"]) -> Float[Tensor, "n 3"]:
        """Places before the motion; what shows between the lips is put where nothing else is. `frame` does not fall."""
        ends = torch.searchsorted(frame, torch.arange(len(self.motion)), right=True).tolist()
        parts, start = [], 0
        for t, end in enumerate(ends):
            places = xyz[start:end]
            found, near = self.carried(places, t), self.near_lips(places, t).nonzero()[:, 0]
            if len(near):
                found[near] = self._round_lips(places[near], found[near], t)
            parts.append(found)
            start = end
        return torch.cat(parts)

    def carried(self, xyz: Float[Tensor, "n 3"], t: int) -> Float[Tensor, "n 3"]:
        """Places before the motion of frame t, for those that are not near the lips."""
        return unwarp(xyz, self.motion[t], self.low, self.high, TURNS)

    def near_lips(self, xyz: Float[Tensor, "n 3"], t: int) -> Bool[Tensor, " n"]:
        """Before, behind and round the lips of frame t."""
        lips = self.lips[t, :, :2]
        (left, top), (right, below) = (lips.amin(0) - LIP_REACH).tolist(), (lips.amax(0) + LIP_REACH).tolist()
        x, y = xyz[:, 0], xyz[:, 1]
        return (x > left) & (x < right) & (y > top) & (y < below)

    def _round_lips(self, xyz: Float[Tensor, "n 3"], found: Float[Tensor, "n 3"], t: int) -> Float[Tensor, "n 3"]:
        """Near lips the lips alone count, where they are now: of two lips that touched before they parted, a place moves with
        the one that it is at."""
        lips, moved = self.lips[t], self.moved[t]
        square = torch.cdist(xyz, lips).square()
        nearest = square.amin(1, keepdim=True)
        weights = ((nearest - square) / (2 * LIP_WIDTH**2)).exp()
        own = xyz - weights @ moved / weights.sum(1, keepdim=True)
        found = torch.lerp(found, own, (-nearest / (2 * (LIP_REACH / 3) ** 2)).exp())
        between = encircled(xyz[:, :2], lips[-len(mesh.INNER_LIPS) :, :2])
        return torch.where(between[:, None], xyz + torch.tensor(INSIDE), found)


def encircled(points: Float[Tensor, "n 2"], ring: Float[Tensor, "corners 2"]) -> Bool[Tensor, " n"]:
    """Whether a ring goes round points from left to below to right in an image's axes (right, down): by the winding number, so
    that lips which pass each other have no inside."""
    (x, y), after = points.T[:, :, None], ring.roll(-1, 0)
    (x0, y0), (x1, y1) = ring.T, after.T
    down, up = (y0 <= y) & (y1 > y), (y0 > y) & (y1 <= y)
    side = (x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)
    return (down & (side > 0)).sum(1) - (up & (side < 0)).sum(1) < 0


class Warp:
    """A rig's motion in space."""

    def __init__(self, rig: Rig) -> None:
        nodes = rig.mean.numpy().astype(np.float64)
        low, high = nodes.min(0) - REACH, nodes.max(0) + REACH
        self.shape = tuple(int(n) for n in np.ceil((high - low) / SPACING))[::-1]
        self.low, self.high = (torch.from_numpy(end * UNIT).float() for end in (low, high))
        axes = [np.linspace(a, b, n) for a, b, n in zip(low, high, self.shape[::-1])]
        z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
        points = np.stack([x, y, z], -1).reshape(-1, 3)
        distance, near = cKDTree(nodes).query(points, NEIGHBOURS, distance_upper_bound=REACH)
        self.cells = torch.from_numpy(np.flatnonzero(np.isfinite(distance[:, 0])))
        distance, near = distance[self.cells], np.minimum(near[self.cells], len(nodes) - 1)
        weights = np.exp(-(distance**2 - distance[:, :1] ** 2) / (2 * WIDTH**2))
        weights *= (1 - (distance[:, :1] / REACH) ** 2) ** 2 / weights.sum(1, keepdims=True)
        self.rig = rig
        basis = rig.basis.numpy() * UNIT
        moved = np.einsum("cnkd,nk->ncd", basis[:, near], weights)
        self.basis = torch.from_numpy(moved.astype(np.float32)).transpose(1, 2).reshape(-1, basis.shape[0])

    def shift(self, cond: Float[Tensor, "frames cond"]) -> Shift:
        """The face's motion in some frames, by the rig's whole conditioning."""
        motion = torch.zeros(len(cond), int(np.prod(self.shape)), 3)
        motion[:, self.cells] = (self.basis @ cond.T).reshape(len(self.cells), 3, -1).permute(2, 0, 1)
        lips = self.rig.decode(cond)[:, mesh.LIPS] * UNIT
        moved = lips - self.rig.mean[mesh.LIPS, :] * UNIT
        return Shift(motion.reshape(len(cond), *self.shape, 3), self.low, self.high, lips, moved)
