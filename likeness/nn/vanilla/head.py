"""The vanilla head: a radiance field of two perceptrons that a code of the face's landmarks moves (GeneFace, section 3.4)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.camera import Camera, to_camera
from likeness.nn.vanilla.condition import ConditionCode
from likeness.nn.vanilla.perceptron import Perceptron
from likeness.nn.vanilla.rendering import CHUNK, Rays, Seen, all_rays, through
from likeness.nn.vanilla.settings import Settings


class Geometry(NamedTuple):
    """Where a head can be."""

    near: float
    """Metres from the camera, along a ray."""
    far: float
    window: tuple[float, float, float, float]
    """Left, top, right and bottom of what of the picture was learned, metres at the head frame's origin and from it."""


class VanillaHead(nn.Module):
    """Everything that is learned of a head."""

    span: Tensor
    window: Tensor

    def __init__(self, settings: Settings, geometry: Geometry | None = None) -> None:
        """`geometry`: of the clip; None where `load_state_dict` brings it."""
        super().__init__()
        self.settings = settings
        self.code = ConditionCode(settings)
        self.coarse, self.fine = Perceptron(settings, settings.code), Perceptron(settings, settings.code)
        place = geometry or Geometry(0.0, 1.0, (0.0, 0.0, 0.0, 0.0))
        self.register_buffer("span", torch.tensor([place.near, place.far]))
        self.register_buffer("window", torch.tensor(place.window))

    @torch.no_grad()
    def said(self, near: Float[Tensor, "frames around inputs"]) -> Float[Tensor, "frames code"]:
        """Codes of frames, of what moves the face in each and its neighbours."""
        return self.code(near, self.settings.smooths)

    def look(self, rays: Rays, code: Float[Tensor, "_ code"], rng: np.random.Generator | None) -> tuple[Seen, Seen]:
        """By the coarse and the fine network; `rng` as in `rendering.through`."""
        return through((self.coarse, self.fine), rays, code, self.settings, self.span, rng)

    @torch.no_grad()
    def glance(self, rays: Rays, code: Float[Tensor, "_ code"]) -> Seen:
        """By the fine network, the same every time, in memory that does not grow with the rays."""
        return in_chunks(lambda rows: self.look(rays.part(rows), code, None)[1], rays)

    @torch.no_grad()
    def picture(
        self, pose: Float[Tensor, "4 4"], code: Float[Tensor, " code"], camera: Camera
    ) -> tuple[Float[Tensor, "height width 3"], Float[Tensor, "height width"]]:
        """Colour, premultiplied, and alpha of the head of one frame; nothing outside what of the picture was learned."""
        width, height = camera.size
        rgb, alpha = pose.new_zeros(height, width, 3), pose.new_zeros(height, width)
        rows, columns = self.frame(pose, camera)
        part = camera.cropped(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        if min(part.size) > 0:
            seen = self.glance(all_rays(part, pose), code[None])
            rgb[rows, columns] = seen.color.reshape(*part.size[::-1], 3)
            alpha[rows, columns] = seen.alpha.reshape(part.size[::-1])
        return rgb, alpha

    def frame(self, pose: Float[Tensor, "4 4"], camera: Camera) -> tuple[slice, slice]:
        """Rows and columns of a picture in which the head can be; beyond them nothing was learned."""
        middle = to_camera(pose.new_zeros(3), pose)
        x, y = camera.project(middle).tolist()
        scale = camera.focal / max(float(middle[2]), 1e-6)
        left, top, right, bottom = (scale * side for side in self.window.tolist())
        width, height = camera.size
        rows = math.floor(min(max(y + top, 0), height)), math.ceil(min(max(y + bottom, 0), height))
        columns = math.floor(min(max(x + left, 0), width)), math.ceil(min(max(x + right, 0), width))
        return slice(*rows), slice(*columns)


def in_chunks(look, rays: Rays) -> Seen:
    """`look(rows)` of a few rays at a time, side by side."""
    parts = [look(slice(i, i + CHUNK)) for i in range(0, len(rays.origins), CHUNK)]
    return Seen(torch.cat([part.color for part in parts]), torch.cat([part.alpha for part in parts]))
