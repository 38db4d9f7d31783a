"""Waveforms: loading, saving, which stretch of sound a portrait hears, and when somebody speaks.

A waveform is float32 [N], mono, in -1 .. 1, at 16 kHz unless said otherwise. Frame t of a video at 25 frames a second
begins at sample 640 t; a waveform has ceil(N / 640) frames, the last one filled with silence.
"""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from likeness import video
from likeness.errors import BadInput
from likeness.files import unwritable
from likeness.video import FPS
from likeness.video.writer import resampled

RATE = 16000
HOP = round(RATE / FPS)
"""Samples in a frame."""
ROWS_PER_FRAME = 4
"""Rows of speech features in a frame: 100 a second."""
SOUND = "sound"
"""The waveform itself under the name of a feature, in such rows: for who hears by a recipe of their own."""


def frames_in(samples: int) -> int:
    """How many frames `samples` at 16 kHz fill; the last one may be filled in part."""
    return -(-samples // HOP)


def load(path: str | os.PathLike, rate: int = RATE) -> Float[np.ndarray, " samples"]:
    """Any sound or video file as one waveform at `rate`, time 0 being the first picture of a video.

    Read in blocks: beyond the result (230 MB an hour) memory stays bounded. Raises BadInput when there is no sound.
    """
    blocks = list(stream(path, rate))
    waveform = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if len(waveform) == 0:
        raise BadInput(f"{path}: its sound is empty.")
    return waveform


def stream(path: str | os.PathLike, rate: int = RATE, block_s: float = 10.0) -> Iterator[Float[np.ndarray, " samples"]]:
    """`load` block by block, for files too long to hold."""
    sound = video.open_sound(path, block_s)
    return (block[:, 0] for block in resampled(sound.blocks, 1, sound.rate, rate))


def save_wav(path: str | os.PathLike, waveform: Float[np.ndarray, " samples"], rate: int = RATE) -> None:
    """Write mono PCM 16; values outside -1 .. 1 are clipped. What was there stays until the new file is whole."""
    path = Path(path)
    partial = path.parent / f".{path.name}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as file, wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(rate)
            for start in range(0, len(waveform), 10 * rate):
                block = np.clip(waveform[start : start + 10 * rate], -1, 1)
                sound.writeframes(np.round(block * 32767).astype("<i2").tobytes())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unwritable(path, error) from error


@dataclass(frozen=True)
class Hearing:
    """Which speech features a portrait listens to, and how much around a frame. Windows and latency follow from it."""

    features: tuple[str, ...] = ("mel", "phones")
    """Names as in `speech.extract`, side by side in this order."""
    past: int = 4
    """Frames before the one spoken. 4 and 2: more look-ahead gained nothing."""
    future: int = 2
    """Frames after it: each is 40 ms that a live viewer waits."""
    rows_per_frame: int = ROWS_PER_FRAME

    @property
    def latency_s(self) -> float:
        """How long after a frame begins the sound that it needs is complete."""
        return (1 + self.future) / FPS

    @property
    def rows(self) -> int:
        """Rows in the window of one frame."""
        return (self.past + 1 + self.future) * self.rows_per_frame

    def window(self, features: Float[Tensor, "rows dim"], start: int, stop: int) -> Float[Tensor, "stretch dim"]:
        """The stretch for frames start .. stop-1: their rows, the past ones and the future ones.

        Outside the sound the first or last row is repeated, so that the stretch always has
        (past + stop - start + future) * rows_per_frame rows.
        """
        first = (start - self.past) * self.rows_per_frame
        last = (stop + self.future) * self.rows_per_frame
        rows = torch.arange(first, last, device=features.device).clamp(0, len(features) - 1)
        return features[rows]

    def windows(self, stretch: Float[Tensor, "stretch dim"]) -> Float[Tensor, "time rows dim"]:
        """One window a frame out of a stretch: [T rows dim], a view."""
        return stretch.unfold(0, self.rows, self.rows_per_frame).transpose(1, 2)


class Levels(NamedTuple):
    """Loudness in decibels between which speech starts and ends; see `levels`."""

    on: float
    off: float


class Gate(NamedTuple):
    """Where the gate stands between two chunks of sound."""

    speaking: bool = False
    quiet: int = 0
    """Rows of 10 ms below `off` so far."""
    opening: float = 0.0


START = Gate()
HOLD_ROWS = 15  # 150 ms below `off` before speech counts as over
ATTACK, RELEASE = 0.5, 0.3  # share of the way per frame; keeps short pauses open, as real mouths do
SILENCE_DB = -100.0


def loudness(waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " rows"]:
    """Decibels (0 = full scale) of every 10 ms, 4 rows a frame; the last frame is filled with silence."""
    rows = frames_in(len(waveform)) * ROWS_PER_FRAME
    step = HOP // ROWS_PER_FRAME
    power = np.zeros(rows)
    for start in range(0, rows, 6000):  # a minute at a time: hours stay cheap
        part = waveform[start * step : (start + 6000) * step].astype(np.float64)
        part = np.pad(part, (0, -len(part) % HOP)).reshape(-1, step)
        power[start : start + len(part)] = np.square(part).mean(1)
    return (10 * np.log10(power + 10 ** (SILENCE_DB / 10))).astype(np.float32)


def levels(decibels: Float[np.ndarray, " rows"]) -> Levels:
    """The thresholds of speech and silence, from the loudness of the sound itself (live: of what was heard so far)."""
    if len(decibels) == 0:
        return Levels(0.0, 0.0)
    quiet, loud = np.percentile(decibels, [5, 95])
    return Levels(float(max(loud - 30, quiet + 8)), float(max(loud - 36, quiet + 5)))


def activity_rows(
    decibels: Float[np.ndarray, " rows"], thresholds: Levels, state: Gate = START
) -> tuple[Bool[np.ndarray, " rows"], Gate]:
    """Speech or not for every row: on above `on`, off after 150 ms below `off`. State in, state out."""
    speaking, quiet = state.speaking, state.quiet
    active = np.zeros(len(decibels), bool)
    for row, level in enumerate(decibels.tolist()):
        quiet = quiet + 1 if level < thresholds.off else 0
        speaking = level > thresholds.on or (speaking and quiet < HOLD_ROWS)
        active[row] = speaking
    return active, Gate(speaking, quiet, state.opening)


def activity(waveform: Float[np.ndarray, " samples"]) -> Bool[np.ndarray, " time"]:
    """Whether somebody speaks, for every frame: in any of its rows."""
    decibels = loudness(waveform)
    return activity_rows(decibels, levels(decibels))[0].reshape(-1, ROWS_PER_FRAME).any(1)


def gate_step(
    decibels: Float[np.ndarray, " rows"], thresholds: Levels, state: Gate = START
) -> tuple[Float[np.ndarray, " time"], Gate]:
    """How far the mouth is free to move, 0 rest to 1 free, for every whole frame: activity with ATTACK and RELEASE.

    Thresholds and state are given, so that any chunking gives the same.
    """
    active, state = activity_rows(decibels, thresholds, state)
    opening = state.opening
    values = np.zeros(len(decibels) // ROWS_PER_FRAME, np.float32)
    for t, target in enumerate(active.reshape(-1, ROWS_PER_FRAME).any(1)):
        opening += (ATTACK if target else RELEASE) * (float(target) - opening)
        values[t] = opening
    return values, state._replace(opening=opening)
