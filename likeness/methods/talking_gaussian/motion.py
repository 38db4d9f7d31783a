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
from likeness.nn.mlp import in_stretches, mlp
from likeness.nn.placement import UNIT
from likeness.rig import UPPER_COEFFICIENTS

BOUND = 0.15 * UNIT
CODE = 32
REACH = 0.01 * UNIT  # displacement for an output of 1
SIDEWAYS = 0.2  # of the mouth's displacement: jaws move up and down
HOOK = 3
FARTHEST = 16  # Gaussians, moved most, whose vertical displacement the hook averages
LOG2_ROWS = 17
HIDDEN, HIDDEN_MOUTH, HIDDEN_GATE = 64, 32, 16


class Place(NamedTuple):
    """What depends on the canonical positions alone: constant once training is over."""

    base: Float[Tensor, "n hidden"]
    """Their share of the first layer."""
    counts: Float[Tensor, "n inputs"]
    """Attention: how much each number of the code of speech counts there, and each upper-face value."""

    @property
    def hearing(self) -> Float[Tensor, "n code"]:
        return self.counts[:, :CODE]

    @property
    def upper(self) -> Float[Tensor, "n upper"]:
        return self.counts[:, CODE:]


class FaceMotion(nn.Module):
    """Displacement, turn and change of scale of the face's Gaussians."""

    def __init__(self, sizes: tuple[float, ...], speaks_in_color: bool = False) -> None:
        super().__init__()
        self.plane = TriPlane(GridShape(2, sizes, features=1, log2_rows=LOG2_ROWS), BOUND)
        width = self.plane.width
        self.hears = mlp(width, CODE, 32, 2)
        self.shows = mlp(width, UPPER_COEFFICIENTS, 16, 2)
        # Of the upper face, all but blink, which goes in as it is.
        self.upper = mlp(UPPER_COEFFICIENTS - 1, UPPER_COEFFICIENTS - 1, 16, 2)
        self.speaks_in_color = speaks_in_color
        self.first = nn.Linear(width + CODE + UPPER_COEFFICIENTS, HIDDEN, bias=False)
        self.rest = mlp(HIDDEN, 10, HIDDEN, 2)

    def place(self, xyz: Float[Tensor, "n 3"]) -> Place:
        """What the canonical positions make of it."""
        features = self.plane(xyz)
        counts = torch.cat([self.hears(features), self.shows(features).relu()], dim=1)
        return Place(features @ self.first.weight[:, : self.plane.width].T, counts)

    def forward(self, place: Place, code: Float[Tensor, " code"], upper: Float[Tensor, " upper"]) -> Offsets:
        """Offsets under a code of speech and the rig's upper-face values."""
        said = torch.cat([code, upper[:1], self.upper(upper[None, 1:])[0]])
        # What is said is the same everywhere: it weighs the layer's columns instead of every Gaussian's inputs.
        weight = self.first.weight[:, self.plane.width :] * said

        def run(base: Tensor, counts: Tensor) -> Tensor:
            return self.rest(torch.addmm(base, counts, weight.T).relu())

        xyz, quats, scale = in_stretches(run, place.base, place.counts).split([3, 4, 3], dim=1)
        if self.speaks_in_color:
            return Offsets(torch.zeros_like(xyz), color=xyz)
        return Offsets(REACH * xyz, quats, scale)


class MouthPlace(NamedTuple):
    """As `Place`, for the inside of the mouth."""

    base: Float[Tensor, "n hidden"]
    gate: Float[Tensor, "n hidden_gate"] | None


class MouthMotion(nn.Module):
    """Displacement of the Gaussians inside the mouth; with a hook it knows what the face does."""

    def __init__(self, sizes: tuple[float, ...], hook: bool) -> None:
        super().__init__()
        self.plane = TriPlane(GridShape(2, sizes, features=1, log2_rows=LOG2_ROWS), BOUND)
        width = self.plane.width
        self.first = nn.Linear(width + CODE + (HOOK if hook else 0), HIDDEN_MOUTH, bias=False)
        self.rest = mlp(HIDDEN_MOUTH, 3, HIDDEN_MOUTH, 2)
        self.gate_first = nn.Linear(width + HOOK, HIDDEN_GATE, bias=False) if hook else None
        self.gate_rest = mlp(HIDDEN_GATE, 1, HIDDEN_GATE, 2) if hook else None

    def place(self, xyz: Float[Tensor, "n 3"]) -> MouthPlace:
        """What the canonical positions make of it."""
        features, width = self.plane(xyz), self.plane.width
        gate = None if self.gate_first is None else features @ self.gate_first.weight[:, :width].T
        return MouthPlace(features @ self.first.weight[:, :width].T, gate)

    def forward(self, place: MouthPlace, code: Float[Tensor, " code"], face: Offsets | None) -> Offsets:
        """Offsets under a code of speech and, for the hook, what the face does."""
        said, width = code, self.plane.width
        factor: Tensor | float = 1.0
        if self.gate_first is not None and self.gate_rest is not None:
            assert face is not None and place.gate is not None
            hooked = hook(face)
            said = torch.cat([code, hooked])
            gate = self.gate_rest((place.gate + self.gate_first.weight[:, width:] @ hooked).relu())
            factor = 2 * gate.sigmoid()
        moved = self.rest((place.base + self.first.weight[:, width:] @ said).relu())
        moved = REACH * moved * factor
        return Offsets(moved * moved.new_tensor([SIDEWAYS, 1.0, SIDEWAYS]))


def hook(face: Offsets) -> Float[Tensor, " hook"]:
    """How far down and up the face moves, and the difference: centimetres, the mean of the farthest Gaussians."""
    down = 100 / UNIT * face.xyz[:, 1]
    most = min(FARTHEST, len(down))
    low, high = -torch.topk(-down, most).values.mean(), torch.topk(down, most).values.mean()
    return torch.stack([high, low, high - low]).detach()
