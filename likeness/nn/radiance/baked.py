"""A finished head drawn quickly: where speech and expression change little, density and colour are worked out once and kept.

Places are kept in the face at rest, where the warp puts them, in bricks over the cells of the head's space, each when a ray
first comes to it (Hedman et al. 2021 bake a still scene so). Near the lips, and where what is said changes what is seen,
the field itself is asked, in every frame.
"""

from __future__ import annotations

from threading import Lock

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from likeness.kernels import Kept, Samples, bricks
from likeness.kernels.bricks import ABSENT, CHANNELS, EMPTY, UNKNOWN
from likeness.nn.radiance.field import CHUNK, Said, rounded, view
from likeness.nn.radiance.head import Head
from likeness.nn.radiance.occupancy import BOUND, CELLS
from likeness.nn.radiance.settings import Settings
from likeness.rig import LIP_COEFFICIENTS, NAMES, SIZE, Rig

CELL = 2 * BOUND / CELLS
SIDES = 3  # of a brick, in distances of nodes, which are 1.3 mm
CONDITIONS = 8  # random ones, under which a cell is looked at, to see whether it changes; and closed eyes, which are rare
LOOKS = 2  # places in it
CHANGES = 0.05  # how much the light of a sample may change in a cell that is kept
CLEAR = 1e-3  # alpha of a sample below which a cell is empty
TILT = 0.1  # how far apart the views are of which a colour's change with the view is made
LEAST = 1e-30  # density that is kept
GROWTH = 1.5  # of the room for bricks


