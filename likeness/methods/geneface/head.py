"""GeneFace's head: the radiance field, moved by the landmarks of neighbouring frames."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likeness.methods.geneface.config import Config
from likeness.methods.geneface.landmarks import FRAMES, NEAR, LandmarkCode, Landmarks
from likeness.nn.radiance import head
from likeness.nn.radiance.field import Said
from likeness.rig import LIP_COEFFICIENTS, Rig


class Head(head.Head):
    """Everything that is learned but the voice. A row of conditioning holds the lips of FRAMES frames."""

    def __init__(self, config: Config, frames: int) -> None:
        """`frames`: how many the clip is trained on, each with its own light."""
        super().__init__(config, frames)
        self.landmarks = Landmarks(config.clamp)

    def coded(self, width: int) -> LandmarkCode:
        """Of landmarks."""
        return LandmarkCode(width)

    def follow(self, rig: Rig) -> None:
        """Move with a rig: its landmarks, and what is around them where the settings say so."""
        super().follow(rig)
        self.landmarks.follow(rig)

    def held(self, lips: Float[Tensor, "frames lips"]) -> Float[Tensor, "frames cond"]:
        """The same lips in all frames."""
        return lips.repeat(1, FRAMES)

    def said(
        self, cond: Float[Tensor, "frames cond"], upper: Float[Tensor, "frames upper"], light: Int[Tensor, " frames"] | None
    ) -> Said:
        """The code hears all frames; the rig moves with the lips of the middle one."""
        lips = cond.unflatten(1, (FRAMES, LIP_COEFFICIENTS))
        rows = torch.cat([lips, upper[:, None].expand(-1, FRAMES, -1)], 2)
        return self.under(self.code(self.landmarks(rows)), lips[:, NEAR], upper, light)
