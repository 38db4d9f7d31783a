"""What a step of training sees: rays of some frames, the pixels that they hit, and what is said in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likeness import mesh
from likeness.nn import lesson
from likeness.nn.radiance.field import Said
from likeness.nn.radiance.head import Head
from likeness.nn.radiance.occupancy import BOUND, CELLS, UNIT, ever_seen, near_the_head
from likeness.nn.radiance.settings import Settings
from likeness.nn.radiance.volume import Rays
from likeness.rig import LIP_COEFFICIENTS, SIZE

SHARES = ((0.2, mesh.FACE_OVAL), (0.2, mesh.LIPS), (0.05, mesh.RIGHT_EYE), (0.05, mesh.LEFT_EYE))
"""Of the rays round parts of the face; the others go anywhere in the crop."""
MARGIN = 5  # pixels round lips and eyes, at 256²


class Target(NamedTuple):
    """What rays should see."""

    color: Float[Tensor, "n 3"]
    behind: Float[Tensor, "n 3"]
    """The frame without its head."""
    head: Float[Tensor, " n"]
    """Soft mask of the head."""
    quiet: Bool[Tensor, " n"]
    """Outside of the lower face, where speech should not count."""


class Lesson(lesson.Lesson[Settings]):
    """A clip's training frames as rays."""

    def said(self, head: Head, rows: Int[np.ndarray, " frames"], rng: np.random.Generator | None) -> Said:
        """In the training frames number `rows`, with a little noise where `rng` is given."""
        cond = self.rig.clip(self.cond[torch.from_numpy(self.frames[rows])] + self.unsure(len(rows), rng))
        return head.said(cond[:, :LIP_COEFFICIENTS], cond[:, LIP_COEFFICIENTS:], torch.from_numpy(rows))

    def unsure(self, frames: int, rng: np.random.Generator | None) -> Float[Tensor, "frames cond"]:
        """Noise on the conditioning of some frames: a voice does not find it exactly either."""
        if rng is None:
            return torch.zeros(frames, SIZE)
        return self.noise * torch.from_numpy(rng.standard_normal((frames, SIZE)).astype(np.float32))

    def allowed(self) -> Bool[Tensor, "x y z"]:
        """Cells of space that may be occupied."""
        if self.config.seeded:
            return near_the_head(self.clip, self.rig, self.frames, self.config.seed)
        return ever_seen(self.clip, self.frames)

    def enough(self, occupied: int) -> int:
        """Rays of a frame in a step, by how many cells of space are occupied: about `samples` of them altogether."""
        config, camera = self.config, self.pictures.camera
        depth = float(self.clip.motion.pose[torch.from_numpy(self.frames), :3, 3].norm(dim=1).mean()) * UNIT
        area = self.pictures.crop[0] * self.pictures.crop[1] * (depth / camera.focal) ** 2  # of the crop, at the head
        volume = occupied * (2 * BOUND / CELLS) ** 3
        along = min(max(volume / (area * config.step), 1.0), config.most)
        return max(1, min(config.rays, round(config.samples / along)) // config.batch)

    def rays(
        self, rows: Int[np.ndarray, " frames"], count: int, rng: np.random.Generator, coarse: int = 1
    ) -> tuple[Rays, Target]:
        """`count` random rays of each of some frames: some anywhere in the crop, more at face, lips and eyes. With `coarse`, of
        pictures with pixels as many times as large."""
        rays, targets = [], []
        for i, row in enumerate(rows):
            t = int(self.frames[row])
            xy = np.minimum(self._pixels(t, count, rng) // coarse, np.array(self.pictures.crop) // coarse - 1)
            rays.append(self.through(t, xy, i, coarse))
            targets.append(self._target(t, xy, coarse))
        return Rays(*map(torch.cat, zip(*rays))), Target(*map(torch.cat, zip(*targets)))

    def patch(self, row: int, side: int) -> tuple[Rays, Target, tuple[int, int]]:
        """All rays of the square round the lips of a frame, at least `side` pixels, and its (height, width)."""
        t = int(self.frames[row])
        low, high = self._box(t, mesh.LIPS)
        middle, half = (low + high) / 2, max(float((high - low).max()), side) / 2
        width, height = self.pictures.crop
        x = np.arange(max(int(middle[0] - half), 0), min(int(middle[0] + half) + 1, width))
        y = np.arange(max(int(middle[1] - half), 0), min(int(middle[1] + half) + 1, height))
        xy = np.stack(np.meshgrid(x, y), -1)
        return self.through(t, xy.reshape(-1, 2), 0), self._target(t, xy.reshape(-1, 2)), (len(y), len(x))

    def _pixels(self, t: int, count: int, rng: np.random.Generator) -> Int[np.ndarray, "count 2"]:
        """In the crop of a frame."""
        size = np.array(self.pictures.crop)
        everywhere = (rng.random((count, 2)) * size).astype(int)
        if not self.config.weighted:
            return everywhere
        first = 0
        for share, points in SHARES:
            low, high = self._box(t, points)
            rows = slice(first, first + round(share * count))
            inside = low + rng.random((len(everywhere[rows]), 2)) * (high - low)
            everywhere[rows] = np.clip(inside, 0, size - 1).astype(int)
            first = rows.stop
        return everywhere

    def _box(self, t: int, points: tuple[int, ...]) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
        """Round some landmarks, in pixels of the crop."""
        xy = self.pictures.pixels[t, list(points)].numpy() - self.pictures.corner[t]
        margin = MARGIN * self.config.size / 256
        return xy.min(0) - margin, xy.max(0) + margin

    def through(self, t: int, xy: Int[np.ndarray, "n 2"], frame: int, coarse: int = 1) -> Rays:
        """Rays through the middles of pixels of a frame's crop, pixels that are `coarse` times as large."""
        camera, pose = self.pictures.camera, self.clip.motion.pose[t]
        pixels = torch.from_numpy(coarse * xy + self.pictures.corner[t]).float() + coarse / 2
        directions = camera.unproject(pixels, torch.ones(len(xy))) @ pose[:3, :3].T
        directions = directions / directions.norm(dim=1, keepdim=True)
        return Rays(pose[:3, 3].expand_as(directions), directions, torch.full((len(xy),), frame))

    def _target(self, t: int, xy: Int[np.ndarray, "n 2"], coarse: int = 1) -> Target:
        picture, (x, y) = self.pictures.block(t), coarse * xy.T
        parts = [torch.from_numpy(picture[y + i, x + j, :7]).float() for i in range(coarse) for j in range(coarse)]
        block = torch.stack(parts).mean(0) / 255
        points = self.pictures.pixels[t, : mesh.NODES].numpy() - self.pictures.corner[t]
        low, high = points.min(0), points.max(0)
        low[1] = points[mesh.NOSE_BASE, 1]
        quiet = ((coarse * xy < low) | (coarse * xy > high)).any(1)
        return Target(block[:, :3], block[:, 3:6], block[:, 6], torch.from_numpy(quiet))
