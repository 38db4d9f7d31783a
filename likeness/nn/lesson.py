"""What training a head that a rig or sound moves begins with, whatever draws it: frames, conditioning, pictures, distance."""

from __future__ import annotations

from functools import cached_property
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likeness.audio import ROWS_PER_FRAME
from likeness.clip import Clip, Index
from likeness.nn.audio_code import FUTURE, PAST
from likeness.nn.perceptual import LaplacianDistance, Lpips
from likeness.nn.pictures import Pictures
from likeness.rig import Rig
from likeness.run import Run


@runtime_checkable
class Settings(Protocol):
    """What a lesson reads of a method's settings."""

    @property
    def size(self) -> int: ...
    @property
    def conditioning(self) -> str: ...
    @property
    def features(self) -> tuple[str, ...]: ...
    @property
    def lpips_weight(self) -> float: ...
    @property
    def laplacian_weight(self) -> float: ...
    @property
    def noise(self) -> float: ...


C = TypeVar("C", bound=Settings)


class Lesson(Generic[C]):
    """A clip's training frames as a stage sees them."""

    def __init__(
        self,
        clip: Clip,
        rig: Rig,
        frames: Int[np.ndarray, " frames"],
        config: C,
        run: Run,
        distance: Lpips | LaplacianDistance,
    ) -> None:
        self.clip, self.rig, self.frames, self.config, self.run = clip, rig, frames, config, run
        self.distance = distance
        self.distance_weight = config.lpips_weight if isinstance(distance, Lpips) else config.laplacian_weight
        self.noise = config.noise if config.conditioning == "motion" else 0.0
        self.cond = rig.encode(clip.motion)
        if config.conditioning == "sound":
            parts = [np.asarray(clip.features(name), np.float32) for name in config.features]
            self.heard = torch.from_numpy(np.concatenate(parts, axis=1))

    @cached_property
    def pictures(self) -> Pictures:
        """At the training size."""
        size = self.config.size
        path = self.run.folder / f"pictures-{size}.raw"
        return Pictures(self.clip, self.frames, size, path, self.lip_weight)

    @property
    def lip_weight(self) -> float:
        """Of lips and eyes in `Picture.weight`."""
        return 1.0

    def stretch(self, t: Index) -> Float[Tensor, "rows dim"]:
        """Speech features that the code of a frame hears, under `sound`."""
        rows = torch.arange(ROWS_PER_FRAME * (int(t) - PAST), ROWS_PER_FRAME * (int(t) + 1 + FUTURE))
        return self.heard[rows.clamp(0, len(self.heard) - 1)]
