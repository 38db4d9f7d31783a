"""Persistent Gaussians: centre, shape, opacity and colour that speech never changes; it only moves them.

Lengths are UNIT = 0.1 m in the head frame. Li et al. 2024 (TalkingGaussian), section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likeness.camera import Camera
from likeness.kernels import Splats, spherical_harmonics, splat
from likeness.kernels.harmonics import DEGREE_0
from likeness.nn.placement import UNIT
from likeness.ply import Cloud

BASES = 9  # spherical harmonics of degree 2


class Offsets(NamedTuple):
    """How speech moves Gaussians; what is None stays."""

    xyz: Float[Tensor, "n 3"]
    quats: Float[Tensor, "n 4"] | None = None
    scale: Float[Tensor, "n 3"] | None = None
    """Of the raw scale."""
    color: Float[Tensor, "n 3"] | None = None
    """Only for the ablation in which colour speaks instead of motion."""


class Shapes(NamedTuple):
    """What `splat` takes of Gaussians, but their colours."""

    xyz: Float[Tensor, "n 3"]
    quats: Float[Tensor, "n 4"]
    scales: Float[Tensor, "n 3"]
    opacity: Float[Tensor, " n"]


class Field(nn.Module):
    """N persistent Gaussians."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.xyz = nn.Parameter(torch.zeros(count, 3))
        self.base = nn.Parameter(torch.zeros(count, 1, 3))
        """Colour, coefficient of degree 0."""
        self.views = nn.Parameter(torch.zeros(count, BASES - 1, 3))
        """Colour, the coefficients that depend on the view."""
        self.opacity = nn.Parameter(torch.zeros(count))
        """Logit."""
        self.scale = nn.Parameter(torch.zeros(count, 3))
        """Before softplus: with log d it is log(1 + d)."""
        self.quats = nn.Parameter(torch.zeros(count, 4))

    @staticmethod
    def restored(prefix: str, state: Mapping[str, Tensor]) -> Field:
        """From the tensors `prefix`* of a run."""
        mine = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        field = Field(len(mine["xyz"]))
        field.load_state_dict(mine)
        return field

    def __len__(self) -> int:
        return len(self.xyz)

    def scales(self, offsets: Offsets | None = None) -> Float[Tensor, "n 3"]:
        """Standard deviations, UNIT."""
        raw = self.scale if offsets is None or offsets.scale is None else self.scale + offsets.scale
        return F.softplus(raw)

    def colors(self, pose: Float[Tensor, "4 4"], bases: int = BASES) -> Float[Tensor, "n 3"]:
        """Seen from a camera, with the first `bases` harmonics."""
        coefficients = torch.cat([self.base, self.views[:, : bases - 1]], dim=1)
        towards = self.xyz.detach() - pose[:3, 3] * UNIT
        return (spherical_harmonics(coefficients, towards) + 0.5).clamp_min(0)

    def cloud(self, offsets: Offsets | None) -> Cloud:
        """Moved by offsets, for export: metres, degree 2."""
        xyz, quats, scales, opacity = self.moved(offsets)
        sh = torch.cat([self.base, self.views], dim=1)
        if offsets is not None and offsets.color is not None:
            sh = torch.cat([sh[:, :1] + offsets.color[:, None] / DEGREE_0, sh[:, 1:]], dim=1)
        return Cloud(xyz / UNIT, F.normalize(quats, dim=-1), scales / UNIT, opacity, sh)

    def forward(self, offsets: Offsets | None, pose: Float[Tensor, "4 4"], camera: Camera, bases: int = BASES) -> Splats:
        """A picture of the Gaussians, moved by `offsets`, without background."""
        return self.draw(self.moved(offsets), self.seen(offsets, pose, bases), pose, camera)

    def seen(self, offsets: Offsets | None, pose: Float[Tensor, "4 4"], bases: int = BASES) -> Float[Tensor, "n 3"]:
        """Colours from a camera; offsets change them only in an ablation."""
        colors = self.colors(pose, bases)
        return colors if offsets is None or offsets.color is None else (colors + offsets.color).clamp_min(0)

    def moved(self, offsets: Offsets | None) -> Shapes:
        """Where they are, and in what shape."""
        xyz = self.xyz if offsets is None else self.xyz + offsets.xyz
        quats = self.quats if offsets is None or offsets.quats is None else self.quats + offsets.quats
        return Shapes(xyz, quats, self.scales(offsets), self.opacity.sigmoid())

    @staticmethod
    def draw(shapes: Shapes, colors: Float[Tensor, "n channels"], pose: Float[Tensor, "4 4"], camera: Camera) -> Splats:
        """A picture of shapes in colours of one's choice."""
        return splat(*shapes, colors, viewmat(pose), (camera.focal, camera.focal), camera.centre, camera.size)


def viewmat(pose: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
    """From the head's frame, in UNIT, to the camera's."""
    to_camera = torch.linalg.inv(pose)
    to_camera[:3, 3] *= UNIT
    return to_camera
