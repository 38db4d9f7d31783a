"""What moves the Gaussians: a tri-plane code of the place, region attention over speech and upper face, small perceptrons.

Li et al. 2024 (TalkingGaussian), sections 3.2 and 3.3; the hook between face and mouth is that of InsTaG (Li et al. 2025).
Positions and displacements are in UNIT = 0.1 m.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.kernels import GridShape
from likeness.methods.talking_gaussian.field import Offsets
from likeness.nn.encodings import TriPlane
from likeness.nn.mlp import mlp
from likeness.nn.placement import UNIT

BOUND = 0.15 * UNIT
CODE = 32
REACH = 0.01 * UNIT  # displacement for an output of 1
SIDEWAYS = 0.2  # of the mouth's displacement: jaws move up and down
UPPER = 7
"""Upper-face values of the rig: blink, brows, frown, gaze, wide eyes. The first, blink, goes in as it is."""
HOOK = 3
NEAREST = 16  # Gaussians whose vertical displacement the hook averages
LOG2_ROWS = 17


class Place(NamedTuple):
    """What depends on the canonical positions alone: constant once training is over."""

    features: Float[Tensor, "n width"]
    hearing: Float[Tensor, "n code"]
    """How much each part of the code of speech counts there."""
    upper: Float[Tensor, "n upper"]
    """How much each upper-face value counts there."""


class FaceMotion(nn.Module):
    """Displacement, turn and change of scale of the face's Gaussians."""

    def __init__(self, sizes: tuple[float, ...], speaks_in_color: bool = False) -> None:
        super().__init__()
        self.plane = TriPlane(GridShape(2, sizes, features=1, log2_rows=LOG2_ROWS), BOUND)
        width = self.plane.width
        self.hears = mlp(width, CODE, 32, 2)
        self.shows = mlp(width, UPPER, 16, 2)
        self.upper = mlp(UPPER - 1, UPPER - 1, 16, 2)
        self.speaks_in_color = speaks_in_color
        self.out = mlp(width + CODE + UPPER, 10, 64, 3)

    def place(self, xyz: Float[Tensor, "n 3"]) -> Place:
        """What the canonical positions make of it."""
        features = self.plane(xyz)
        return Place(features, self.hears(features), self.shows(features).relu())

    def forward(self, place: Place, code: Float[Tensor, " code"], upper: Float[Tensor, " upper"]) -> Offsets:
        """Offsets under a code of speech and the rig's upper-face values."""
        shown = torch.cat([upper[:1], self.upper(upper[None, 1:])[0]])
        hidden = torch.cat([place.features, place.hearing * code, place.upper * shown], dim=1)
        xyz, quats, scale = self.out(hidden).split([3, 4, 3], dim=1)
        if self.speaks_in_color:
            return Offsets(torch.zeros_like(xyz), color=xyz)
        return Offsets(REACH * xyz, quats, scale)


class MouthMotion(nn.Module):
    """Displacement of the Gaussians inside the mouth; with a hook it knows what the face does."""

    def __init__(self, sizes: tuple[float, ...], hook: bool) -> None:
        super().__init__()
        self.plane = TriPlane(GridShape(2, sizes, features=1, log2_rows=LOG2_ROWS), BOUND)
        width = self.plane.width
        self.out = mlp(width + CODE + (HOOK if hook else 0), 3, 32, 3)
        self.gate = mlp(width + HOOK, 1, 16, 3) if hook else None

    def place(self, xyz: Float[Tensor, "n 3"]) -> Float[Tensor, "n width"]:
        """Codes of the canonical positions."""
        return self.plane(xyz)

    def forward(self, place: Float[Tensor, "n width"], code: Float[Tensor, " code"], face: Offsets | None) -> Offsets:
        """Offsets under a code of speech and, for the hook, what the face does."""
        count = len(place)
        parts = [place, code.expand(count, -1)]
        factor: Tensor | float = 1.0
        if self.gate is not None:
            assert face is not None
            said = hook(face).expand(count, -1)
            parts.append(said)
            factor = 2 * self.gate(torch.cat([place, said], dim=1)).sigmoid()
        moved = REACH * self.out(torch.cat(parts, dim=1)) * factor
        return Offsets(moved * moved.new_tensor([SIDEWAYS, 1.0, SIDEWAYS]))


def hook(face: Offsets) -> Float[Tensor, " hook"]:
    """How far down and up the face moves, and the difference: centimetres, the mean of the farthest Gaussians."""
    down = 100 / UNIT * face.xyz[:, 1]
    most = min(NEAREST, len(down))
    low, high = -torch.topk(-down, most).values.mean(), torch.topk(down, most).values.mean()
    return torch.stack([high, low, high - low]).detach()
