"""Where a portrait stands: the camera and light it is seen by, and what is behind its head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from likeness.clip import Motion, read_picture
from likeness.delivery import Delivery
from likeness.errors import BadInput
from likeness.nn.carried import Carried, scaled
from likeness.nn.over import over
from likeness.portrait import Layer, Portrait


def staged(portrait: Portrait, delivery: Delivery) -> Portrait:
    """The portrait as a delivery wants it seen; the given one stays as it is. Raises BadInput for a field of view that is wider
    than the clip's, for a light that it does not have, and where it has no quick way."""
    stage, moved = portrait.stage, delivery.pose not in ("clip", "fixed")
    camera = stage.camera if delivery.fov is None else stage.camera.zoomed(delivery.fov)
    appearance = None if delivery.appearance == "mean" else delivery.appearance
    same = appearance == stage.appearance and delivery.quick == stage.quick and camera == stage.camera
    if same and not moved:
        return portrait
    if camera.focal < stage.camera.focal:
        raise BadInput(
            f"fov is {delivery.fov:g}, but the clip's camera saw {stage.camera.fov:.2f} degrees: what lies beyond its picture "
            "was never seen. Use a smaller one."
        )
    plate, torso = stage.background, stage.torso
    if camera != stage.camera:
        zoom = camera.focal / stage.camera.focal
        x, y = ((1 - zoom) * c for c in camera.centre)
        plate = torch.from_numpy(scaled(plate.numpy(), zoom, (x, y)))
    if torso is not None and (moved or camera != stage.camera):
        torso = Carried(torso, stage.motion.pose, stage.camera, camera)
    return portrait.on(
        replace(stage, camera=camera, background=plate, torso=torso, appearance=appearance, quick=delivery.quick)
    )


class Scenery:
    """What stands behind the head: torso over background."""

    def __init__(self, portrait: Portrait, background: str) -> None:
        stage = portrait.stage
        self.torso = stage.torso
        self.size = stage.camera.size
        self.transparent = background == "transparent"
        self.plate = stage.background.numpy() if background == "clip" else np.zeros((*self.size[::-1], 3), np.uint8)
        if background not in ("clip", "transparent"):
            self.plate = backdrop(background, self.size)

    def compose(self, layer: Layer, motion: Motion) -> UInt8[np.ndarray, "height width channels"]:
        """One finished picture: RGB, or RGBA (not premultiplied) where the background is transparent."""
        where = None if motion.torso is None else motion.torso[0]
        rgb, alpha = layer.rgb[0].numpy(), layer.alpha[0].numpy()
        if self.transparent:
            return self._clear(rgb, alpha, where)
        under = self.plate if where is None else self.torso.draw(where, self.plate)
        return over(np.ascontiguousarray(rgb), np.ascontiguousarray(alpha), under)

    def _clear(self, rgb: np.ndarray, alpha: np.ndarray, where: Tensor | None) -> UInt8[np.ndarray, "height width 4"]:
        """Head over torso over nothing."""
        pixels = np.concatenate([rgb, alpha[..., None]], axis=2)
        if where is not None:
            pixels = pixels + (1 - alpha[..., None]) * self.torso.layer(where)
        color = pixels[..., :3] / np.maximum(pixels[..., 3:], 1e-4)
        return (np.concatenate([color, pixels[..., 3:]], axis=2).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def backdrop(text: str, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """A colour like #20a040, or a picture file, cut to the right shape and scaled."""
    if text.startswith("#"):
        return colour(text, size)
    if not Path(text).is_file():
        raise BadInput(f"{text}: no such background. Use clip, transparent, a colour like #20a040, or a picture.")
    image = read_picture(Path(text))
    width, height = size
    scale = max(width / image.shape[1], height / image.shape[0])
    wanted = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    image = cv2.resize(image, wanted, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    y, x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[y : y + height, x : x + width])


def colour(text: str, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """A plain picture of a colour like #20a040."""
    try:
        red, green, blue = bytes.fromhex(text[1:])
    except ValueError as error:
        raise BadInput(f"background {text!r} is no colour; write it like #20a040.") from error
    return np.full((size[1], size[0], 3), (red, green, blue), np.uint8)
