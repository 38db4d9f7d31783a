"""Training pictures: each frame's head, what lies behind it, and how much each pixel counts.

Made once per run at the training size and kept raw on disk, so that a step reads one block and memory stays flat.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from likeness import mesh
from likeness.camera import Camera
from likeness.clip import HEAD, Clip, Index
from likeness.files import unwritable
from likeness.nn.backdrop import without_head

TILE = 16  # of the rasteriser: crops that fit its tiles waste none


@dataclass(frozen=True)
class Picture:
    """One training crop."""

    camera: Camera
    image: Float[Tensor, "height width 3"]
    behind: Float[Tensor, "height width 3"]
    """The frame without its head."""
    head: Float[Tensor, "height width"]
    """Soft mask of the head."""
    weight: Float[Tensor, "height width"]
    """In the colour loss."""
    parts: UInt8[Tensor, "height width"]
    """As in `likeness.clip.PARTS`."""


class Pictures:
    """Crops of some frames at one size. Sizes are multiples of the rasteriser's tile."""

    def __init__(self, clip: Clip, frames: np.ndarray, size: int, path: Path, lip_weight: float) -> None:
        self.clip, self.frames, self.size, self.path, self.lip_weight = clip, frames, size, path, lip_weight
        self.camera = clip.camera.scaled((size, size))
        self.pixels = clip.pixels * (size / clip.camera.size[0])
        self._row = {int(t): i for i, t in enumerate(frames)}
        boxes = head_boxes(clip, frames[:: max(1, len(frames) // 100)]) * (size / clip.camera.size[0])
        margin = 8 * size / 256
        extent = (boxes[:, 2:] - boxes[:, :2]).max(0) + 2 * margin
        self.crop = [int(min(np.ceil(e / TILE) * TILE, size)) for e in extent]  # width, height
        centre = self.pixels[:, : mesh.NODES].mean(1).numpy()
        shift = np.median((boxes[:, :2] + boxes[:, 2:]) / 2 - centre[frames[:: max(1, len(frames) // 100)]], axis=0)
        corner = centre + shift - np.array(self.crop) / 2
        self.corner = np.clip(np.round(corner), 0, size - np.array(self.crop)).astype(int)
        self._bytes = self.crop[0] * self.crop[1] * 8
        if not path.is_file() or path.stat().st_size != self._bytes * len(frames):
            self._build()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - lives as long as the pictures

    def _build(self) -> None:
        partial = self.path.with_suffix(".partial")
        plate = self.clip.plate(self.size)
        try:
            with open(partial, "wb") as file:
                for t in self.frames:
                    file.write(self._block(t, plate))
            os.replace(partial, self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error
        finally:
            partial.unlink(missing_ok=True)

    def _block(self, t: Index, plate: UInt8[np.ndarray, "size size 3"]) -> bytes:
        """Image, what is behind the head, and its mask, in the crop of frame t."""
        image = cv2.resize(self.clip.image(t), (self.size, self.size), interpolation=cv2.INTER_AREA)
        parts = self.clip.parts(t)
        behind, head = without_head(image, parts, plate)
        parts = cv2.resize(parts, (self.size, self.size), interpolation=cv2.INTER_NEAREST)
        x, y = self.corner[t]
        window = np.s_[y : y + self.crop[1], x : x + self.crop[0]]
        layers = [image[window], behind[window], head[window][..., None], parts[window][..., None]]
        return np.concatenate(layers, axis=2).tobytes()

    def block(self, t: Index) -> UInt8[np.ndarray, "height width 8"]:
        """Image, what is behind the head, its mask and its parts, in the crop of frame t."""
        raw = os.pread(self._file.fileno(), self._bytes, self._bytes * self._row[int(t)])
        return np.frombuffer(bytearray(raw), np.uint8).reshape(self.crop[1], self.crop[0], 8)

    def __getitem__(self, t: Index) -> Picture:
        stack = torch.from_numpy(self.block(t))
        parts = stack[..., 7].contiguous()
        stack = stack[..., :7].float().mul_(1 / 255)
        x, y = (int(v) for v in self.corner[t])
        return Picture(
            self.camera.cropped(x, y, *self.crop),
            stack[..., :3].contiguous(),
            stack[..., 3:6].contiguous(),
            stack[..., 6].contiguous(),
            self._weight(t, x, y),
            parts,
        )

    def _weight(self, t: Index, x: int, y: int) -> Float[Tensor, "height width"]:
        weight = torch.ones(self.crop[1], self.crop[0])
        margin = 6 * self.size / 256
        for points, value in ((mesh.RIGHT_EYE, 2.0), (mesh.LEFT_EYE, 2.0), (mesh.LIPS, self.lip_weight)):
            xy = self.pixels[t, list(points)]
            x0, y0 = (xy.amin(0) - margin).int().tolist()
            x1, y1 = (xy.amax(0) + margin).int().tolist()
            weight[max(y0 - y, 0) : max(y1 - y, 0), max(x0 - x, 0) : max(x1 - x, 0)] = value
        return weight


def head_boxes(clip: Clip, frames: np.ndarray) -> Float[np.ndarray, "frames 4"]:
    """Bounds (x0, y0, x1, y1) of the head in each frame, pixels of the clip."""
    boxes = []
    for t in frames:
        head = np.isin(clip.parts(t), HEAD)
        xs, ys = np.nonzero(head.any(0))[0], np.nonzero(head.any(1))[0]
        points = clip.pixels[t, : mesh.NODES].numpy()
        low, high = points.min(0), points.max(0)
        if len(xs):
            low, high = np.minimum(low, (xs[0], ys[0])), np.maximum(high, (xs[-1] + 1, ys[-1] + 1))
        boxes.append([*low, *high])
    return np.array(boxes)
