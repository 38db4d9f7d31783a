"""The pictures that a portrait of HyperLips performs on: the person's own video, and the face's square in every frame of it."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from likeness.clip import Clip
from likeness.dub.crop import Place
from likeness.dub.faces import CUTOFF_HZ, square
from likeness.dub.smoothing import steady, stiffness
from likeness.errors import BadInput
from likeness.mesh import LOWER_INNER_LIP, UPPER_INNER_LIP
from likeness.portrait import require
from likeness.video import FPS

QUALITY = 95
FLAGS = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
PARTS = ("jpegs", "ends", "poses", "points", "places", "references")


class Footage:
    """Pictures as JPEG, one after the other; the face mesh and its square in each; and which of them are references."""

    def __init__(
        self,
        jpegs: UInt8[Tensor, " bytes"],
        ends: Int[Tensor, " time"],
        poses: Float[Tensor, "time 4 4"],
        points: Float[Tensor, "time 478 2"],
        places: Float[Tensor, "time 4"],
        references: Int[Tensor, " bank"],
    ) -> None:
        self.jpegs, self.ends = jpegs, ends
        self.poses, self.points, self.places, self.references = poses, points, places, references

    def __len__(self) -> int:
        return len(self.ends)

    @staticmethod
    def of(clip: Clip, size: int, bank: int, frames: Int[np.ndarray, " time"] | None = None) -> Footage:
        """The frames of a clip's performance (`clip.take`, or these), of which `bank` are references, spread evenly over the
        opening of the mouth. Raises BadInput where a frame cannot be read."""
        frames = clip.take if frames is None else frames
        points = clip.pixels[torch.from_numpy(frames)].float() * (size / clip.camera.size[0])
        squares = np.array([square(face) for face in points.double().numpy()])
        squares[:, 3] = np.unwrap(squares[:, 3])
        places = steady(squares, np.ones(len(frames), bool), stiffness(CUTOFF_HZ, FPS))
        jpegs = [_encoded(clip.image(t, size)) for t in frames]
        opening = (points[:, UPPER_INNER_LIP] - points[:, LOWER_INNER_LIP]).norm(dim=-1)
        spread = torch.linspace(0, len(frames) - 1, min(bank, len(frames))).round().long()
        return Footage(
            torch.frombuffer(bytearray(b"".join(jpegs)), dtype=torch.uint8),
            torch.tensor([len(jpeg) for jpeg in jpegs]).cumsum(0),
            clip.motion.pose[torch.from_numpy(frames)].float(),
            points,
            torch.from_numpy(places).float(),
            opening.argsort(stable=True)[spread],
        )

    @staticmethod
    def load(held: Mapping[str, Tensor]) -> Footage:
        """From the tensors of a portrait file. Raises BadInput where they do not fit together."""
        shapes = {
            "jpegs": (None,),
            "ends": (None,),
            "poses": (None, 4, 4),
            "points": (None, 478, 2),
            "places": (None, 4),
            "references": (None,),
        }
        require("footage", held, shapes)
        footage = Footage(*(held[name] for name in PARTS))
        time = len(footage.ends)
        fits = (
            footage.jpegs.dtype == torch.uint8
            and time == len(footage.poses) == len(footage.points) == len(footage.places)
            and len(footage.references)
        )
        if not fits or not time or int(footage.ends[-1]) != len(footage.jpegs) or int(footage.references.max()) >= time:
            raise BadInput("the portrait's footage does not fit together. Train it again.")
        footage.points, footage.places = footage.points.float(), footage.places.float()
        return footage

    def state(self) -> dict[str, Tensor]:
        """Its tensors by name, for a portrait file."""
        return {name: getattr(self, name) for name in PARTS}

    def picture(self, t: int) -> UInt8[np.ndarray, "height width 3"]:
        """Frame t, RGB. Raises BadInput where it is damaged."""
        start = int(self.ends[t - 1]) if t else 0
        image = cv2.imdecode(self.jpegs[start : int(self.ends[t])].numpy(), cv2.IMREAD_COLOR)
        if image is None:
            raise BadInput(f"the portrait's footage is damaged at frame {t}. Train it again.")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def place(self, t: int) -> Place:
        """The face's square in frame t."""
        return Place(*self.places[t].tolist())

    def within(self, t: int) -> Float[Tensor, "478 2"]:
        """The face mesh of frame t, 0..1 across its square."""
        return torch.from_numpy(self.place(t).to_crop(self.points[t].double().numpy(), 1)).float()


def _encoded(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), FLAGS)[1].tobytes()
