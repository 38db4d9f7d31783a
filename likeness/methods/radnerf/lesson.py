"""RAD-NeRF's lesson: where sound itself moves the face, each frame has the code of its own sound."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int

from likeness.nn.audio_code import AudioCode
from likeness.nn.radiance import lesson
from likeness.nn.radiance.field import Said
from likeness.nn.radiance.head import Head
from likeness.rig import LIP_COEFFICIENTS


class Lesson(lesson.Lesson):
    """A clip's training frames as rays."""

    def said(self, head: Head, rows: Int[np.ndarray, " frames"], rng: np.random.Generator | None) -> Said:
        """In the training frames number `rows`, with a little noise where motion drives and `rng` is given."""
        if not isinstance(head.code, AudioCode):
            return super().said(head, rows, rng)
        frames = self.frames[rows]
        upper = self.rig.clip(self.cond[torch.from_numpy(frames)])[:, LIP_COEFFICIENTS:]
        return head.said(torch.cat([head.code(self.stretch(t)) for t in frames]), upper, torch.from_numpy(rows))
