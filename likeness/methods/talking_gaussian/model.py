"""TalkingGaussian: persistent Gaussians that speech moves (Li et al. 2024), face and mouth interior apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import Hearing
from likeness.clip import Motion
from likeness.methods.talking_gaussian.config import Config
from likeness.methods.talking_gaussian.field import Field
from likeness.methods.talking_gaussian.head import Head, Places
from likeness.methods.talking_gaussian.motion import CODE
from likeness.nn.adaptation.speaker import Speaker, blank_voice, sizes_of
from likeness.nn.performing import Performer
from likeness.nn.voice import Voice
from likeness.ply import Cloud
from likeness.portrait import Layer, header_hearing
from likeness.rig import LIP_COEFFICIENTS


class Model(Performer):
    """The portrait: rig, head, voice where motion is what moves it, and the stage."""

    method = "talking_gaussian"

    def __init__(self, config: Config, hearing: Hearing, head: Head, voice: Voice | Speaker | None) -> None:
        super().__init__()
        self.config, self.hearing = config, hearing
        self.head = head
        self.voice = voice
        self._places: Places | None = None

    def hear(self, stretch: Float[Tensor, "rows dim"]) -> Float[Tensor, "time code"]:
        return self.head.hear(stretch)

    @torch.no_grad()
    def render(self, cond: Float[Tensor, "time cond"], motion: Motion, state: None = None) -> tuple[Layer, None]:
        """Head pictures; no state is needed. The fields' features are worked out once and kept."""
        if self._places is None or self.training:
            self._places = self.head.places()
        cond, upper = self.within(cond, motion)
        images, alphas = [], []
        for row, shown, pose in zip(cond, upper, motion.pose):
            code = self.head.codes(row[None])[0]  # one by one: products of matrices round by their number of rows
            image, alpha = self.head.draw(self.head.move(self._places, code, shown), pose, self.stage.camera)
            images.append(image)
            alphas.append(alpha)
        return Layer(torch.stack(images), torch.stack(alphas)), None

    def train(self, mode: bool = True) -> Model:
        """As of any module; what was worked out before is forgotten, as training may change it."""
        self._places = None
        return super().train(mode)

    @torch.no_grad()
    def splats(self, cond: Float[Tensor, "1 cond"] | None = None, motion: Motion | None = None) -> Cloud:
        """Both branches, of degree 2."""
        mouth = self.head.mouth
        moved = self.head.move(self.head.places(), *self._driven(cond, motion))
        clouds = [self.head.face.cloud(moved.face)]
        if isinstance(mouth, Field):
            clouds.append(mouth.cloud(moved.mouth))
        return Cloud(*(torch.cat(rows) for rows in zip(*((c.means, c.quats, c.scales, c.opacities, c.sh) for c in clouds))))

    @torch.no_grad()
    def maps(self, cond: Float[Tensor, "1 cond"] | None, motion: Motion) -> dict[str, Float[Tensor, "height width"]]:
        """Lengths of both attentions, as the face is seen: what speech moves, and what the upper face does."""
        places, (code, upper) = self.head.places(), self._driven(cond, motion)
        maps = self.head.attention(places, self.head.move(places, code, upper), motion.pose[0], self.stage.camera)
        return {"attention to speech": maps[..., 0], "attention to the upper face": maps[..., 1]}

    def _driven(
        self, cond: Float[Tensor, "1 cond"] | None, motion: Motion | None
    ) -> tuple[Float[Tensor, " code"], Float[Tensor, " upper"]]:
        """Code of speech and upper face of one frame; where there is none the mean, or a code of zeros under `sound`."""
        row = self.rig.mean.new_zeros(1, self._width) if cond is None else cond
        row, upper = self.within(row, motion)
        return self.head.codes(row)[0], upper[0]

    @property
    def _width(self) -> int:
        """Numbers of a row of conditioning."""
        return CODE * len(self.head.heard) if self.voice is None else LIP_COEFFICIENTS

    def sizes(self) -> dict[str, Any]:
        mouth = 0 if self.head.mouth is None else len(self.head.mouth)
        return {"face": len(self.head.face), "mouth": mouth, "voice": 0 if self.voice is None else sizes_of(self.voice)}

    @classmethod
    def blank(cls, header: Mapping[str, Any]) -> Model:
        sizes = header["sizes"]
        words: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in header["config"].items()}
        config = Config(**words)
        voice = blank_voice(sizes["voice"]) if config.conditioning == "motion" else None
        return cls(config, header_hearing(header), Head(config, sizes["face"], sizes["mouth"]), voice)
