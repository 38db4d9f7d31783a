"""A torso that goes along: with a head that is shifted farther than anybody saw it, and with the camera's focal length.

A torso knows how it sits under the head only for places of the head in the training frames. Beyond them it is drawn as for the
nearest such place, then shifted and scaled as one picture, so that the neck stays under the head.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from likeness.camera import Camera
from likeness.clip import Motion
from likeness.nn.over import over
from likeness.stance import Stance

MARGIN = 0.002  # metres beyond the known places that a torso follows by itself
EDGE = 32  # share of the picture, one in so many, that may be missing at its edges
PLACE = 3  # numbers that end a row of `follow`: scale, and shift in pixels


class Carried:
    """Another torso, with its face; rows of `follow` are three numbers longer."""

    def __init__(self, torso: Any, known: Float[Tensor, "time 4 4"], camera: Camera, wanted: Camera) -> None:
        """`known`: poses that the torso can follow, seen by `camera`, for whose picture it was made; `wanted`: the camera to
        draw it for, which has another focal length at most."""
        self.torso, self.size = torso, torso.size
        self.camera, self.zoom = camera, wanted.focal / camera.focal
        self.stance = Stance.of(known)
        places = self.stance.numbers(known)[:, 3:]
        self.low, self.high = places.amin(0) - MARGIN, places.amax(0) + MARGIN

    def follow(self, motion: Motion) -> Float[Tensor, "time torso"]:
        """Where the torso is while the head moves so."""
        place = self.stance.numbers(motion.pose)[:, 3:]
        excess = place - torch.minimum(torch.maximum(place, self.low), self.high)
        pose = motion.pose.clone()
        pose[:, :3, 3] += (pose[:, :3, :3] @ excess.to(pose)[..., None])[..., 0]
        neck = self.stance.neck + place
        near, far = self.camera.project(neck), self.camera.project(neck - excess)
        scale = self.zoom * (neck[:, 2:] - excess[:, 2:]) / neck[:, 2:]
        centre = torch.tensor(self.camera.centre).double()
        shift = centre + self.zoom * (near - centre) - scale * far
        return torch.cat([self.torso.follow(replace(motion, pose=pose)), scale.to(pose), shift.to(pose)], 1)

    def draw(self, where: Float[Tensor, " torso"], background: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The torso at one row of `follow` over a background."""
        if _still(where):
            return self.torso.draw(where[:-PLACE], background)
        layer = self.layer(where)
        return over(np.ascontiguousarray(layer[..., :3]), np.ascontiguousarray(layer[..., 3]), background)

    def layer(self, where: Float[Tensor, " torso"]) -> Float[np.ndarray, "h w 4"]:
        """The torso by itself: float32 RGBA 0..1, colours premultiplied by alpha."""
        layer = self.torso.layer(where[:-PLACE])
        if _still(where):
            return layer
        scale, x, y = where[-PLACE:].tolist()
        return scaled(_filled_out(layer), scale, (x, y)).clip(0, 1)


def _filled_out(layer: Float[np.ndarray, "h w 4"]) -> Float[np.ndarray, "h w 4"]:
    """Cloth up to the edges. Far from where it usually was a torso may end a few pixels before them (measured: 6 of 256), and
    nothing is what would be drawn out then."""
    ring = max(1, len(layer) // EDGE)
    inner = np.pad(layer[:-ring, ring:-ring], ((0, ring), (ring, ring), (0, 0)), mode="edge")
    return np.where(inner[..., 3:] > layer[..., 3:] + 0.05, inner, layer)


def scaled(picture: np.ndarray, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """A picture [H W C] in which pixel p went to scale p + shift; beyond its edges it is as at them."""
    half = 0.5 * (scale - 1)  # OpenCV counts from the middle of the first pixel
    matrix = np.array([[scale, 0, shift[0] + half], [0, scale, shift[1] + half]])
    size = picture.shape[1::-1]
    return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _still(where: Float[Tensor, " torso"]) -> bool:
    return where[-PLACE:].tolist() == [1.0, 0.0, 0.0]
