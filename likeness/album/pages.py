"""A page of an album: one uncut stretch of one person's face, as a file.

`pages/<key>.safetensors` holds

    jpegs   uint8 [bytes]      the crops one after the other: RGB, JPEG 4:4:4
    ends    int64 [T]          where each ends
    points  float32 [T 478 2]  the face mesh, 0 .. 1 across the square
    mel, phones  float16 [4T D]  speech features in step with the lips, rows 4t .. 4t+3 belong to frame t
    sound   int16 [4T 160]     where it was asked for: the waveform itself, 16 kHz, likewise in step

and one JSON text in its metadata, under "likeness-album". It is mapped and read where it is asked for: what a page costs is
the decoding of one JPEG a frame, and memory does not grow with the album.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from likeness.audio import ROWS_PER_FRAME, SOUND
from likeness.corpus import Split
from likeness.dub.crop import Number, Place, cut_out
from likeness.errors import BadInput, Refused
from likeness.files import write_atomically
from likeness.prepare.generic_face import other_side

FORMAT, VERSION = "likeness-album", 1
FEATURES = ("mel", "phones")
LOUDEST = 32767  # what a stored sample of 1 is
MARGIN = 0.125
"""Of the square's side that a stored crop shows on every side of it, for augmentation: a crop of 160 pixels holds the square
at 128, one of 320 at 256."""
WHOLE = 1 + 2 * MARGIN
QUALITY = 95
OPENED = 64  # files held mapped in a process; opening another takes 0.2 ms
FLAGS = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


class Jitter(NamedTuple):
    """How a crop differs from the square that `dub` cuts out."""

    dx: Number = 0.0
    """Of its middle, in sides of the square, along the square's own axes."""
    dy: Number = 0.0
    log_scale: Number = 0.0
    """Of its side: 0.05 shows 5 % more, and so a smaller face."""
    turn: Number = 0.0
    """Radians, clockwise as seen: of the square; the face turns the other way."""
    flip: bool | np.bool_ = False
    """Left and right change places, in the picture and in the numbers of the points."""

    def place(self, side: int) -> Place:
        """The square in a stored crop of this side. Raises ValueError where it reaches out of the crop."""
        middle, own = side / 2, side / WHOLE
        place = Place(middle + own * self.dx, middle + own * self.dy, own * math.exp(self.log_scale), self.turn)
        corners = place.to_picture(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), 1)
        if corners.min() < -1e-6 * side or corners.max() > (1 + 1e-6) * side:
            raise ValueError(f"{self} reaches beyond the margin of {MARGIN} sides round the square")
        return place


@dataclass(frozen=True)
class Page:
    """Light, can be sent to another process; the file is opened where something is read from it.

    Whatever reads raises BadInput for a file that is gone or damaged, Refused for one of another version.
    """

    path: Path
    speaker: str
    key: str
    split: Split
    frames: int
    side: int
    """Of the stored crops, pixels."""
    native: float
    """Median side of the square in pixels of the video: how much detail there is to learn."""

    def __len__(self) -> int:
        return self.frames

    @property
    def points(self) -> Float[np.ndarray, "time 478 2"]:
        """The face mesh, 0 .. 1 across the square; read from the disk."""
        return self._file.handle.get_tensor("points")

    def features(self, name: str) -> Float[np.ndarray, "rows dim"]:
        """[4T D] of "mel" or "phones", as `likeness.speech` makes them, or of "sound", -1 .. 1, where the album was made
        with it; read from the disk."""
        if name not in (*FEATURES, SOUND):
            raise BadInput(f"an album has the features {' and '.join(FEATURES)}, and may have {SOUND}, not {name!r}.")
        if name not in self._file.handle.keys():  # noqa: SIM118 - not iterable
            raise BadInput(f"{self.path}: this album was made without the sound itself. Make it again in another folder.")
        rows = self._file.handle.get_tensor(name).astype(np.float32)
        return rows / LOUDEST if name == SOUND else rows

    def image(self, t: int) -> UInt8[np.ndarray, "side side 3"]:
        """The stored crop of frame t, RGB: the square and MARGIN of its side round it. Raises IndexError."""
        self._check(t)
        file = self._file
        start = int(file.ends[t - 1]) if t else 0
        image = cv2.imdecode(file.handle.get_slice("jpegs")[start : int(file.ends[t])], cv2.IMREAD_COLOR)
        if image is None or image.shape != (self.side, self.side, 3):
            raise _damaged(self.path, f"frame {t} is no picture of {self.side} pixels")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def crop(
        self, t: int, size: int, jitter: tuple[Number, Number, Number, Number, bool | np.bool_] | None = None
    ) -> tuple[Float[np.ndarray, "size size 3"], Float[np.ndarray, "478 2"]]:
        """The square of frame t at `size`², RGB 0 .. 1, as `dub` cuts it out of the video, and the face mesh in its pixels
        (0, 0 is its corner). `jitter` moves the square, see `Jitter`. Raises ValueError for one beyond the margin."""
        moved = Jitter(*jitter) if jitter is not None else Jitter()
        place = moved.place(self.side)
        image = cut_out(self.image(t), place, size)
        own = self._file.handle.get_slice("points")[t : t + 1][0].astype(np.float64)
        points = place.to_crop((own + MARGIN) * (self.side / WHOLE), size).astype(np.float32)
        if moved.flip:
            image = np.ascontiguousarray(image[:, ::-1])
            points = mirrored(points, size)
        return image, points

    def _check(self, t: int) -> None:
        if not 0 <= t < self.frames:
            raise IndexError(f"{self.key}: frame {t} of {self.frames}")

    @property
    def _file(self) -> _File:
        return _opened(self)


