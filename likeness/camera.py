"""Camera and rays: the one coordinate convention.

Camera axes are OpenCV's: x right, y down, z forward. A pose is the 4x4 camera-to-world matrix of the *head-fixed*
frame in metres: the head stands still, the camera moves round it. The head frame has the same axes as a camera that
looks straight at the face (x to the right of the picture, y down, z into the head), its origin is the mean of the rigid
face landmarks; so a frontal pose is the identity rotation with the camera at z = -distance.
Pixel (0, 0) is the corner of the picture; the centre of its first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion. `focal` and `centre` are in pixels, `size` is (width, height) in pixels."""

    focal: float
    centre: tuple[float, float]
    size: tuple[int, int]

    def project(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 2"]:
        """Points in camera axes (metres) to pixels."""
        return points[..., :2] / points[..., 2:].clamp_min(1e-6) * self.focal + points.new_tensor(self.centre)

    def unproject(self, pixels: Float[Tensor, "*n 2"], depth: Float[Tensor, "*n"]) -> Float[Tensor, "*n 3"]:
        """Pixels at a depth (metres along z) to points in camera axes."""
        xy = (pixels - pixels.new_tensor(self.centre)) / self.focal * depth[..., None]
        return torch.cat([xy, depth[..., None]], dim=-1)

    def rays(self, pose: Float[Tensor, "4 4"]) -> tuple[Float[Tensor, "height width 3"], Float[Tensor, "height width 3"]]:
        """Origin and unit direction of the ray through every pixel centre, in the head frame."""
        width, height = self.size
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        pixels = torch.stack([x, y], dim=-1).to(pose)
        directions = self.unproject(pixels, torch.ones_like(pixels[..., 0])) @ pose[:3, :3].T
        directions = directions / directions.norm(dim=-1, keepdim=True)
        return pose[:3, 3].expand_as(directions), directions

    @property
    def fov(self) -> float:
        """Vertical field of view in degrees."""
        return math.degrees(2 * math.atan(self.size[1] / (2 * self.focal)))

    def zoomed(self, fov: float) -> Camera:
        """The view at another vertical field of view, in degrees: the same picture, scaled about `centre`."""
        if fov == self.fov:
            return self
        return replace(self, focal=self.size[1] / (2 * math.tan(math.radians(fov) / 2)))

    def scaled(self, size: tuple[int, int]) -> Camera:
        """The same view at another picture size."""
        sx, sy = size[0] / self.size[0], size[1] / self.size[1]
        return replace(self, focal=self.focal * sx, centre=(self.centre[0] * sx, self.centre[1] * sy), size=size)

    def cropped(self, x: int, y: int, width: int, height: int) -> Camera:
        """The view through a window of the picture whose upper left corner is (x, y)."""
        return replace(self, centre=(self.centre[0] - x, self.centre[1] - y), size=(width, height))


def to_camera(points: Float[Tensor, "*n 3"], pose: Float[Tensor, "*#n 4 4"]) -> Float[Tensor, "*n 3"]:
    """Points in the head frame to camera axes. `pose` is camera-to-world."""
    return ((points - pose[..., :3, 3])[..., None, :] @ pose[..., :3, :3])[..., 0, :]


def from_camera(points: Float[Tensor, "*n 3"], pose: Float[Tensor, "*#n 4 4"]) -> Float[Tensor, "*n 3"]:
    """Points in camera axes to the head frame. `pose` is camera-to-world."""
    return (pose[..., :3, :3] @ points[..., None])[..., 0] + pose[..., :3, 3]


def moved(pose: Float[Tensor, "*n 4 4"], similarity: Float[Tensor, "4 4"]) -> Float[Tensor, "*n 4 4"]:
    """Camera-to-world of another frame, to which `similarity` (turn, scale and shift) takes points of the head frame."""
    scale = torch.linalg.det(similarity[:3, :3]) ** (1 / 3)
    pose = similarity @ pose
    return torch.cat([torch.cat([pose[..., :3, :3] / scale, pose[..., :3, 3:]], -1), pose[..., 3:, :]], -2)
