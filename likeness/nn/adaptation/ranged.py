"""Landmark projection, which needs no training: generic motion in the person's range, then onto what the person was seen to do.

Every coordinate of mouth and jaw is given the person's mean and spread, the rig's lips are read off, and those are projected
(`likeness.nn.adaptation.projection`). Nothing of how the person speaks is learned: which sound they were heard to say with
which lips plays no part, so that there is nothing to overfit.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.nn.adaptation.person import WIDTH, Person, Reading
from likeness.nn.adaptation.projection import Manifold, thinned
from likeness.rig import LIP_COEFFICIENTS, Rig

SHARE = 0.5
"""ρ of the projection."""
MOST = 4.0
"""A coordinate that the generator hardly moves is enlarged so much at most: what is left there is noise."""


class Ranged(nn.Module):
    """Lip coefficients of generic motion, frame by frame."""

    past, future = 0, 0
    centre: Tensor
    factor: Tensor
    goal: Tensor

    def __init__(self, count: int) -> None:
        """`count`: rows of the manifold."""
        super().__init__()
        self.register_buffer("centre", torch.zeros(WIDTH))
        self.register_buffer("factor", torch.ones(WIDTH))
        self.register_buffer("goal", torch.zeros(WIDTH))
        self.reading = Reading()
        self.manifold = Manifold(count, LIP_COEFFICIENTS)

    @staticmethod
    def of(moves: Float[Tensor, "frames width"], person: Person, rig: Rig) -> Ranged:
        """`moves`: generic motion to the sound of the person's frames."""
        kept = thinned(person.frames)
        rows = person.lips[torch.isin(torch.from_numpy(person.frames), torch.from_numpy(kept))]
        made = Ranged(len(rows))
        made.centre.copy_(moves.mean(0))
        made.factor.copy_((person.moves.std(0) / moves.std(0).clamp_min(1e-6)).clamp(max=MOST))
        made.goal.copy_(person.moves.mean(0))
        made.reading = person.reading
        made.manifold = Manifold.of(rows, rig.lip_weight.sqrt())
        return made

    @torch.no_grad()
    def forward(self, moves: Float[Tensor, "time width"], share: float = SHARE) -> Float[Tensor, "time lips"]:
        return self.manifold(self.reading(self.goal + (moves - self.centre) * self.factor), share)
