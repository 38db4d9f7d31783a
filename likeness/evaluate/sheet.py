"""The contact sheet: frames chosen by rule, the real ones above ours."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from likeness.evaluate import Evaluation, metrics
from likeness.files import write_atomically

DRIVEN = ("tracked", "sound", "theirs")
STRIP = 18  # pixels of caption


def contact_sheet(found: Evaluation, path: str | os.PathLike) -> Path:
    """Write a PNG: widest open, closed, blink, largest yaw, worst error; real, tracked and by sound, or a video's."""
    path = Path(path)
    rows = ["real", *(name for name in DRIVEN if name in found.pictures)]
    chosen = choose(found)
    columns = []
    for title, t in chosen.items():
        captions = {"real": f"{title}, frame {found.frames[t]}"}
        cells = [_captioned(found.pictures[name][t], captions.get(name, name)) for name in rows]
        columns.append(np.concatenate(cells, axis=0))
    sheet = np.concatenate(columns, axis=1)
    _, png = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    write_atomically(path, png.tobytes())
    return path


def choose(found: Evaluation) -> dict[str, int]:
    """Which of the test frames are shown, by rule."""
    real = found.pictures["real"]
    ours = found.pictures["sound" if "sound" in found.pictures else "theirs"]
    boxes = [(box["mouth"][0], box["mouth"][1], box["mouth"][2], box["mouth"][3]) for box in found.boxes]
    errors = [metrics.psnr(a, b, box) for a, b, box in zip(ours, real, boxes)]
    return {
        "widest open": int(np.argmax(found.curves["opening"])),
        "closed": int(np.argmin(found.curves["opening"])),
        "blink": int(np.argmin(found.curves["eyes"])),
        "largest yaw": int(np.argmax(np.abs(found.curves["yaw"]))),
        "worst mouth": int(np.argmin(errors)),
        "middle": len(real) // 2,
    }


def _captioned(image: UInt8[np.ndarray, "height width 3"], text: str) -> UInt8[np.ndarray, "taller width 3"]:
    strip = np.full((STRIP, image.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, text, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, image], axis=0)
