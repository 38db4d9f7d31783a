"""RAD-NeRF: a radiance field that speech moves (Tang et al. 2022), with ER-NeRF's planes and attention (Li et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.methods.radnerf.config import Config
from likeness.methods.radnerf.head import Head
from likeness.nn.adaptation.speaker import blank_voice
from likeness.nn.radiance.performer import RadiancePerformer
from likeness.portrait import header_hearing


class Model(RadiancePerformer):
    """The portrait: rig, head, voice where motion is what moves it, and the stage."""

    method = "radnerf"

    def hear(self, stretch: Float[Tensor, "rows dim"]) -> Float[Tensor, "time code"]:
        return self.head.code(stretch)

    @property
    def usual(self) -> Float[Tensor, "1 cond"]:
        """Mean lips; under `sound` a code of nothing."""
        return super().usual if self.voice is not None else torch.zeros(1, self.head.width)

    @classmethod
    def blank(cls, header: Mapping[str, Any]) -> Model:
        sizes = header["sizes"]
        words: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in header["config"].items()}
        config = Config(**words)
        voice = blank_voice(sizes["voice"]) if config.conditioning == "motion" else None
        return cls(config, header_hearing(header), Head(config, sizes["frames"]), voice)
