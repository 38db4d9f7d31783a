"""Where Gaussians start: on the tracked face, or anywhere; and the rig's motion for those that start on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likeness import mesh
from likeness.clip import Clip
from likeness.kernels.harmonics import DEGREE_0
from likeness.methods.talking_gaussian.config import Config
from likeness.methods.talking_gaussian.field import Field
from likeness.nn.placement import UNIT, in_mouth, log_scales, median_colors, mouth_color, on_ellipsoid, on_mesh
from likeness.rig import LIP_COEFFICIENTS, Rig

VIEWS = 24
RANDOM_FACE, RANDOM_MOUTH = 2000, 10000
RANDOM_REACH = 0.1 * UNIT
JAW_SHARE = 0.8  # of the jaw's displacement that the lower teeth and the tongue follow


@dataclass(frozen=True)
class Seed:
    """Gaussians of one branch to start with, and how the rig moves them: what the motion field learns first."""

    xyz: Float[np.ndarray, "n 3"]
    color: Float[np.ndarray, "n 3"]
    corners: Int[Tensor, "n 3"]
    """Nodes of the mesh that each one hangs on."""
    weights: Float[Tensor, "n 3"]
    """Barycentric; all zero where one hangs on none."""
    jaw: Float[Tensor, " n"]
    """Share of the jaw's displacement that it follows."""

    def displacement(self, rig: Rig, cond: Float[Tensor, "time cond"]) -> Float[Tensor, "time n 3"]:
        """By the rig, UNIT."""
        nodes = (rig.decode(cond) - rig.mean) * UNIT
        carried = (nodes[:, self.corners] * self.weights[None, ..., None]).sum(2)
        spoken = torch.cat([cond[:, :LIP_COEFFICIENTS], torch.zeros_like(cond[:, LIP_COEFFICIENTS:])], dim=1)
        jaw = (rig.decode(spoken) - rig.mean)[:, list(mesh.JAW)].mean(1) * UNIT
        return carried + self.jaw[None, :, None] * jaw[:, None]

    def some(self, pick: Int[Tensor, " m"]) -> Seed:
        """Of some Gaussians."""
        rows = pick.numpy()
        return Seed(self.xyz[rows], self.color[rows], self.corners[pick], self.weights[pick], self.jaw[pick])

    def field(self) -> Field:
        """Gaussians of 0.8 spacings, opacity 0.1 (random) or .73 (mesh), colours as seen."""
        field = Field(len(self.xyz))
        on_face = bool(self.weights.any() or self.jaw.any())
        with torch.no_grad():
            field.xyz.copy_(torch.from_numpy(self.xyz))
            field.base[:, 0] = (torch.from_numpy(self.color) - 0.5) / DEGREE_0
            field.scale.copy_(torch.from_numpy(log_scales(self.xyz, 0.06 if on_face else np.inf)))
            field.opacity.fill_(1.0 if on_face else float(np.log(0.1 / 0.9)))
            field.quats[:, 0] = 1
        return field


def seeds(clip: Clip, rig: Rig, frames: np.ndarray, config: Config) -> tuple[Seed, Seed]:
    """Of the face and of the mouth's interior; deterministic by the config's seed."""
    rng = np.random.default_rng(config.seed)
    if config.placement == "random":
        return _anywhere(RANDOM_FACE, rng), _anywhere(RANDOM_MOUTH, rng)
    views = frames[np.linspace(0, len(frames) - 1, VIEWS).astype(int)]
    nodes = rig.mean.numpy().astype(np.float64) * UNIT
    skin, corners, weights = on_mesh(nodes, rig.triangles.numpy(), config.density, rng)
    hair = on_ellipsoid(clip, nodes, views, int(5000 * config.density), rng)
    xyz = np.concatenate([skin, hair])
    loose = np.zeros((len(hair), 3))
    face = Seed(
        xyz,
        median_colors(clip, xyz / UNIT, views),
        torch.from_numpy(np.concatenate([corners, loose]).astype(np.int64)),
        torch.from_numpy(np.concatenate([weights, loose]).astype(np.float32)),
        torch.zeros(len(xyz)),
    )
    inside, is_lower = in_mouth(nodes, int(1500 * max(0.5, config.density)), rng)
    color = mouth_color(clip, frames) + 0.03 * rng.standard_normal((len(inside), 3))
    none = torch.zeros(len(inside), 3)
    jaw = JAW_SHARE * torch.from_numpy(is_lower).float()
    return face, Seed(inside, np.clip(color, 0, 1), none.long(), none, jaw)


def together(face: Seed, mouth: Seed) -> Seed:
    """One seed for a head without a mouth of its own."""
    return Seed(
        np.concatenate([face.xyz, mouth.xyz]),
        np.concatenate([face.color, mouth.color]),
        torch.cat([face.corners, mouth.corners]),
        torch.cat([face.weights, mouth.weights]),
        torch.cat([face.jaw, mouth.jaw]),
    )


def _anywhere(count: int, rng: np.random.Generator) -> Seed:
    none = torch.zeros(count, 3)
    xyz, dark = rng.uniform(-RANDOM_REACH, RANDOM_REACH, (count, 3)), rng.uniform(0, 1 / 255, (count, 3))
    return Seed(xyz, dark, none.long(), none, torch.zeros(count))
