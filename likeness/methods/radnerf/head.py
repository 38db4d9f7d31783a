"""RAD-NeRF's head: the radiance field, moved by lips or by sound itself, and what imported heads need."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likeness import speech
from likeness.camera import moved
from likeness.methods.radnerf.config import Config
from likeness.nn.audio_code import CENTRED, LOGITS, PAIRS, AudioCode, Windows
from likeness.nn.radiance import head
from likeness.nn.radiance.field import Said
from likeness.rig import Rig


def windows(config: Config) -> Windows:
    """Which rows of speech features a frame's code is made of, under `sound`."""
    if not config.original:
        return CENTRED
    return PAIRS if config.features == ("hubert",) else LOGITS


class Head(head.Head):
    """Everything that is learned but the voice."""

    config: Config
    place: Tensor

    def __init__(self, config: Config, frames: int) -> None:
        """`frames`: how many the clip is trained on, each with its own light."""
        super().__init__(config, frames)
        if config.original:
            self.register_buffer("place", torch.eye(4))  # points of the head frame to the field's own, both in metres
        if config.original == "RAD-NeRF":
            self.field.beyond = 0.0  # its colours do not pass 0 and 1

    def coded(self, width: int) -> nn.Module:
        """Of lips, or of windows of speech features."""
        config = self.config
        if config.conditioning == "motion":
            return super().coded(width)
        return AudioCode(sum(speech.RECIPES[n].dim for n in config.features), width, windows(config))

    def follow(self, rig: Rig) -> None:
        """Move with a rig, where the settings say so."""
        if self.config.conditioning == "motion":
            super().follow(rig)

    def placed(self, pose: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
        """A camera in the frame that the field has its axes from."""
        return moved(pose, self.place) if self.config.original else pose

    def said(
        self, cond: Float[Tensor, "frames cond"], upper: Float[Tensor, "frames upper"], light: Int[Tensor, " frames"] | None
    ) -> Said:
        """`cond` holds lips, or codes already where sound drives."""
        return (
            super().said(cond, upper, light) if self.config.conditioning == "motion" else self.under(cond, cond, upper, light)
        )
