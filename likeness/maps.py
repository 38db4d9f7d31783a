"""What a portrait knows of each pixel besides its colour, as videos: depth.mp4, attention-to-speech.mp4, … in a folder.

Each is one picture a frame of the speech, dark for low values and bright for high ones, between the two values that
`scale.json` names for it (depth in metres), the same for the whole video.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from likeness.errors import BadInput
from likeness.files import unwritable, write_atomically
from likeness.video import FPS, Writer, check_place

LOOKS = 8  # frames, spread over a speech, that tell between which values its maps lie
ENDS = (10.0, 99.8)  # percentiles of what is not nothing; the lowest is the rim, which is seen through
Maps = dict[str, Float[Tensor, "height width"]]


def check_folder(folder: Path) -> None:
    """Raise BadInput or Refused where no maps could be written into a folder of this name."""
    if folder.suffix:
        raise BadInput(f"{folder}: maps are several videos. Name a folder for them (no ending).")
    check_place(folder)


class MapVideos:
    """Write maps into `folder`, which appears when the block begins: `with MapVideos(...) as videos: videos.write(maps)`."""

    def __init__(self, folder: Path, looks: list[Maps]) -> None:
        """`looks` are maps of a few frames, by which the scales are chosen."""
        self.folder = folder
        self.scales = {name: _ends([look[name] for look in looks]) for name in looks[0]}
        height, width = next(iter(looks[0].values())).shape
        self.size = (width, height)
        self._open = ExitStack()

    def __enter__(self) -> MapVideos:
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        self._videos = {
            name: self._open.enter_context(Writer(self.folder / f"{name.replace(' ', '-')}.mp4", self.size, FPS))
            for name in self.scales
        }
        return self

    def write(self, maps: Maps) -> None:
        """Add one frame."""
        for name, (low, high) in self.scales.items():
            shade = ((maps[name].numpy() - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
            self._videos[name].write(cv2.cvtColor(cv2.applyColorMap(shade, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._open.__exit__(kind, error, trace)
        if error is None:
            write_atomically(self.folder / "scale.json", json.dumps(self.scales, indent=1).encode())
        else:
            with suppress(OSError):  # where it held nothing before, nothing is left
                self.folder.rmdir()


def _ends(looks: list[Float[Tensor, "height width"]]) -> tuple[float, float]:
    """Between which values a map lies in some frames."""
    values = np.concatenate([look.numpy()[look.numpy() > 0] for look in looks])
    low, high = (float(v) for v in np.percentile(values, ENDS)) if len(values) else (0.0, 1.0)
    return low, max(high, low + 1e-6)
