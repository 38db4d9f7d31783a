"""Rigged Gaussians: Gaussians bound to a personal face mesh that a small conditioning vector moves.

What is seen and what is said are learned apart: tracked motion drives the Gaussians (easy, photometric), sound drives the
motion (hard, learned from motion targets).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import Hearing
from likeness.clip import Motion
from likeness.methods.rigged_gaussians.config import Config
from likeness.methods.rigged_gaussians.gaussians import Gaussians
from likeness.methods.rigged_gaussians.still import still
from likeness.nn.performing import rig_and_stage, rig_and_stage_state, spoken_lips
from likeness.nn.voice import Voice
from likeness.ply import Cloud
from likeness.portrait import Heard, Layer, Portrait, Stage, header_hearing
from likeness.rig import LIP_COEFFICIENTS, SIZE, Rig


class Model(Portrait):
    """The portrait: rig, Gaussians, voice, and the stage."""

    method = "rigged_gaussians"

    stage: Stage
    rig: Rig

    def __init__(self, config: Config, hearing: Hearing, gaussians: Gaussians, voice: Voice) -> None:
        """`stage` and `rig` are set by whoever makes it: `train`, or `furnish` from a file."""
        super().__init__()
        self.config, self.hearing = config, hearing
        self.gaussians = gaussians
        self.voice = voice

    def listen(self, heard: Heard) -> Float[Tensor, "time lips"]:
        """Sound to lip coefficients, at rest in silence."""
        return spoken_lips(self.voice, self.rig, heard)

    def follow(self, motion: Motion) -> Float[Tensor, "time lips"]:
        """Tracked lips instead of sound."""
        return self.rig.encode(motion)[:, :LIP_COEFFICIENTS]

    def recognise(self, mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"]) -> Literal["own", "other"]:
        return self.voice.recognise(mean, std)

    def conditioning(self, cond: Float[Tensor, "time lips"], motion: Motion) -> Float[Tensor, "time cond"]:
        """Lips from `cond`, eyes and brows from the motion, within what training showed."""
        upper = self.rig.encode(motion)[:, LIP_COEFFICIENTS:]
        return self.rig.clip(torch.cat([cond, upper], dim=1))

    @torch.no_grad()
    def render(self, cond: Float[Tensor, "time lips"], motion: Motion, state: None = None) -> tuple[Layer, None]:
        """Head pictures; no state is needed."""
        rows = self.conditioning(cond, motion)
        pictures = [self.gaussians(row, pose, self.stage.camera) for row, pose in zip(rows, motion.pose)]
        return Layer(torch.stack([p.image for p in pictures]), torch.stack([p.alpha for p in pictures])), None

    @torch.no_grad()
    def splats(self, cond: Float[Tensor, "1 lips"] | None = None, motion: Motion | None = None) -> Cloud:
        """Of degree 1, for views like those of the stage's motion; see `still` for how exact that is."""
        lips = self.rig.mean.new_zeros(1, LIP_COEFFICIENTS) if cond is None else cond
        upper = lips.new_zeros(1, SIZE - LIP_COEFFICIENTS) if motion is None else self.rig.encode(motion)[:, LIP_COEFFICIENTS:]
        row = self.rig.clip(torch.cat([lips, upper], dim=1))[0]
        return still(self.gaussians, row, self.stage.motion.pose)

    def sizes(self) -> dict[str, int]:
        return {"gaussians": len(self.gaussians), "voice": len(self.voice)}

    def extra_state(self) -> dict[str, Tensor]:
        return rig_and_stage_state(self.rig, self.stage)

    @classmethod
    def blank(cls, header: Mapping[str, Any]) -> Model:
        sizes = header["sizes"]
        return cls(Config(**header["config"]), header_hearing(header), Gaussians(sizes["gaussians"]), Voice(sizes["voice"]))

    def furnish(self, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.rig, self.stage = rig_and_stage(header, tensors)
