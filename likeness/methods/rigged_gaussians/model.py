"""Rigged Gaussians: Gaussians bound to a personal face mesh that a small conditioning vector moves.

What is seen and what is said are learned apart: tracked motion drives the Gaussians (easy, photometric), sound drives the
motion (hard, learned from motion targets).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import Hearing
from likeness.clip import Motion
from likeness.methods.rigged_gaussians.config import Config
from likeness.methods.rigged_gaussians.gaussians import Gaussians
from likeness.methods.rigged_gaussians.still import still
from likeness.nn.adaptation.speaker import Speaker, blank_voice, sizes_of
from likeness.nn.performing import Performer
from likeness.nn.voice import Voice
from likeness.ply import Cloud
from likeness.portrait import Layer, header_hearing
from likeness.rig import LIP_COEFFICIENTS


class Model(Performer):
    """The portrait: rig, Gaussians, voice, and the stage."""

    method = "rigged_gaussians"
    voice: Voice | Speaker

    def __init__(self, config: Config, hearing: Hearing, gaussians: Gaussians, voice: Voice | Speaker) -> None:
        super().__init__()
        self.config, self.hearing = config, hearing
        self.gaussians = gaussians
        self.voice = voice

    @torch.no_grad()
    def render(self, cond: Float[Tensor, "time lips"], motion: Motion, state: None = None) -> tuple[Layer, None]:
        """Head pictures; no state is needed."""
        rows = torch.cat(self.within(cond, motion), dim=1)
        pictures = [self.gaussians(row, pose, self.stage.camera) for row, pose in zip(rows, motion.pose)]
        return Layer(torch.stack([p.image for p in pictures]), torch.stack([p.alpha for p in pictures])), None

    @torch.no_grad()
    def splats(self, cond: Float[Tensor, "1 lips"] | None = None, motion: Motion | None = None) -> Cloud:
        """Of degree 1, for views like those of the stage's motion; see `still` for how exact that is."""
        lips = self.rig.mean.new_zeros(1, LIP_COEFFICIENTS) if cond is None else cond
        row = torch.cat(self.within(lips, motion), dim=1)[0]
        return still(self.gaussians, row, self.stage.motion.pose)

    def sizes(self) -> dict[str, Any]:
        return {"gaussians": len(self.gaussians), "voice": sizes_of(self.voice)}

    @classmethod
    def blank(cls, header: Mapping[str, Any]) -> Model:
        sizes = header["sizes"]
        return cls(
            Config(**header["config"]), header_hearing(header), Gaussians(sizes["gaussians"]), blank_voice(sizes["voice"])
        )