class Baked:
    """What is kept of a head under one light. It grows while frames are drawn; what it holds does not depend on which came
    first, but for rounding."""

    def __init__(
        self, head: Head, rig: Rig, eye: Float[Tensor, " 3"], light: Int[Tensor, " 1"] | None, config: Settings
    ) -> None:
        """`eye`: where the camera usually is, UNIT."""
        self.field, self.eye, self.config = head.field, eye, config
        random = torch.Generator().manual_seed(config.seed)
        cond = rig.clip(torch.randn(CONDITIONS, SIZE, generator=random))
        blink = rig.clip(torch.zeros(1, SIZE))
        blink[:, NAMES.index("blink")] = rig.high[NAMES.index("blink")]
        cond = torch.cat([cond, blink])
        said = head.said(head.held(cond[:, :LIP_COEFFICIENTS]), cond[:, LIP_COEFFICIENTS:], None)._replace(shift=None)
        mean = said.code[:CONDITIONS].mean(0, keepdim=True), said.upper[:CONDITIONS].mean(0, keepdim=True)
        self.mean = Said(*mean, head.lit(1, light))
        self.others = [self.mean._replace(code=code[None], upper=upper[None]) for code, upper in zip(said.code, said.upper)]
        self.places = torch.rand(LOOKS, 3, generator=random)
        self.index = torch.full((CELLS,) * 3, UNKNOWN, dtype=torch.int32)
        self.nodes = torch.empty(0, *(SIDES + 1,) * 3, CHANNELS)
        self.count = 0
        self._lock = Lock()  # what threads learn at once would be numbered twice

    @torch.no_grad()
    def look_up(
        self,
        xyz: Float[Tensor, "m 3"],
        apart: UInt8[Tensor, " m"],
        samples: Samples,
        directions: Float[Tensor, "n 3"],
        hidden: float,
    ) -> Kept:
        """Samples of rays at places in the face at rest, UNIT. What is not kept, or is `apart`, is ABSENT."""
        with self._lock:
            return self._looked_up(xyz, apart, samples, directions, hidden)

    def _looked_up(self, xyz: Tensor, apart: Tensor, samples: Samples, directions: Tensor, hidden: float) -> Kept:
        while True:
            known = self.index, self.nodes[: self.count]
            found = bricks(xyz, samples.rays_start, directions, apart, *known, self.config.step, hidden)
            unknown = (found.brick == UNKNOWN).nonzero()[:, 0]
            if not len(unknown):
                return found
            x, y, z = ((xyz[unknown] + BOUND) / CELL).long().clamp_(0, CELLS - 1).unbind(1)
            seen = torch.zeros_like(self.index, dtype=torch.bool)
            seen[x, y, z] = True
            self._learn(seen.nonzero())

    def _learn(self, cells: Int[Tensor, "n 3"]) -> None:
        """What these cells hold, by the field."""
        line = torch.arange(SIDES + 1) / SIDES
        z, y, x = torch.meshgrid(line, line, line, indexing="ij")
        steady = ~self._changing(cells)
        self.index[tuple(cells[~steady].T)] = ABSENT
        cells = cells[steady]
        nodes = self._nodes((cells[:, None, None, None] + torch.stack([x, y, z], -1)) * CELL - BOUND)
        dense = _alpha(nodes[..., 0].exp(), self.config).amax((1, 2, 3)) > CLEAR
        self.index[tuple(cells[~dense].T)] = EMPTY
        cells, nodes = cells[dense], nodes[dense]
        end = self.count + len(cells)
        if end > len(self.nodes):
            self.nodes = torch.cat(
                [self.nodes[: self.count], nodes.new_empty(int(GROWTH * end) - self.count, *nodes.shape[1:])]
            )
        self.nodes[self.count : end] = nodes
        self.index[tuple(cells.T)] = torch.arange(self.count, end, dtype=torch.int32)
        self.count = end

    def _changing(self, cells: Int[Tensor, "n 3"]) -> Tensor:
        """Whether what is said changes what a sample in a cell would show: by root mean square, or by closing the eyes."""
        xyz = ((cells[:, None] + self.places) * CELL - BOUND).reshape(-1, 3)
        towards = view(F.normalize(xyz - self.eye, dim=1))
        alpha, color = self._light(xyz, towards, self.mean)
        changes = []
        for said in self.others:
            other, hue = self._light(xyz, towards, said)
            changes.append((other - alpha).square() + other * alpha * (hue - color).square().mean(1))
        usual, blink = torch.stack(changes).split([CONDITIONS, 1])
        change = torch.maximum(usual.mean(0), blink[0]).sqrt()
        return change.reshape(-1, LOOKS).amax(1) > CHANGES

    def _light(self, xyz: Float[Tensor, "n 3"], towards: Float[Tensor, "n 16"], said: Said) -> tuple[Tensor, Tensor]:
        """Alpha of a sample and colour."""
        found = []
        for rows in rounded(torch.arange(len(xyz))).split(CHUNK):
            there = self.field.at(xyz[rows], torch.zeros_like(rows), said, maps=False)
            color = self.field.colored(there.geometry, towards[rows], said.appearance)
            found.append(torch.cat([_alpha(there.density, self.config)[:, None], color], 1))
        alpha, color = torch.cat(found)[: len(xyz)].split([1, 3], 1)
        return alpha[:, 0], color

    def _nodes(self, xyz: Float[Tensor, "n z y x 3"]) -> Float[Tensor, "n z y x channels"]:
        """The logarithm of density, the colour of a view along z, and its change with the view's x and y."""
        tilts = TILT * torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0]])
        flat = xyz.reshape(-1, 3)
        parts = [xyz.new_empty(0, CHANNELS)]
        for rows in rounded(torch.arange(len(flat))).split(CHUNK):
            there = self.field.at(flat[rows], torch.zeros_like(rows), self.mean, maps=False)
            usual = F.normalize(flat[rows] - self.eye, dim=1)
            views = [view(F.normalize(usual + tilt, dim=1)) for tilt in tilts]
            right, left, below, above = (self.field.colored(there.geometry, v, self.mean.appearance) for v in views)
            across, down = (right - left) / (2 * TILT), (below - above) / (2 * TILT)
            middle = (right + left + below + above) / 4 - across * usual[:, :1] - down * usual[:, 1:2]
            # Within what float32 holds: a logarithm of nothing would be no number between two nodes.
            density = there.density.clamp(LEAST, 1 / LEAST).log()[:, None]
            parts.append(torch.cat([density, middle, across, down], 1))
        return torch.cat(parts)[: len(flat)].reshape(*xyz.shape[:-1], CHANNELS)


def _alpha(density: Tensor, config: Settings) -> Tensor:
    return 1 - (-density * config.step).exp()
