"""What adaptation knows of a person: mouth and jaw as displacement, the rig's lips that go with them, and distances to them.

A generic generator speaks in displacement of 68 landmarks, centimetres (`likeness.displacement`); portraits are moved by the
rig's lip coefficients. Of the 68 only MOUTH and JAW are taken: brows and eyes cannot be known from sound, and a critic would
tell a generated face by them alone. (GeneFace adapts all 68.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor, nn

from likeness.clip import Clip
from likeness.displacement import CM, JAW, MOUTH, POINTS_68, displacement
from likeness.errors import BadInput
from likeness.rig import LIP_COEFFICIENTS, Rig

POINTS = (*range(*MOUTH.indices(68)), *range(*JAW.indices(68)))
"""Of the 68: the mouth's first, then the jaw's."""
MOUTH_POINTS = 20
WIDTH = 3 * len(POINTS)
INNER_LIPS = (62 - MOUTH.start, 66 - MOUTH.start)
"""The middles of the inner lips among POINTS."""
READING_PENALTY = 1e-3  # of the variance: 111 coordinates of 8 coefficients depend on each other
STILL_CM = 1e-3  # landmarks that move less in all frames are none


def flat(moves: Float[Tensor, "time 68 3"]) -> Float[Tensor, "time width"]:
    """Mouth and jaw of the 68, coordinates side by side."""
    return moves[:, POINTS].flatten(1)


class Reading(nn.Module):
    """The rig's lip coefficients that go with a person's mouth and jaw: linear, by ridge regression on tracked frames."""

    weights: Tensor
    centre: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(WIDTH, LIP_COEFFICIENTS))
        self.register_buffer("centre", torch.zeros(WIDTH))
        self.register_buffer("bias", torch.zeros(LIP_COEFFICIENTS))

    @staticmethod
    def of(moves: Float[Tensor, "time width"], lips: Float[Tensor, "time lips"]) -> Reading:
        """Fit to frames whose lips are known."""
        found = Reading()
        found.centre.copy_(moves.mean(0))
        found.bias.copy_(lips.mean(0))
        x = (moves - found.centre).double()
        gram = x.T @ x
        gram = gram + READING_PENALTY * gram.diagonal().mean() * torch.eye(WIDTH, dtype=gram.dtype)
        found.weights.copy_(torch.linalg.solve(gram, x.T @ (lips - found.bias).double()))
        return found

    def forward(self, moves: Float[Tensor, "time width"]) -> Float[Tensor, "time lips"]:
        return self.bias + (moves - self.centre) @ self.weights


@dataclass(frozen=True)
class Person:
    """The frames of a clip that may be learned from."""

    frames: Int[ndarray, " frames"]
    """Their numbers in the clip, rising."""
    moves: Float[Tensor, "frames width"]
    """Mouth and jaw away from the person's mean face, centimetres."""
    lips: Float[Tensor, "frames lips"]
    reading: Reading

    @staticmethod
    def of(clip: Clip, usable: Bool[ndarray, " time"], lips: Float[Tensor, "time lips"]) -> Person:
        """Raises BadInput where landmarks are no numbers, or do not move at all."""
        frames = usable.nonzero()[0]
        moves = displacement(clip.motion.landmarks[torch.from_numpy(frames)].numpy()).of_68().moves
        taken = flat(torch.from_numpy(moves))
        check(taken, str(clip.folder))
        chosen = lips[torch.from_numpy(frames)]
        return Person(frames, taken, chosen, Reading.of(taken, chosen))


def check(moves: Float[Tensor, "time width"], where: str) -> None:
    """Raise BadInput for moves that would make a critic's verdict empty or NaN: no numbers, all zero, or all the same."""
    bad = (~moves.isfinite().all(1)).nonzero()[:, 0]
    if len(bad):
        raise BadInput(f"{where}: row {int(bad[0])} of its motion holds no numbers (NaN or infinity). Prepare it again.")
    if not len(moves) or float(moves.std(0, correction=0).max()) < STILL_CM:
        raise BadInput(f"{where}: its landmarks do not move at all (all zero?). Prepare it again, with the face in view.")


def shown(rig: Rig, lips: Float[Tensor, "time lips"]) -> Float[Tensor, "time width"]:
    """Mouth and jaw under lip coefficients, away from the rig's mean face, centimetres."""
    nodes = torch.tensor(POINTS_68)[list(POINTS)]
    return CM * torch.einsum("tc,cnd->tnd", lips, rig.basis[:LIP_COEFFICIENTS, nodes]).flatten(1)


def mouth_opening(moves: Float[Tensor, "time width"]) -> Float[Tensor, " time"]:
    """How far the lower inner lip is below the upper one against the mean face, in the unit of `moves`; y is down."""
    points = moves.unflatten(1, (-1, 3))
    return points[:, INNER_LIPS[1], 1] - points[:, INNER_LIPS[0], 1]
