"""What is dubbed, as pictures: a video at one constant rate, in any order of runs, or one picture that stands still."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from likeness.errors import BadInput
from likeness.video import FPS, backwards, probe, read

STILLS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
LOWEST, HIGHEST = 1.0, 121.0
"""Frames a second. Files with uneven timestamps claim 1000, broken ones 0: such a claim is not believed."""
UNEVEN = 0.02  # share of pictures repeated or left out from which a video is said to have no constant rate
Image = UInt8[np.ndarray, "height width 3"]


class Footage:
    """A video, or a picture, that is to be dubbed. Raises BadInput for a file that is neither, or too small."""

    def __init__(self, path: str | os.PathLike, fps: float | None = None, resize_factor: int = 1) -> None:
        """fps: at which the result is shown, None for the video's own (25 for a picture). resize_factor: by which pictures
        are made smaller before anything else."""
        self.path, self.notes = Path(path), list[str]()
        if resize_factor < 1:
            raise BadInput(f"resize_factor {resize_factor}: must be 1 or more; 2 makes the video half as wide and high.")
        if fps is not None and not LOWEST <= fps <= HIGHEST:
            raise BadInput(f"fps {fps}: must lie between {LOWEST:g} and {HIGHEST:g}.")
        self._factor, self._asked, self._seek = resize_factor, fps is not None, True
        self._still: Image | None = None
        if self.path.suffix.lower() in STILLS:
            self._still = self._small(_picture(self.path))
            self.fps, (height, width) = fps or FPS, self._still.shape[:2]
            self.expected = 1
        else:
            source = probe(self.path)
            self.fps = fps or self._believed(source.fps)
            width, height = max(1, source.width // resize_factor), max(1, source.height // resize_factor)
            self.expected = max(1, round(source.duration_s * self.fps))
        self.size = (width, height)
        if min(self.size) < 2:
            raise BadInput(f"{self.path}: {width} x {height} pixels are too small. Use a smaller resize_factor.")

    def _believed(self, fps: float) -> float:
        if np.isfinite(fps) and LOWEST <= fps <= HIGHEST:
            return fps
        self.notes.append(f"it claims {fps:g} frames a second, which cannot be: shown at {FPS:g}. Choose with fps.")
        return FPS

    def forwards(self) -> Iterator[Image]:
        """All pictures, in order. At the end `notes` says what was wrong with them."""
        if self._still is not None:
            yield self._still
            return
        reader = read(self.path, self.fps)
        count = repeated = last = 0
        for picture in reader:
            yield self._small(picture.image)
            count, repeated, last = picture.index + 1, repeated + picture.repeated, picture.source_index
        self._seek = not reader.problems
        self.notes += [note for note in reader.problems if note not in self.notes]
        dropped = last + 1 - (count - repeated)
        if not self._asked and repeated + dropped > UNEVEN * count:
            note = f"its timestamps are uneven: put on a constant {self.fps:.5g} frames a second"
            self.notes.append(f"{note} ({repeated} pictures shown twice, {dropped} left out)")
            self._asked = True  # said once

    def along(self, runs: Iterable[range]) -> Iterator[tuple[int, Image]]:
        """(index, picture) along runs that go forwards or backwards by one; a run of one picture that was the last shown
        is that picture again."""
        held: tuple[int, Image] | None = None
        for run in runs:
            if held is not None and len(run) == 1 and run[0] == held[0]:
                yield held
                continue
            for held in zip(run, self._run(run)):
                yield held

    def _run(self, run: range) -> Iterator[Image]:
        if self._still is not None:
            return repeat(self._still)
        if run.step > 0:
            return (self._small(picture.image) for picture in islice(read(self.path, self.fps), run.start, run.stop))
        found = backwards(self.path, self.fps, run[-1], run[0] + 1, seek=self._seek)
        return (self._small(picture.image) for picture in found)

    def stand_still(self, image: Image) -> None:
        """From now on it is this picture, already small."""
        self._still, self.expected = image, 1

    def _small(self, image: Image) -> UInt8[np.ndarray, "high wide 3"]:
        if self._factor == 1:
            return image
        size = (max(1, image.shape[1] // self._factor), max(1, image.shape[0] // self._factor))
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _picture(path: Path) -> Image:
    try:
        coded = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}).") from error
    image = cv2.imdecode(coded, cv2.IMREAD_COLOR) if len(coded) else None
    if image is None:
        raise BadInput(f"{path}: not a picture that can be read. It is damaged, or its ending is wrong.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
