"""A coloured box that turns, and a cloth below it: the smallest things that vanilla radiance fields can learn."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from likeness.camera import Camera
from likeness.nn.vanilla import Geometry, Place, Settings, VanillaHead
from likeness.nn.vanilla.lesson import Batch, Sight, TorsoBatch
from likeness.nn.vanilla.rendering import Rays, Seen, pixel_rays

SIDE, FRAMES, HALF = 24, 8, 0.06
CAMERA = Camera(75.0, (12.0, 12.0), (SIDE, SIDE))
TINY = Settings(
    inputs=6, smooth=3, code=8, octaves=5, view_octaves=2, pose_octaves=2, depth=3, width=32, skip=1, color_depth=1,
    color_width=16, coarse=12, fine=8, rays=128, rate=6e-3, steps=160, smooth_from=110, torso_steps=120, trial=40,
)  # fmt: skip
BEHIND = torch.tensor([0.1, 0.2, 0.4])


def pose_of(t: int) -> Tensor:
    """The camera goes round the box, 0.7 m away."""
    angle = 0.5 * np.sin(2 * np.pi * t / FRAMES)
    pose = torch.eye(4)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    pose[:3, :3] = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    pose[:3, 3] = -0.7 * pose[:3, 2]
    return pose


def cond() -> Tensor:
    """What moves the face, one row a frame: whether the box is lighter."""
    return torch.tensor([[float(t % 2), *[0.0] * 5] for t in range(FRAMES)])


def hit(rays: Rays) -> tuple[Tensor, Tensor]:
    """Where rays enter the box, and which do."""
    first, second = ((side - rays.origins) / rays.directions for side in (-HALF, HALF))
    near, far = torch.minimum(first, second).amax(1), torch.maximum(first, second).amin(1)
    return rays.origins + near[:, None] * rays.directions, near < far


def painted(rays: Rays, t: int) -> Tensor:
    """What rays see: a box whose colour changes from side to side, lighter in every second frame."""
    at, inside = hit(rays)
    color = (0.5 + at / (3 * HALF)).clamp(0, 1) * (0.7 + 0.3 * (t % 2))
    return torch.where(inside[:, None], color, BEHIND)


class BoxLesson:
    """What a head learns from, without a clip."""

    geometry = Geometry(0.55, 0.85, (-0.11, -0.11, 0.11, 0.11))
    stop_at: int | None = None  # batches after which it breaks

    def __init__(self, settings: Settings = TINY) -> None:
        self.settings, self.given = settings, 0

    def near(self, t: int) -> Tensor:
        return cond()[[max(t - 1, 0), t, min(t + 1, FRAMES - 1)]][None]

    def batch(self, rng: np.random.Generator) -> Batch:
        if self.given == self.stop_at:
            raise InterruptedError
        self.given += 1
        t = int(rng.integers(FRAMES))
        pixels = torch.from_numpy(rng.random((self.settings.rays, 2), np.float32) * SIDE)
        rays = pixel_rays(CAMERA, pose_of(t), pixels)
        color = painted(rays, t)
        return Batch(rays, self.near(t), color, BEHIND.expand_as(color))

    def sight(self, number: int) -> Sight:
        t = number % FRAMES
        y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
        color = painted(pixel_rays(CAMERA, pose_of(t), torch.stack([x, y], -1).reshape(-1, 2)), t).reshape(SIDE, SIDE, 3)
        return Sight(CAMERA, pose_of(t), self.near(t), color, BEHIND.expand_as(color))


class ClothLesson:
    """What a torso learns from: below, a cloth as wide as the picture; before it nothing but a head that is not there."""

    def __init__(self, settings: Settings = TINY) -> None:
        self.head = VanillaHead(settings, BoxLesson.geometry)
        self.place = Place.of(torch.stack([pose_of(t) for t in range(FRAMES)]), CAMERA)
        self.settings = settings

    def batch(self, rng: np.random.Generator) -> TorsoBatch:
        t, count = int(rng.integers(FRAMES)), self.settings.rays
        pixels = torch.from_numpy(np.array([0, SIDE / 2]) + rng.random((count, 2)) * [SIDE, SIDE / 2]).float()
        color = torch.where(pixels[:, 1:] > 16, torch.tensor([0.9, 0.5, 0.3]), BEHIND)
        nothing = Seen(torch.zeros(count, 3), torch.zeros(count))
        rays = pixel_rays(CAMERA, self.place.pose, pixels)
        return TorsoBatch(rays, pose_of(t), torch.zeros(8), nothing, color, BEHIND.expand_as(color))

    def sight(self, number: int) -> tuple[Sight, Tensor]:
        color = BEHIND.expand(SIDE, SIDE, 3)
        return Sight(CAMERA, pose_of(number % FRAMES), torch.zeros(1, 3, 6), color, color), torch.zeros(8)
