"""TalkingGaussian: persistent Gaussians that speech moves (Li et al. 2024), face and mouth interior apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import Hearing
from likeness.clip import Motion
from likeness.methods.talking_gaussian.config import Config
from likeness.methods.talking_gaussian.field import Field
from likeness.methods.talking_gaussian.head import Head, Moved, Places
from likeness.methods.talking_gaussian.motion import CODE, UPPER
from likeness.nn.torso import Torso
from likeness.nn.voice import Voice
from likeness.ply import Cloud
from likeness.portrait import (
    Heard,
    Layer,
    Portrait,
    Stage,
    below,
    header_camera,
    header_hearing,
    require,
    stage_background,
    stage_motion,
    stage_tensors,
)
from likeness.rig import LIP_COEFFICIENTS, Rig


class Model(Portrait):
    """The portrait: rig, head, voice where motion is what moves it, and the stage."""

    method = "talking_gaussian"

    stage: Stage
    rig: Rig

    def __init__(self, config: Config, hearing: Hearing, head: Head, voice: Voice | None) -> None:
        """`stage` and `rig` are set by whoever makes it: `train`, or `furnish` from a file."""
        super().__init__()
        self.config, self.hearing = config, hearing
        self.head = head
        self.voice = voice
        self._places: Places | None = None

    def listen(self, heard: Heard) -> Float[Tensor, "time cond"]:
        """Sound to lip coefficients, at rest in silence; under `sound` to codes of speech, which know no rest."""
        if self.voice is None:
            with torch.no_grad():
                return self.head.hear(heard.features)
        lips = self.voice(heard)
        low, high = self.rig.low[:LIP_COEFFICIENTS], self.rig.high[:LIP_COEFFICIENTS]
        lips = torch.minimum(torch.maximum(lips, low), high)
        return self.rig.rest + heard.activity[:, None] * (lips - self.rig.rest)

    def follow(self, motion: Motion) -> Float[Tensor, "time lips"] | None:
        """Tracked lips instead of sound; None under `sound`."""
        return None if self.voice is None else self.rig.encode(motion)[:, :LIP_COEFFICIENTS]

    def recognise(self, mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"]) -> Literal["own", "other"]:
        return "own" if self.voice is None else self.voice.recognise(mean, std)

    @torch.no_grad()
    def render(self, cond: Float[Tensor, "time cond"], motion: Motion, state: None = None) -> tuple[Layer, None]:
        """Head pictures; no state is needed. The fields' features are worked out once and kept."""
        if self._places is None or self.training:
            self._places = self.head.places()
        upper = self.rig.encode(motion)[:, LIP_COEFFICIENTS:]
        if self.voice is not None:
            rows = self.rig.clip(torch.cat([cond, upper], dim=1))
            cond, upper = rows[:, :LIP_COEFFICIENTS], rows[:, LIP_COEFFICIENTS:]
        else:
            low, high = self.rig.low[LIP_COEFFICIENTS:], self.rig.high[LIP_COEFFICIENTS:]
            upper = torch.minimum(torch.maximum(upper, low), high)
        images, alphas = [], []
        for row, shown, pose in zip(cond, upper, motion.pose):
            code = self.head.codes(row[None])[0]  # one by one: products of matrices round by their number of rows
            image, alpha, _ = self.head.draw(self.head.move(self._places, code, shown), pose, self.stage.camera)
            images.append(image)
            alphas.append(alpha)
        return Layer(torch.stack(images), torch.stack(alphas)), None

    def train(self, mode: bool = True) -> Model:
        """As of any module; what was worked out before is forgotten, as training may change it."""
        self._places = None
        return super().train(mode)

    @torch.no_grad()
    def splats(self, cond: Float[Tensor, "1 cond"] | None = None, motion: Motion | None = None) -> Cloud:
        """Both branches, of degree 2. With neither conditioning nor motion: as they lie, unmoved."""
        mouth = self.head.mouth
        moved: Moved | None = None
        if cond is not None or motion is not None:
            moved = self.head.move(self.head.places(), *self._driven(cond, motion))
        clouds = [self.head.face.cloud(moved.face if moved else None)]
        if isinstance(mouth, Field):
            clouds.append(mouth.cloud(moved.mouth if moved else None))
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
        """Code of speech and upper face of one frame; the mean where there is none."""
        row = self.rig.mean.new_zeros(1, self._width) if cond is None else cond
        upper = row.new_zeros(1, UPPER) if motion is None else self.rig.encode(motion)[:, LIP_COEFFICIENTS:]
        return self.head.codes(row)[0], upper[0]

    @property
    def _width(self) -> int:
        """Numbers of a row of conditioning."""
        return CODE * len(self.head.heard) if self.voice is None else LIP_COEFFICIENTS

    def sizes(self) -> dict[str, int]:
        mouth = 0 if self.head.mouth is None else len(self.head.mouth)
        return {"face": len(self.head.face), "mouth": mouth, "voice": 0 if self.voice is None else len(self.voice)}

    def extra_state(self) -> dict[str, Tensor]:
        return {f"rig.{k}": v for k, v in self.rig.state().items()} | stage_tensors(self.stage)

    @classmethod
    def blank(cls, header: Mapping[str, Any]) -> Model:
        sizes = header["sizes"]
        words: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in header["config"].items()}
        config = Config(**words)
        voice = Voice(sizes["voice"]) if config.conditioning == "motion" else None
        return cls(config, header_hearing(header), Head(config, sizes["face"], sizes["mouth"]), voice)

    def furnish(self, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        rig = below("rig.", tensors)
        require("rig", rig, Rig.shapes())
        self.rig = Rig(**rig)
        torso = Torso.load(below("stage.torso.", tensors))
        background = stage_background(header, tensors)
        self.stage = Stage(header_camera(header), stage_motion(tensors), background, torso)
