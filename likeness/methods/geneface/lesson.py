"""GeneFace's lesson: training frames with the lips of the frames around them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int

from likeness.methods.geneface.landmarks import NEAR, neighbours
from likeness.nn.radiance import lesson
from likeness.nn.radiance.field import Said
from likeness.nn.radiance.head import Head
from likeness.rig import LIP_COEFFICIENTS


class Lesson(lesson.Lesson):
    """A clip's training frames as rays."""

    @cached_property
    def near(self) -> Int[np.ndarray, "frames near"]:
        """The frames whose lips each training frame's code hears, itself in the middle; all of them training frames."""
        train = self.clip.train
        return neighbours(train, tuple(self.clip.breaks))[np.searchsorted(train, self.frames)]

    def said(self, head: Head, rows: Int[np.ndarray, " frames"], rng: np.random.Generator | None) -> Said:
        """In the training frames number `rows`. Noise is the same in a frame and those around it: a voice that is wrong is
        so for longer."""
        cond = self.cond[torch.from_numpy(self.near[rows])]
        cond = self.rig.clip(cond + self.unsure(len(rows), rng)[:, None])
        lips, upper = cond[..., :LIP_COEFFICIENTS], cond[:, NEAR, LIP_COEFFICIENTS:]
        return head.said(lips.flatten(1), upper, torch.from_numpy(rows))
