"""Pictures and files as data URIs: what a report that loads nothing is made of."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

Image = UInt8[np.ndarray, "height width 3"]


def jpeg(image: Image, quality: int = 88) -> str:
    """A photograph."""
    return _picture(image, ".jpg", "image/jpeg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def png(image: Image) -> str:
    """A drawing: sharp edges, few colours."""
    return _picture(image, ".png", "image/png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def video(path: Path) -> str:
    """An .mp4 file."""
    return _uri("video/mp4", path.read_bytes())


def _picture(image: Image, ending: str, kind: str, how: list[int]) -> str:
    encoded = cv2.imencode(ending, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), how)[1]
    return _uri(kind, encoded.tobytes())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
