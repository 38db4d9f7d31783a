"""A portrait that lips of neighbouring frames move: each row of conditioning holds those of FRAMES frames, so that drawing
needs nothing but its row."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import Hearing
from likeness.clip import Motion
from likeness.methods.geneface.landmarks import FRAMES, NEAR, windows
from likeness.nn.adaptation.speaker import Speaker
from likeness.nn.performing import Performer, spoken_lips
from likeness.nn.voice import Voice
from likeness.portrait import Heard
from likeness.rig import LIP_COEFFICIENTS


def around(hearing: Hearing) -> Hearing:
    """What a voice hears of a frame and of those around it."""
    return replace(hearing, past=hearing.past + NEAR, future=hearing.future + NEAR)


class Near(Performer):
    """A row of conditioning is the lips of FRAMES frames side by side."""

    voice: Voice | Speaker

    def listen(self, heard: Heard) -> Float[Tensor, "time cond"]:
        """Sound to lip coefficients of each frame and those around it, at rest where the frame is silent."""
        wide = replace(heard, activity=torch.ones(len(heard.activity) + 2 * NEAR), start=heard.start - NEAR)
        lips = spoken_lips(self.voice, self.rig, wide, self.own(heard))
        near = lips.unfold(0, FRAMES, 1).transpose(1, 2)
        # Silence is known of the frame itself only: its neighbours may lie in another chunk.
        return (self.rig.rest + heard.activity[:, None, None] * (near - self.rig.rest)).flatten(1)

    def follow(self, motion: Motion) -> Float[Tensor, "time cond"]:
        """Tracked lips instead of sound, of frames that follow each other; at both ends the last one stays."""
        return windows(self.rig.encode(motion)[:, :LIP_COEFFICIENTS])

    def within(
        self, cond: Float[Tensor, "time cond"], motion: Motion | None
    ) -> tuple[Float[Tensor, "time cond"], Float[Tensor, "time upper"]]:
        """What drives frames and the upper face's values (without motion their mean), within what training showed."""
        lips = cond.unflatten(1, (FRAMES, LIP_COEFFICIENTS))
        _, upper = super().within(lips[:, NEAR], motion)
        low, high = self.rig.low[:LIP_COEFFICIENTS], self.rig.high[:LIP_COEFFICIENTS]
        return torch.minimum(torch.maximum(lips, low), high).flatten(1), upper