@dataclass(frozen=True)
class _File:
    """A page's file, mapped."""

    handle: Any
    ends: np.ndarray


@lru_cache(OPENED)
def _opened(page: Page) -> _File:
    """The file, its shapes checked against the page."""
    path, frames = page.path, page.frames
    if not path.is_file():
        raise BadInput(f"{path}: is gone. Begin again with the same command: it is made anew.")
    try:
        handle = safe_open(path, framework="numpy")
        header = json.loads((handle.metadata() or {}).get(FORMAT, "null"))
        if not isinstance(header, dict):
            raise ValueError("no page of an album")
        if header["version"] != VERSION:
            raise Refused(f"{path}: a page of version {header['version']}, this is version {VERSION}. Make the album anew.")
        wanted = (page.key, page.speaker, page.split, page.frames, page.side)
        if tuple(header[name] for name in ("key", "speaker", "split", "frames", "side")) != wanted:
            raise ValueError("it is another page")
        ends = handle.get_tensor("ends")
        names = (*FEATURES, SOUND) if SOUND in handle.keys() else FEATURES  # noqa: SIM118 - not iterable
        rows = [handle.get_slice(name).get_shape()[0] for name in names]
        points, jpegs = handle.get_slice("points").get_shape(), handle.get_slice("jpegs").get_shape()
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    if len(ends) != frames or jpegs != [int(ends[-1])] or points != [frames, 478, 2] or set(rows) != {frames * ROWS_PER_FRAME}:
        raise _damaged(path, "its parts are not of one length")
    return _File(handle, ends)


def mirrored(points: Float[np.ndarray, "*n 478 2"], size: int) -> Float[np.ndarray, "*n 478 2"]:
    """The face mesh in a picture, `size` wide, whose left and right change places: points and their numbers."""
    return np.array([size, 0], np.float32) + points[..., other_side(), :] * np.array([-1, 1], np.float32)


def _damaged(path: Path, error: object) -> BadInput:
    return BadInput(f"{path}: damaged ({error}). Delete it and begin again with the same command: it is made anew.")


def forget() -> None:
    """Close all files: after pages were made anew, the old ones are not read any more."""
    _opened.cache_clear()


def encoded(image: Float[np.ndarray, "side side 3"]) -> bytes:
    """RGB 0 .. 1 as a page stores it."""
    pixels = np.rint(image * 255).clip(0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), FLAGS)[1].tobytes()


def write_page(
    page: Page,
    recipe: str,
    jpegs: list[bytes],
    points: Float[np.ndarray, "time 478 2"],
    features: dict[str, Float[np.ndarray, "rows dim"]],
) -> None:
    """Write the file, atomically. `features`: those of `FEATURES`, and SOUND where it is to be held. Raises Exhausted on a
    full disk."""
    header = {"format": FORMAT, "version": VERSION, "recipe": recipe, "key": page.key, "speaker": page.speaker}
    header |= {"split": page.split, "frames": page.frames, "side": page.side, "native": page.native}
    tensors = {"jpegs": np.frombuffer(b"".join(jpegs), np.uint8), "ends": np.cumsum([len(jpeg) for jpeg in jpegs])}
    tensors |= {"points": points.astype(np.float32)}
    tensors |= {name: np.ascontiguousarray(features[name], np.float16) for name in FEATURES}
    if SOUND in features:
        tensors |= {SOUND: np.rint(features[SOUND].clip(-1, 1) * LOUDEST).astype(np.int16)}
    write_atomically(page.path, save(tensors, {FORMAT: json.dumps(header)}))
