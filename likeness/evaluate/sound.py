"""What a row of pictures is meant to say: its waveform, its loudness, its speech features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from likeness import audio, speech

RANGE_DB = 40.0
"""Below the loud moments of a sound (95th percentile): what is quieter counts as so quiet."""
CONTEXT = 250
"""Frames of sound on both sides that speech features are made with: phones are normalised by what is round them."""


class Sound:
    """What a row is meant to say: frame t of the clip shows its frame t + by."""

    def __init__(self, waveform: Float[np.ndarray, " samples"], by: int = 0) -> None:
        self.waveform, self.by = waveform, by
        frames = audio.loudness(waveform).reshape(-1, audio.ROWS_PER_FRAME).mean(1)
        self._features: dict[tuple, dict[str, np.ndarray]] = {}
        # Digital silence is 60 dB below the quietest room: without a floor it would be all that a correlation sees.
        self.decibels: Float[np.ndarray, " time"] = frames.clip(min=np.percentile(frames, 95) - RANGE_DB)

    def later(self, by: int) -> Sound:
        """The same sound, but frame t shows its frame t + by."""
        return Sound(self.waveform, by)

    def piece(self, start: int, stop: int) -> Float[np.ndarray, " samples"]:
        """For the frames start .. stop-1; silence beyond its ends."""
        first, last = ((t + self.by) * audio.HOP for t in (start, stop))
        low, high = max(first, 0), min(last, len(self.waveform))
        found = np.zeros(last - first, np.float32)
        if low < high:
            found[low - first : high - first] = self.waveform[low:high]
        return found

    def features(self, names: tuple[str, ...], start: int, stop: int) -> tuple[int, dict[str, Float[np.ndarray, "_ _"]]]:
        """Speech features of the frames start .. stop-1 and of what is heard CONTEXT before and after; and which frame they
        begin with."""
        first = min(start, max(start - CONTEXT, -self.by))
        last = max(stop, min(stop + CONTEXT, audio.frames_in(len(self.waveform)) - self.by))
        if (key := (names, first, last)) not in self._features:
            piece = self.piece(first, last)
            self._features[key] = {name: speech.extract(name, piece) for name in names}
        return first, self._features[key]
