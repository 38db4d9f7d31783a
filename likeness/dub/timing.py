"""Which picture of a video goes with which moment of a sound, at the video's own rate.

Frame t of the result is shown from t / fps on. It shows picture `source` of the video, and says what the sound says from
then on: its features begin at row 100 t / fps, to the nearest. The peers end with an IndexError when the sound is longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from likeness.audio import RATE, ROWS_PER_FRAME
from likeness.dubbing import Longer, Shorter
from likeness.video import FPS


@dataclass(frozen=True)
class Timing:
    """The order of pictures."""

    pictures: int
    """How many the video has."""
    fps: float | int
    sound_s: float | int
    when_longer: Longer = "pingpong"
    """Where the sound is longer than the video: play it back and forth, let its last picture stand, or cut the sound."""
    when_shorter: Shorter = "cut"
    """Where it is shorter: cut the video, keep the rest of it as it was, or go on with lips at rest."""

    @property
    def spoken(self) -> int:
        """Frames that the sound fills, the last one perhaps in part. Rounding of its length (1 sample) makes no frame."""
        return max(1, math.ceil((self.sound_s - 1 / RATE) * self.fps))

    @property
    def frames(self) -> int:
        """Frames of the result."""
        if self.spoken > self.pictures:
            return self.pictures if self.when_longer == "cut" and self.pictures > 1 else self.spoken
        return self.spoken if self.when_shorter == "cut" or self.pictures == 1 else self.pictures

    def dubbed(self, t: int) -> bool:
        """Whether frame t gets new lips."""
        return t < self.spoken or self.when_shorter == "rest"

    def row(self, t: int) -> int:
        """The row of features at which frame t begins."""
        return round(t / self.fps * FPS * ROWS_PER_FRAME)

    def runs(self) -> Iterator[range]:
        """The pictures in order, in runs that go forwards, backwards or stand still (ranges of length 1)."""
        left = self.frames
        for run in self._endless():
            run = run[:left]
            yield run
            left -= len(run)
            if left <= 0:
                return

    def _endless(self) -> Iterator[range]:
        last = self.pictures - 1
        yield range(self.pictures)
        for turn in count():
            if last == 0 or self.when_longer == "freeze":
                yield range(last, last + 1)
            else:  # the turning pictures are not shown twice
                yield range(1, self.pictures) if turn % 2 else range(last - 1, -1, -1)
