"""The head: the field, what space is occupied, the code of what is said, and each frame's own light."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likeness.nn.mlp import mlp
from likeness.nn.radiance.field import CODE, Field, Said
from likeness.nn.radiance.occupancy import Occupancy
from likeness.nn.radiance.settings import Settings
from likeness.nn.radiance.warp import Warp
from likeness.rig import LIP_COEFFICIENTS, UPPER_COEFFICIENTS, Rig

AMBIENT_CODE = 64
DENSITY, WEIGHT, BITS = "occupancy.density", "occupancy.weight", "occupancy.bits"


class Head(nn.Module):
    """Everything that is learned but the voice. Lip coefficients of the rig move it, or what a method makes of them."""

    def __init__(self, config: Settings, frames: int) -> None:
        """`frames`: how many the clip is trained on, each with its own light."""
        super().__init__()
        self.config = config
        self.width = AMBIENT_CODE if config.speech == "ambient" else CODE
        self.field = Field(config, self.width, UPPER_COEFFICIENTS if config.upper else 1)
        self.occupancy = Occupancy(config.culled)
        self.code = self.coded(self.width)
        self.appearance = nn.Parameter(0.1 * torch.randn(frames, config.appearance))
        self.warp: Warp | None = None

    def coded(self, width: int) -> nn.Module:
        """What makes a code of `width` numbers of the lips."""
        return mlp(LIP_COEFFICIENTS, width, 32, 2)

    def follow(self, rig: Rig) -> None:
        """Move with a rig, where the settings say so."""
        if self.config.warped:
            self.warp = Warp(rig)

    def placed(self, pose: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
        """A camera in the frame that the field has its axes from."""
        return pose

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Be as it was, from the tensors `head.*` of a run."""
        mine = {key.removeprefix("head."): value for key, value in state.items() if key.startswith("head.")}
        space = [mine.pop(name) for name in (DENSITY, WEIGHT, BITS)]
        self.load_state_dict(mine)
        self.occupancy.restore(*space)

    def named(self) -> dict[str, Tensor]:
        """Its state for a run's checkpoint."""
        space = self.occupancy
        state = self.state_dict() | {DENSITY: space.density, WEIGHT: space.weight, BITS: space.bits}
        return {f"head.{key}": value for key, value in state.items()}

    def said(
        self, cond: Float[Tensor, "frames cond"], upper: Float[Tensor, "frames upper"], light: Int[Tensor, " frames"] | None
    ) -> Said:
        """What moves the face in some frames, whose conditioning is `cond`; `light` numbers the frames whose light it is, None
        the mean light."""
        return self.under(self.code(cond), cond, upper, light)

    def held(self, lips: Float[Tensor, "frames lips"]) -> Float[Tensor, "frames cond"]:
        """The conditioning of lips that stay as they are."""
        return lips

    def under(self, code: Tensor, lips: Tensor, upper: Tensor, light: Tensor | None) -> Said:
        """A code, and the lips that the rig moves with."""
        shift = None if self.warp is None else self.warp.shift(torch.cat([lips, upper], 1))
        return Said(code, upper if self.config.upper else upper[:, :1], self.lit(len(code), light), shift)

    def lit(self, frames: int, light: Int[Tensor, " frames"] | None) -> Float[Tensor, "frames appearance"]:
        """The codes of these training frames' light; None: of the mean light."""
        return self.appearance.mean(0, keepdim=True).expand(frames, -1) if light is None else self.appearance[light]
