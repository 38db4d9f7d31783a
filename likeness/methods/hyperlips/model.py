"""HyperLips as a portrait (Chen et al. 2023): the person's own video, in which the mouth is made anew.

What is said becomes lip coefficients of the person's rig, as in the other methods; these and the sound tell the networks how
the mouth of a frame is to be shaped. Everything else in the picture is the video's. The head cannot turn to where the video
does not show it: a pose asks for the frame that is nearest to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from likeness.audio import Hearing
from likeness.camera import Camera, to_camera
from likeness.clip import Clip, Motion
from likeness.dub.crop import cut_out
from likeness.dub.paste import paste
from likeness.methods.hyperlips.config import Config, restored
from likeness.methods.hyperlips.footage import Footage
from likeness.nn.adaptation.speaker import Speaker, blank_voice, sizes_of, within
from likeness.nn.hyper.bank import Bank
from likeness.nn.hyper.decoder import State
from likeness.nn.hyper.hearing import hearing as near_hearing
from likeness.nn.hyper.lipnet import Heads, LipNet
from likeness.nn.hyper.mouth import MOUTH, Person, choose
from likeness.nn.hyper.sketch import UPPER
from likeness.nn.hyper.warp import control
from likeness.nn.performing import Performer
from likeness.nn.voice import Voice
from likeness.portrait import Heard, Layer, below, header_hearing
from likeness.rig import LIP_COEFFICIENTS

METRES = 0.5
"""A turn of so many radians counts as much as a metre, where poses are compared."""
GIVEN = (
    "its pictures, in which it makes lips and lower face anew, as dub does: within the outline, in the colour and, where they "
    "resemble each other, with the finest detail of the old skin"
)
GOES_ON = 2  # frames of the video between two that are shown, up to which the memory goes on


class Carried(NamedTuple):
    """What goes from frame to frame."""

    frame: int
    """Of the footage."""
    reference: int
    memory: State


class Model(Performer):
    """The portrait: networks, voice, rig, footage. A row of conditioning is the lips, then the sound round the frame."""

    method = "hyperlips"
    voice: Voice | Speaker
    footage: Footage
    camera: Camera
    """Of the footage."""

    def __init__(self, config: Config, hearing: Hearing, net: LipNet, voice: Voice | Speaker) -> None:
        super().__init__()
        self.config, self.hearing = config, hearing
        self.net, self.voice = net, voice

    def listen(self, heard: Heard) -> Float[Tensor, "time cond"]:
        """Sound to lip coefficients, at rest in silence, and to what the networks hear of each frame."""
        lips = super().listen(within(heard, self.hearing, self.voice.hearing))
        ears = near_hearing(self.config.networks.features)
        stretch = within(heard, self.hearing, ears)
        with torch.no_grad():
            sound = self.net.hear(ears.windows(stretch.features))
        return torch.cat([lips, sound.flatten(1)], dim=1)

    def follow(self, motion: Motion) -> Float[Tensor, "time cond"]:
        """Tracked lips instead of sound; the networks hear nothing."""
        ears = near_hearing(self.config.networks.features)
        silent = torch.zeros(len(motion), self.config.networks.columns * ears.rows)
        return torch.cat([self.rig.encode(motion)[:, :LIP_COEFFICIENTS], silent], dim=1)

    @torch.no_grad()
    def render(
        self, cond: Float[Tensor, "time cond"], motion: Motion, state: Carried | None = None
    ) -> tuple[Layer, Carried | None]:
        """Whole pictures, which cover everything; the state is which frame of the video was shown, and the networks' memory."""
        lips, upper = self.within(cond[:, :LIP_COEFFICIENTS], motion)
        shown = self.nearest(motion.pose)
        pictures = []
        for t, frame in enumerate(shown):
            row = torch.cat([lips[t], upper[t]])
            picture, state = self._spoken(int(frame), row, cond[t, LIP_COEFFICIENTS:], state)
            pictures.append(self._seen(picture))
        rgb = torch.from_numpy(np.stack(pictures)).float() / 255
        return Layer(rgb, torch.ones(rgb.shape[:3])), state

    def measured_on(self, clip: Clip, frames: Int[np.ndarray, " time"]) -> tuple[Model, str]:
        """With these frames as its video; what is known of the person, references too, stays that of its own."""
        other = copy(self)
        other._person, other._bank = self._person, self._bank
        other.footage = Footage.of(clip, self.camera.size[0], 1, frames)
        return other, GIVEN

    def nearest(self, pose: Float[Tensor, "time 4 4"]) -> list[int]:
        """The frames of the footage in which the head lies most like this."""
        return _apart(pose, self.footage.poses).argmin(1).tolist()

    def _spoken(
        self, frame: int, row: Float[Tensor, " cond"], sound: Float[Tensor, " heard"], state: Carried | None
    ) -> tuple[UInt8[np.ndarray, "height width 3"], Carried]:
        """A frame of the footage with another mouth."""
        footage, size = self.footage, self.net.size
        image, place = footage.picture(frame), footage.place(frame)
        seen = footage.within(frame)
        goes_on = state is not None and abs(state.frame - frame) <= GOES_ON
        asked = self._asked(frame, row)
        mouth = self.net.mouth
        shape = mouth.shape(asked[None], self._person)
        mouths = mouth.points(shape, seen[None], self._person)
        wanted = mouth.turned(seen[None], self._person)[0], mouths[0]
        reference = choose(wanted, self._bank.looks, state.reference if state is not None and goes_on else None)
        old = cut_out(image, place, size)
        other = self._bank.picture(reference, control(seen, mouths[0]))
        columns = self.config.networks.columns
        heard, uppers = sound.view(1, 1, columns, -1), seen[None, None, list(UPPER)]
        heads = Heads(_picture(old), _picture(other), heard, shape[None], mouths[None], uppers)
        made = self.net(heads, state.memory if state is not None and goes_on else ())
        assert made.pictures is not None
        new = made.pictures[0, 0].clamp(0, 1).permute(1, 2, 0).numpy()
        points = [(size * face).double().numpy() for face in (seen, asked)]
        picture = paste(image, place, (old, np.ascontiguousarray(new)), (points[0], points[1]))
        return picture, Carried(frame, reference, made.state)

    def _asked(self, frame: int, row: Float[Tensor, " cond"]) -> Float[Tensor, "478 2"]:
        """The face mesh as the rig has it, on this head, 0..1 across the square; what a row does not move is as it was."""
        nodes = self.rig.decode(row[None])[0]
        pixels = self.camera.project(to_camera(nodes, self.footage.poses[frame]))
        unit = torch.from_numpy(self.footage.place(frame).to_crop(pixels.double().numpy(), 1)).float()
        face = self.footage.within(frame)
        face[list(MOUTH)] = unit[list(MOUTH)]
        return face

    @cached_property
    def _bank(self) -> Bank:
        """The references."""
        footage, size = self.footage, self.net.size
        frames = footage.references.tolist()
        images = [cut_out(footage.picture(t), footage.place(t), size) for t in frames]
        points = torch.stack([footage.within(t) for t in frames])
        return Bank(self.net, images, points, self._person)

    @cached_property
    def _person(self) -> Person:
        """What the footage shows of the person's face."""
        return self.net.mouth.person(torch.stack([self.footage.within(t) for t in range(len(self.footage))]))

    def _seen(self, picture: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "high wide 3"]:
        """A picture of the footage as the stage's camera would have it; where that sees more, the edge goes on."""
        own, wanted = self.camera, self.stage.camera
        if own == wanted:
            return picture
        zoom = wanted.focal / own.focal
        shift = np.array(wanted.centre) - zoom * np.array(own.centre)
        matrix = np.array([[zoom, 0, shift[0] + (zoom - 1) / 2], [0, zoom, shift[1] + (zoom - 1) / 2]])
        return cv2.warpAffine(picture, matrix, wanted.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def sizes(self) -> dict[str, Any]:
        return {"voice": sizes_of(self.voice), "camera": asdict(self.camera)}

    @classmethod
    def blank(cls, header: Mapping[str, Any]) -> Model:
        sizes, config = header["sizes"], restored(header["config"])
        made = cls(config, header_hearing(header), LipNet(config.networks), blank_voice(sizes["voice"]))
        made.camera = camera_of(sizes["camera"])
        return made

    def extra_state(self) -> dict[str, Tensor]:
        return super().extra_state() | {f"stage.footage.{key}": value for key, value in self.footage.state().items()}

    def furnish(self, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        super().furnish(header, tensors)
        self.footage = Footage.load(below("stage.footage.", tensors))


def heard_with(voice: Hearing, features: tuple[str, ...]) -> Hearing:
    """What a voice and the networks hear."""
    ears = near_hearing(features)
    names = tuple(dict.fromkeys((*voice.features, *ears.features)))
    return replace(voice, features=names, past=max(voice.past, ears.past), future=max(voice.future, ears.future))


def camera_of(held: Mapping[str, Any]) -> Camera:
    """A camera as a header holds it."""
    return Camera(float(held["focal"]), tuple(held["centre"]), tuple(held["size"]))


def _apart(a: Float[Tensor, "n 4 4"], b: Float[Tensor, "m 4 4"]) -> Float[Tensor, "n m"]:
    """How far heads are apart: metres, and turns."""
    a, b = a.double(), b.double()
    turned = torch.cdist(a[:, :3, :3].flatten(1), b[:, :3, :3].flatten(1)) / 2**0.5
    return torch.cdist(a[:, :3, 3], b[:, :3, 3]) + METRES * turned


def _picture(crop: Float[np.ndarray, "size size 3"]) -> Float[Tensor, "1 1 3 size size"]:
    return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1), np.float32))[None, None]
