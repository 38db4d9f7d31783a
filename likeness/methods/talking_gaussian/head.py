"""The head: face and mouth interior, each a field of persistent Gaussians and what moves it, and the code of speech."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness import speech
from likeness.camera import Camera
from likeness.kernels import project, rasterise
from likeness.methods.talking_gaussian.config import Config
from likeness.methods.talking_gaussian.field import BASES, Field, Offsets, Shapes, viewmat
from likeness.methods.talking_gaussian.motion import CODE, FaceMotion, MouthMotion, MouthPlace, Place
from likeness.nn.audio_code import AudioCode
from likeness.nn.mlp import mlp
from likeness.rig import LIP_COEFFICIENTS

Index = slice | Tensor
ALL = slice(None)


class Places(NamedTuple):
    """What depends on the canonical positions alone."""

    face: Place
    mouth: MouthPlace | None


class Moved(NamedTuple):
    """Offsets of both branches in one frame; None for a mouth that is part of the face."""

    face: Offsets
    mouth: Offsets | None


class Head(nn.Module):
    """Everything that is learned but the voice."""

    def __init__(self, config: Config, face: int, mouth: int) -> None:
        """`face`, `mouth`: numbers of Gaussians."""
        super().__init__()
        self.config = config
        self.face = Field(face)
        self.face_motion = FaceMotion(config.face_sizes, config.speaks_in_color)
        self.mouth = Field(mouth) if config.decompose else None
        self.mouth_motion = MouthMotion(config.mouth_sizes, config.hook) if config.decompose else None
        if config.conditioning == "sound":
            dim = sum(speech.RECIPES[name].dim for name in config.features)
            self.code: nn.Module = AudioCode(dim, CODE)
            # Where a hook tells the mouth what the face does, both hear the same.
            self.mouth_code = AudioCode(dim, CODE) if config.decompose and not config.hook else None
        else:
            self.code, self.mouth_code = mlp(LIP_COEFFICIENTS, CODE, 32, 2), None

    @staticmethod
    def restored(config: Config, state: Mapping[str, Tensor]) -> Head:
        """From the tensors `head.*` of a run."""
        mine = {key.removeprefix("head."): value for key, value in state.items() if key.startswith("head.")}
        mouth = mine["mouth.xyz"] if config.decompose else ()
        head = Head(config, len(mine["face.xyz"]), len(mouth))
        head.load_state_dict(mine)
        return head

    def named(self) -> dict[str, Tensor]:
        """Its state for a run's checkpoint."""
        return {f"head.{key}": value for key, value in self.state_dict().items()}

    def codes(self, cond: Float[Tensor, "time cond"]) -> Float[Tensor, "time code"]:
        """Codes of speech: under `sound` the conditioning is one already."""
        return cond if self.config.conditioning == "sound" else self.code(cond)

    def hear(self, stretch: Float[Tensor, "rows dim"]) -> Float[Tensor, "time code"]:
        """Codes of a stretch of speech features, under `sound`: that of the face, and beside it that of the mouth."""
        assert isinstance(self.code, AudioCode)
        if self.mouth_code is None:
            return self.code(stretch)
        return torch.cat([self.code(stretch), self.mouth_code(stretch)], dim=1)

    @property
    def heard(self) -> list[AudioCode]:
        """What hears, under `sound`."""
        return [code for code in (self.code, self.mouth_code) if isinstance(code, AudioCode)]

    def places(self, face: Index = ALL, mouth: Index = ALL) -> Places:
        """Of the canonical positions, or of some Gaussians. No gradient goes through them: pictures find the positions."""
        inside = None
        if self.mouth is not None and self.mouth_motion is not None:
            inside = self.mouth_motion.place(self.mouth.xyz.detach()[mouth])
        return Places(self.face_motion.place(self.face.xyz.detach()[face]), inside)

    def move(self, places: Places, code: Float[Tensor, " code"], upper: Float[Tensor, " upper"]) -> Moved:
        """Offsets in a frame."""
        face = self.face_motion(places.face, code[:CODE], upper)
        if self.mouth_motion is None or places.mouth is None:
            return Moved(face, None)
        return Moved(face, self.mouth_motion(places.mouth, code[-CODE:], face))

    def draw(
        self, moved: Moved, pose: Float[Tensor, "4 4"], camera: Camera, bases: int = BASES
    ) -> tuple[Float[Tensor, "height width 3"], Float[Tensor, "height width"]]:
        """The face before the inside of the mouth: premultiplied colour, and alpha."""
        if self.mouth is None:
            return self.face(moved.face, pose, camera, bases)[:2]
        # Both in one go: what lies behind all of the face is only sorted so.
        parts = [self.face.moved(moved.face), self.mouth.moved(moved.mouth)]
        xyz, quats, scales, opacity = (torch.cat(both) for both in zip(*parts))
        colors = torch.cat([self.face.seen(moved.face, pose, bases), self.mouth.seen(moved.mouth, pose, bases)])
        lens = (camera.focal, camera.focal), camera.centre, camera.size
        means2d, conics, depths, radii = project(xyz, quats, scales, viewmat(pose), *lens)
        front, back = depths.detach().split([len(self.face), len(self.mouth)])
        order = torch.cat([front, back + front.max()])
        return rasterise(means2d, conics, colors, opacity, order, radii, camera.size)[:2]

    def attention(
        self, places: Places, moved: Moved, pose: Float[Tensor, "4 4"], camera: Camera
    ) -> Float[Tensor, "height width 2"]:
        """How much speech and how much the upper face counts in each pixel; geometry learns nothing from it."""
        hearing, upper = places.face.hearing.norm(dim=1), places.face.upper.norm(dim=1)
        colors = torch.stack([hearing, upper, torch.zeros_like(upper)], dim=1)
        shapes = Shapes(*(x.detach() for x in self.face.moved(moved.face)))
        return self.face.draw(shapes, colors, pose, camera).image[..., :2]
