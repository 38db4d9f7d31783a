"""The head-aware torso: a second radiance field that knows the head's pose, its code and its picture (GeneFace, section 3.4).

Its rays come from one camera for all frames, that of the first training frame, so that the torso stands still and the pose
moves it as a number, not as a place. Beside a place stand the code of what is said, the head's pose (Euler angles and
translation, each number with its octaves) and, for every pixel, the colour in which the head was drawn there.

Published, the code is of speech, by DeepSpeech; here it is the head's own, of landmarks. The head's colour is given without
background (black where there is no head), so that another background behind the person changes nothing of the torso.

What is seen in the end, C = C_head · w_last + C_torso, has the torso before the head: `joined`. It needs the head's picture, so
it is drawn where the head is drawn: a portrait passes what `VanillaHead.picture` gives it through `VanillaTorso.over` and
returns the result, head and torso in one, as its layer. The stage's torso is None.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from likeness.camera import Camera
from likeness.nn.torso_field import euler, frequencies
from likeness.nn.vanilla.head import in_chunks
from likeness.nn.vanilla.perceptron import Perceptron
from likeness.nn.vanilla.rendering import REACH, Rays, Seen, all_rays, through
from likeness.nn.vanilla.settings import Settings

POSE = 6
COLOR = (3, 16, 32, 16)
OPAQUE = 0.3  # of the background's weight, blurred: where it is less, the head hides the torso
INWARDS, BLUR = 6, 2.0  # pixels at 512² that the torso may reach over the head's edge, and of the blur (its sigma)


class Place(NamedTuple):
    """What a torso is looked at from, and how the head was held in training."""

    pose: Float[Tensor, "4 4"]
    """Of the first training frame."""
    horizon: float
    """Slope, downwards, below which its rays are: y over z in camera axes."""
    low: Float[Tensor, "6"]
    high: Float[Tensor, "6"]

    @staticmethod
    def of(pose: Float[Tensor, "time 4 4"], camera: Camera) -> Place:
        """Of training poses and the camera whose lower half of the picture is drawn."""
        held = numbers(pose)
        return Place(pose[0], (camera.size[1] / 2 - camera.centre[1]) / camera.focal, held.amin(0), held.amax(0))


def numbers(pose: Float[Tensor, "*n 4 4"]) -> Float[Tensor, "*n 6"]:
    """Euler angles (radians) and translation (metres)."""
    flat = pose.reshape(-1, 4, 4)
    return torch.cat([euler(flat[:, :3, :3]), flat[:, :3, 3]], -1).reshape(*pose.shape[:-2], POSE)


def first_row(horizon: float, camera: Camera) -> int:
    """From which row of a picture on there are rays of the torso."""
    return min(max(math.ceil(horizon * camera.focal + camera.centre[1] - 0.5), 0), camera.size[1])


def joined(head: Seen, torso: Seen) -> Seen:
    """The torso before the head."""
    return Seen(head.color * torso.last[..., None] + torso.color, 1 - head.last * torso.last)


class VanillaTorso(nn.Module):
    """Everything that is learned of a torso."""

    canonical: Tensor
    span: Tensor
    horizon: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, settings: Settings, place: Place | None = None) -> None:
        """`place`: of the clip; None where `load_state_dict` brings it."""
        super().__init__()
        self.settings = settings
        layers: list[nn.Module] = []
        for before, after in pairwise(COLOR):
            layers += [nn.ReLU()] * bool(layers) + [nn.Linear(before, after)]
        self.color = nn.Sequential(*layers)
        cond = settings.code + POSE * (1 + 2 * settings.pose_octaves) + COLOR[-1]
        self.coarse, self.fine = Perceptron(settings, cond), Perceptron(settings, cond)
        middle = 0.0 if place is None else float(place.pose[:3, 3].norm())  # a blank one may have no numbers at all
        place = place or Place(torch.eye(4), 0.0, torch.zeros(POSE), torch.zeros(POSE))
        self.register_buffer("canonical", place.pose.clone())
        # Clothes lie before and behind the head: the published stretch, which is of about metres, round its distance.
        self.register_buffer("span", torch.tensor([max(middle - REACH / 2, 0.0), middle + REACH / 2]))
        self.register_buffer("horizon", torch.tensor([place.horizon]))
        self.register_buffer("low", place.low.clone())
        self.register_buffer("high", place.high.clone())

    def look(
        self,
        rays: Rays,
        pose: Float[Tensor, "4 4"],
        code: Float[Tensor, " code"],
        head: Float[Tensor, "n 3"],
        rng: np.random.Generator | None,
    ) -> tuple[Seen, Seen]:
        """By the coarse and the fine network along rays from the canonical camera; `head` is the head's colour there. A pose
        unlike all in training is taken for the nearest known."""
        held = numbers(pose).clamp(self.low, self.high)
        waves = torch.cat([frequencies(part, self.settings.pose_octaves) for part in held.split(3)])
        still = torch.cat([code, waves]).expand(len(head), -1)
        cond = torch.cat([still, self.color(head)], 1)
        return through((self.coarse, self.fine), rays, cond, self.settings, self.span, rng)

    @torch.no_grad()
    def over(
        self,
        head: tuple[Float[Tensor, "height width 3"], Float[Tensor, "height width"]],
        pose: Float[Tensor, "4 4"],
        code: Float[Tensor, " code"],
        camera: Camera,
    ) -> tuple[Float[Tensor, "height width 3"], Float[Tensor, "height width"]]:
        """Head and torso in one: colour, premultiplied, and alpha. The same every time. Above its rays, and with
        `torso_yields` well inside the head, the picture stays as it is."""
        rgb, alpha = head[0].clone(), head[1].clone()
        first, (width, height) = first_row(float(self.horizon), camera), camera.size
        if first < height:
            under = Seen(rgb[first:].reshape(-1, 3), alpha[first:].reshape(-1))
            rays = all_rays(camera.cropped(0, first, width, height - first), self.canonical)
            seen = in_chunks(lambda rows: self.look(rays.part(rows), pose, code, under.color[rows], None)[1], rays)
            if self.settings.torso_yields:
                there = ~hides(alpha)[first:].reshape(-1)
                seen = Seen(seen.color * there[:, None], seen.alpha * there)
            both = joined(under, seen)
            rgb[first:], alpha[first:] = both.color.reshape(-1, width, 3), both.alpha.reshape(-1, width)
        return rgb, alpha


def hides(alpha: Float[Tensor, "height width"]) -> Bool[Tensor, "height width"]:
    """Where a head is opaque, well inside its edge: the torso has no business there, however far the head moves."""
    unit = alpha.shape[1] / 512
    last = cv2.GaussianBlur(1 - alpha.cpu().numpy(), (0, 0), BLUR * unit)
    reach = 2 * max(1, round(INWARDS * unit)) + 1
    solid = cv2.erode((last <= OPAQUE).astype(np.uint8), np.ones((reach, reach)))  # beyond the picture the head goes on
    return torch.from_numpy(solid > 0).to(alpha.device)
