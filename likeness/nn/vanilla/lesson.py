"""A clip as rays: what head and torso should see in a step."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likeness import mesh
from likeness.camera import Camera, to_camera
from likeness.clip import Clip
from likeness.displacement import POINTS_68
from likeness.nn.pictures import Pictures
from likeness.nn.vanilla.head import Geometry, VanillaHead
from likeness.nn.vanilla.rendering import Rays, Seen, pixel_rays
from likeness.nn.vanilla.settings import Settings
from likeness.nn.vanilla.torso import Place, first_row

BRIDGE = POINTS_68[27]
WIDER, HIGHER = 1.5, 1.15  # of the rectangle round the face, against its landmarks (AD-NeRF, data_util)
BEFORE_M, BEHIND_M = 0.05, 0.15  # what of a head is nearer than its nearest landmark (hair, glasses), farther than its farthest
SHOWN = 32  # pixels a side of the picture that a run shows: more would take as long as many steps


class Batch(NamedTuple):
    """What a step of the head sees."""

    rays: Rays
    near: Float[Tensor, "1 around inputs"]
    """What moves the face, in the frame and its neighbours."""
    color: Float[Tensor, "n 3"]
    behind: Float[Tensor, "n 3"]
    """Without the head."""


class Sight(NamedTuple):
    """A small picture to compare with."""

    camera: Camera
    pose: Float[Tensor, "4 4"]
    near: Float[Tensor, "1 around inputs"]
    color: Float[Tensor, "height width 3"]
    behind: Float[Tensor, "height width 3"]


class TorsoBatch(NamedTuple):
    """What a step of the torso sees."""

    rays: Rays
    """From the canonical camera."""
    pose: Float[Tensor, "4 4"]
    """Of the head."""
    code: Float[Tensor, " code"]
    head: Seen
    color: Float[Tensor, "n 3"]
    """Of the whole picture."""
    plate: Float[Tensor, "n 3"]
    """Without head and torso."""


class HeadLesson:
    """Rays of training frames through the crop round the head."""

    def __init__(self, clip: Clip, frames: Int[np.ndarray, " frames"], near: Float[Tensor, "frames around inputs"],
                 run_folder: Path, size: int, settings: Settings) -> None:  # fmt: skip
        """`near`: what moves the face in each of the (rising) frames and its neighbours; `size` of the pictures, a side."""
        self.clip, self.frames, self.settings = clip, frames, settings
        self.pictures = Pictures(clip, frames, size, run_folder / f"pictures-{size}.raw", 1.0)
        self._near = near

    def near(self, t: int) -> Float[Tensor, "1 around inputs"]:
        """What moves the face in a frame and its neighbours."""
        return self._near[np.searchsorted(self.frames, t)][None]

    @cached_property
    def geometry(self) -> Geometry:
        """Of the head in these frames."""
        motion, pictures = self.clip.motion[torch.from_numpy(self.frames)], self.pictures
        distance = (motion.landmarks[:, : mesh.NODES] - motion.pose[:, None, :3, 3]).norm(dim=-1)
        middle = to_camera(torch.zeros(len(self.frames), 3), motion.pose)
        scale = middle[:, 2:] / pictures.camera.focal
        corner = torch.from_numpy(pictures.corner[self.frames]) - pictures.camera.project(middle)
        sides = torch.cat([corner * scale, (corner + torch.tensor(pictures.crop)) * scale], 1).median(0).values
        near, far = float(distance.min()) - BEFORE_M, float(distance.max()) + BEHIND_M
        left, top, right, bottom = sides.tolist()
        return Geometry(max(near, 0.01), far, (left, top, right, bottom))

    def batch(self, rng: np.random.Generator) -> Batch:
        """Rays of one random frame, most of them in the rectangle round the face."""
        t = int(self.frames[rng.integers(len(self.frames))])
        chosen = self._chosen(t, rng)
        block = self.pictures.block(t).reshape(-1, 8)[chosen, :6].astype(np.float32) / 255
        width = self.pictures.crop[0]
        pixels = np.stack([chosen % width, chosen // width], 1) + self.pictures.corner[t] + 0.5
        rays = pixel_rays(self.pictures.camera, self.clip.motion.pose[t], torch.from_numpy(pixels).float())
        color = torch.from_numpy(block)
        return Batch(rays, self.near(t), color[:, :3], color[:, 3:])

    def _chosen(self, t: int, rng: np.random.Generator) -> Int[np.ndarray, " rays"]:
        """Numbers of pixels in the crop, row by row."""
        face = self.face(t).reshape(-1)
        inside, outside = np.flatnonzero(face), np.flatnonzero(~face)
        wanted, share = self.settings.rays, self.settings.face_share
        count = wanted if not len(outside) else 0 if not len(inside) else round(share * wanted)
        parts = [(inside, count), (outside, wanted - count)]
        return np.concatenate([rng.choice(where, n, replace=n > len(where)) for where, n in parts if n])

    def face(self, t: int) -> Bool[np.ndarray, "height width"]:
        """Which pixels of a frame's crop are in the rectangle round the face: as wide to both sides of the middle, and as high
        above the bridge of the nose as below it, as landmarks reach, and something more."""
        points = self.pictures.pixels[t].numpy() - self.pictures.corner[t]
        left, right = points[list(mesh.FACE_OVAL), 0].min(), points[list(mesh.FACE_OVAL), 0].max()
        middle = np.array([(left + right) / 2, points[BRIDGE, 1]])
        half = np.array([WIDER * (right - left) / 2, HIGHER * (points[mesh.CHIN_BOTTOM, 1] - middle[1])])
        width, height = self.pictures.crop
        x, y = np.abs(np.arange(width) + 0.5 - middle[0]) <= half[0], np.abs(np.arange(height) + 0.5 - middle[1]) <= half[1]
        return y[:, None] & x

    def sight(self, number: int) -> Sight:
        """One of the frames, small."""
        t = int(self.frames[number % len(self.frames)])
        width, height = self.pictures.crop
        x, y = (int(v) for v in self.pictures.corner[t])
        camera = self.pictures.camera.cropped(x, y, width, height)
        camera = camera.scaled((SHOWN, round(SHOWN * height / width)))
        block = self.pictures.block(t)[..., :6].astype(np.float32) / 255
        small = torch.from_numpy(cv2.resize(block, camera.size, interpolation=cv2.INTER_AREA))
        return Sight(camera, self.clip.motion.pose[t], self.near(t), small[..., :3], small[..., 3:])


class TorsoLesson:
    """Rays of training frames through the lower half of the whole picture, where a finished head is drawn already."""

    def __init__(self, lesson: HeadLesson, head: VanillaHead) -> None:
        self.lesson, self.head = lesson, head.requires_grad_(False)
        self.camera = lesson.pictures.camera
        poses = lesson.clip.motion.pose[torch.from_numpy(lesson.frames)]
        self.place = Place.of(poses, self.camera)
        self.plate = torch.from_numpy(lesson.clip.plate(lesson.pictures.size)).float() / 255

    @torch.no_grad()
    def batch(self, rng: np.random.Generator) -> TorsoBatch:
        """Rays of one random frame."""
        lesson, (width, height) = self.lesson, self.camera.size
        t = int(lesson.frames[rng.integers(len(lesson.frames))])
        first = first_row(self.place.horizon, self.camera)
        chosen = rng.integers(first * width, height * width, lesson.settings.rays)
        x, y = torch.from_numpy(chosen % width), torch.from_numpy(chosen // width)
        pose, pixels = lesson.clip.motion.pose[t], torch.stack([x, y], 1) + 0.5
        image = lesson.clip.image(t)
        if image.shape[0] != height:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        color = torch.from_numpy(image.reshape(-1, 3)[chosen].astype(np.float32) / 255)
        code = self.head.said(lesson.near(t))[0]
        head = Seen(torch.zeros(len(x), 3), torch.zeros(len(x)))
        rows, columns = self.head.frame(pose, self.camera)
        inside = (x >= columns.start) & (x < columns.stop) & (y >= rows.start) & (y < rows.stop)
        if inside.any():
            seen = self.head.glance(pixel_rays(self.camera, pose, pixels[inside]), code[None])
            head.color[inside], head.alpha[inside] = seen.color, seen.alpha
        rays = pixel_rays(self.camera, self.place.pose, pixels)
        return TorsoBatch(rays, pose, code, head, color, self.plate[y, x])

    def sight(self, number: int) -> tuple[Sight, Float[Tensor, " code"]]:
        """One of the frames, small, and what is said in it."""
        lesson = self.lesson
        t = int(lesson.frames[number % len(lesson.frames)])
        camera, near = self.camera.scaled((SHOWN, SHOWN)), lesson.near(t)
        image = cv2.resize(lesson.clip.image(t), camera.size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        plate = cv2.resize(self.plate.numpy(), camera.size, interpolation=cv2.INTER_AREA)
        pose = lesson.clip.motion.pose[t]
        return Sight(camera, pose, near, torch.from_numpy(image), torch.from_numpy(plate)), self.head.said(near)[0]
