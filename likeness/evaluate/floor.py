"""The detector's floor: how far landmarks move on real frames that were hardly changed. No figure below it means anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import UInt8

from likeness.evaluate.detection import Landmarks

Image = UInt8[np.ndarray, "height width 3"]
QUALITY = 90
SHIFT_PX = 0.5  # half a pixel blurs the most of all shifts


def encoded(image: Image) -> Image:
    """A picture after JPEG of QUALITY with full colour resolution."""
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [
        cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ])  # fmt: skip
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def shifted(image: Image) -> Image:
    """A picture moved by SHIFT_PX to the right and down, linear in between; the border is repeated."""
    moved = np.array([[1.0, 0.0, SHIFT_PX], [0.0, 1.0, SHIFT_PX]])
    return cv2.warpAffine(image, moved, image.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def changed(pictures: Sequence[Image]) -> dict[str, list[Image]]:
    """The real frames after each change, by its name."""
    return {f"jpeg {QUALITY}": [encoded(p) for p in pictures], "half a pixel": [shifted(p) for p in pictures]}


def unshifted(name: str, landmarks: Landmarks) -> Landmarks:
    """Landmarks found after a change, where they would be without its shift."""
    return replace(landmarks, pixels=landmarks.pixels - SHIFT_PX) if name == "half a pixel" else landmarks
