"""The sync expert as a loss for a generator of motion (Ye et al. 2023): how little a mouth seems to belong to its sound.

Measured elsewhere and here: with it the expert grows surer than of real mouths while lips get worse. It is the `paper`'s.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.displacement import MOUTH
from likeness.nn.sync.expert import Expert, columns


class SyncLoss:
    """What `likeness.nn.generator.objective.Expert` asks for."""

    def __init__(self, expert: Expert) -> None:
        self.expert = expert.freeze()
        self.features = expert.settings.features
        self.id = expert.id

    def __call__(
        self,
        moves: Float[Tensor, "batch time 68 3"],
        rows: Float[Tensor, "batch rows speech"],
        mean: Float[Tensor, "batch speech"],
        std: Float[Tensor, "batch speech"],
    ) -> Float[Tensor, " windows"]:
        """-log of the probability that mouth and sound belong together, of every window of every crop."""
        losses = []
        for motion, sound, centre, spread in zip(moves, rows, mean, std):
            said = columns(sound, centre, spread, self.expert.settings)
            windows = self.expert.windows(motion[:, MOUTH]), self.expert.windows(said).flatten(1, 2)
            losses.append(-self.expert.log_probability(*windows))
        return torch.cat(losses)
