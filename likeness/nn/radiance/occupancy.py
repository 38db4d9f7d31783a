"""Which cells of the head's box hold anything: a running maximum of density over what was said (RAD-NeRF, section 3.4).

Cells that hold something which no ray sees, inside of the head and behind it, count as empty, which halves the samples of a
ray: in use always, while training unless the settings are those of the paper.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from likeness.clip import Clip
from likeness.nn.placement import UNIT as PLACED
from likeness.nn.placement import in_mouth, on_ellipsoid, on_mesh
from likeness.rig import Rig

UNIT = 4.0  # per metre: 0.25 m, the published unit
BOUND = 1.0
CELLS = 128
DECAY = 0.95
FORGET = 0.9  # of the weight that rays gave to a cell, between two updates
SEEN = 0.01  # the same in use, where it was looked at once and for all
NOTICED = 0.02  # weight of a sample from which on its cell counts as seen
SOLID = 10.0  # density that is surely something, per UNIT
SKIN, HAIR = 0.014 * UNIT, 0.03 * UNIT  # how far from where the head is tracked something may be
VIEWS = 24


class Occupancy(nn.Module):
    """A grid over the cube [-BOUND, BOUND]³."""

    allowed: Tensor
    density: Tensor
    weight: Tensor

    def __init__(self, culled: bool = True) -> None:
        """`culled`: what no ray has seen for long is taken for empty while training, too."""
        super().__init__()
        self.culled = culled
        self.register_buffer("allowed", torch.ones(CELLS, CELLS, CELLS, dtype=torch.bool))
        # Only for training: of a finished head all that is allowed is occupied.
        self.register_buffer("density", torch.full((CELLS, CELLS, CELLS), 2 * SOLID), persistent=False)
        # The largest weight that a training ray lately gave to a sample in each cell.
        self.register_buffer("weight", torch.ones(CELLS, CELLS, CELLS), persistent=False)
        self._bits: Tensor | None = None

    @property
    def bits(self) -> Bool[Tensor, "x y z"]:
        """What is occupied: dense, and lately seen or beside what was."""
        if self._bits is None:
            near = self._near
            inside = self.density[near]
            level = min(float(inside.mean()), SOLID) if inside.numel() else SOLID
            self._bits = near & (self.density > level)
        return self._bits

    @property
    def _near(self) -> Bool[Tensor, "x y z"]:
        """What may be occupied and is not hidden."""
        return self.allowed & (_spread(self.weight) > NOTICED)

    @torch.no_grad()
    def notice(self, xyz: Float[Tensor, "n 3"], weights: Float[Tensor, " n"]) -> None:
        """Rays gave these weights to samples at these places."""
        cells = ((xyz + BOUND) * (CELLS / (2 * BOUND))).long().clamp_(0, CELLS - 1)
        flat = (cells[:, 0] * CELLS + cells[:, 1]) * CELLS + cells[:, 2]
        self.weight.view(-1).scatter_reduce_(0, flat, weights, "amax")

    @torch.no_grad()
    def become(self, allowed: Bool[Tensor, "x y z"], density: Float[Tensor, "x y z"] | None = None) -> None:
        """What may be occupied, and how dense it was when last looked at; by default as dense as can be."""
        self.allowed.copy_(allowed)
        self.density.copy_(2 * SOLID * allowed if density is None else density)
        self._bits = None

    @torch.no_grad()
    def restore(self, density: Float[Tensor, "x y z"], weight: Float[Tensor, "x y z"], bits: Bool[Tensor, "x y z"]) -> None:
        """As it was: weights have risen since the bits were made of them."""
        self.density.copy_(density)
        self.weight.copy_(weight)
        self._bits = bits

    @torch.no_grad()
    def update(self, density_at: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]], jitter: np.random.Generator) -> None:
        """Look at every cell that may hold something once more, at a random place in it; neighbours take the larger of both."""
        near = self._near
        cells = near.nonzero()
        spread = torch.from_numpy(jitter.random((len(cells), 3), np.float32))
        found = torch.zeros_like(self.density)
        found[near] = density_at((cells + spread) * (2 * BOUND / CELLS) - BOUND)
        if self.culled:
            self.weight *= FORGET
        self.become(self.allowed, torch.maximum(self.density * DECAY, _spread(found)))

    @torch.no_grad()
    def settle(self, looked: Callable[[], None]) -> None:
        """For use: keep what `looked`, which has rays noticed, sees, and what is beside it."""
        occupied = self.bits  # which stands while they look
        self.weight.zero_()
        looked()
        found = _spread(self.weight) > SEEN
        self.weight.fill_(1)
        self.become(occupied & found)


def _spread(density: Float[Tensor, "x y z"]) -> Float[Tensor, "x y z"]:
    """The largest of a cell and its six neighbours."""
    found, inner = density.clone(), CELLS - 1
    for axis in range(3):
        for here, there in ((0, 1), (1, 0)):
            part = found.narrow(axis, here, inner)
            torch.maximum(part, density.narrow(axis, there, inner), out=part)
    return found


def near_the_head(clip: Clip, rig: Rig, frames: np.ndarray, seed: int) -> Bool[Tensor, "x y z"]:
    """Cells close to the tracked face, the skull and hair where the head's mask shows them, and the inside of the mouth."""
    rng = np.random.default_rng(seed)
    views = frames[np.linspace(0, len(frames) - 1, VIEWS).astype(int)]
    nodes = rig.mean.numpy().astype(np.float64) * PLACED
    skin, _, _ = on_mesh(nodes, rig.triangles.numpy(), 2.0, rng)
    inside, _ = in_mouth(nodes, 3000, rng)
    hair = on_ellipsoid(clip, nodes, views, 20000, rng)
    found = np.zeros((CELLS,) * 3, bool)
    for points, reach in ((np.concatenate([skin, inside]), SKIN), (hair, HAIR)):
        cells = np.floor((points * (UNIT / PLACED) + BOUND) * (CELLS / (2 * BOUND))).astype(int)
        cells = cells[((cells >= 0) & (cells < CELLS)).all(1)]
        free = np.ones((CELLS,) * 3, bool)
        free[tuple(cells.T)] = False
        found |= np.asarray(distance_transform_edt(free, sampling=2 * BOUND / CELLS)) <= reach
    return torch.from_numpy(found)


def ever_seen(clip: Clip, frames: np.ndarray) -> Bool[Tensor, "x y z"]:
    """Cells that at least one training camera saw, as published; a cell's width beyond the picture counts."""
    centres = (torch.arange(CELLS) + 0.5) * (2 * BOUND / CELLS) - BOUND
    points = torch.stack(torch.meshgrid(centres, centres, centres, indexing="ij"), -1).reshape(-1, 3) / UNIT
    seen = torch.zeros(len(points), dtype=torch.bool)
    width, height = clip.camera.size
    margin = clip.camera.focal * (2 * BOUND / CELLS) / UNIT
    for t in frames[np.linspace(0, len(frames) - 1, VIEWS).astype(int)]:
        pose = clip.motion.pose[t]
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        xy = clip.camera.project(local)
        edge = margin / local[:, 2:].clamp_min(1e-3)
        inside = (xy > -edge).all(1) & (xy < torch.tensor([width, height]) + edge).all(1)
        seen |= inside & (local[:, 2] > 0)
    return seen.reshape(CELLS, CELLS, CELLS)
