"""Which frames a step may see: easy mouth openings and blinks first (Li et al. 2024, section 3.4).

Each rule is a set of frames, not a loop that waits for one: where no frame fits, all do, and training cannot hang.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from likeness.clip import PARTS, Clip
from likeness.methods.talking_gaussian.config import Config
from likeness.rig import lip_opening

FEWEST_PIXELS = 20  # of the mouth's interior, at 256²
FACE_EVERY, MOUTH_EVERY = 15, 7  # steps of which one is chosen by the rule
FACE_SHARE, MOUTH_SHARE = 0.8, 0.78  # of a branch's steps, over which the rules move


class Curriculum:
    """The frames that there are and what they show."""

    def __init__(self, clip: Clip, frames: Int[np.ndarray, " frames"], config: Config) -> None:
        self.frames, self.config = frames, config
        motion = clip.motion[torch.from_numpy(frames)]
        self.opening = lip_opening(motion.landmarks).numpy()
        self.parted = np.minimum(self.opening, np.percentile(self.opening, 95))  # as AU25 is clipped
        self.blink = 1 - motion.eyes.numpy()
        least = FEWEST_PIXELS * (clip.camera.size[0] / 256) ** 2
        self.shows_mouth = np.array([(clip.parts(t) == PARTS["mouth"]).sum() >= least for t in frames])

    def face(self, step: int, share: float, static: bool) -> Int[np.ndarray, " eligible"]:
        """For a step of the face's branch, `share` of it done: every 15th shows a chosen opening or blink, for a while."""
        if not self.config.incremental or step % FACE_EVERY:
            return self.frames
        progress = share / FACE_SHARE
        if progress > 1:
            return self.frames
        if static:
            return self._some(opening_window(self.opening, progress))
        return self._some((self.blink >= progress - 0.15) & (self.blink <= progress + 0.3))

    def mouth(self, step: int, share: float, static: bool) -> Int[np.ndarray, " eligible"]:
        """For a step of the mouth's branch: wide open while static, then every 7th from wide open towards closed."""
        seen = self.shows_mouth
        if not self.config.incremental:
            return self._some(seen)
        if static:
            return self._some(seen & (self.parted >= self.parted.max()), seen)
        progress = share / MOUTH_SHARE
        if step % MOUTH_EVERY or progress > 1:
            return self._some(seen)
        reach = progress * (self.parted.max() - np.percentile(self.parted, 25))
        return self._some(seen & (self.parted >= self.parted.max() - reach), seen)

    def _some(self, *fits: Bool[np.ndarray, " frames"]) -> Int[np.ndarray, " eligible"]:
        """Of the first rule that any frame fits."""
        return next((self.frames[fit] for fit in fits if fit.any()), self.frames)


def opening_window(opening: Float[np.ndarray, " frames"], progress: float) -> Bool[np.ndarray, " frames"]:
    """Openings round a value that moves from the low end up, in a window that narrows with what is left."""
    low, high = float(opening.min()), float(opening.max())
    middle = low + (0.2 + 0.8 * progress) * (high - low)
    half = 0.2 * (high - low) * (1 - progress)
    return (opening >= middle - half) & (opening <= middle + half)
