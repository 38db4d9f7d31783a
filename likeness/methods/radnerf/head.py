"""The head: the field, what space is occupied, the code of speech, and each frame's own light."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likeness import speech
from likeness.camera import moved
from likeness.methods.radnerf.config import Config
from likeness.methods.radnerf.field import CODE, Field, Said
from likeness.methods.radnerf.occupancy import Occupancy
from likeness.methods.radnerf.warp import Warp
from likeness.nn.audio_code import CENTRED, LOGITS, PAIRS, AudioCode, Windows
from likeness.nn.mlp import mlp
from likeness.rig import LIP_COEFFICIENTS, UPPER_COEFFICIENTS, Rig

SOUND_CODE = 64
DENSITY, WEIGHT, BITS = "occupancy.density", "occupancy.weight", "occupancy.bits"


def windows(config: Config) -> Windows:
    """Which rows of speech features a frame's code is made of, under `sound`."""
    if not config.original:
        return CENTRED
    return PAIRS if config.features == ("hubert",) else LOGITS


class Head(nn.Module):
    """Everything that is learned but the voice."""

    place: Tensor

    def __init__(self, config: Config, frames: int) -> None:
        """`frames`: how many the clip is trained on, each with its own light."""
        super().__init__()
        self.config = config
        by_sound = config.conditioning == "sound"
        width = SOUND_CODE if config.speech == "ambient" else CODE
        self.field = Field(config, width, UPPER_COEFFICIENTS if config.upper else 1)
        self.occupancy = Occupancy(config.culled)
        if by_sound:
            self.code: nn.Module = AudioCode(sum(speech.RECIPES[n].dim for n in config.features), width, windows(config))
        else:
            self.code = mlp(LIP_COEFFICIENTS, width, 32, 2)
        self.width = width
        self.appearance = nn.Parameter(0.1 * torch.randn(frames, config.appearance))
        self.warp: Warp | None = None
        if config.original:
            self.register_buffer("place", torch.eye(4))  # points of the head frame to the field's own, both in metres

    def follow(self, rig: Rig) -> None:
        """Move with a rig, where the settings say so."""
        if self.config.warped and self.config.conditioning == "motion":
            self.warp = Warp(rig)

    def placed(self, pose: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
        """A camera in the frame that the field has its axes from."""
        return moved(pose, self.place) if self.config.original else pose

    @staticmethod
    def restored(config: Config, state: Mapping[str, Tensor]) -> Head:
        """From the tensors `head.*` of a run."""
        mine = {key.removeprefix("head."): value for key, value in state.items() if key.startswith("head.")}
        head = Head(config, len(mine["appearance"]))
        space = [mine.pop(name) for name in (DENSITY, WEIGHT, BITS)]
        head.load_state_dict(mine)
        head.occupancy.restore(*space)
        return head

    def named(self) -> dict[str, Tensor]:
        """Its state for a run's checkpoint."""
        space = self.occupancy
        state = self.state_dict() | {DENSITY: space.density, WEIGHT: space.weight, BITS: space.bits}
        return {f"head.{key}": value for key, value in state.items()}

    def said(
        self, cond: Float[Tensor, "frames cond"], upper: Float[Tensor, "frames upper"], light: Int[Tensor, " frames"] | None
    ) -> Said:
        """What moves the face in some frames. `cond` holds lips, or codes already where sound drives; `light` numbers the
        frames whose light it is, None the mean light."""
        code = self.code(cond) if self.config.conditioning == "motion" else cond
        shift = None if self.warp is None else self.warp.shift(torch.cat([cond, upper], 1))
        return Said(code, upper if self.config.upper else upper[:, :1], self.lit(len(code), light), shift)

    def lit(self, frames: int, light: Int[Tensor, " frames"] | None) -> Float[Tensor, "frames appearance"]:
        """The codes of these training frames' light; None: of the mean light."""
        return self.appearance.mean(0, keepdim=True).expand(frames, -1) if light is None else self.appearance[light]
