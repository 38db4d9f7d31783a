"""Listening: a sound file as the features a portrait hears, its statistics, and when somebody speaks.

Memory does not grow with length: the sound is taken in pieces of ten minutes, and features wait in a temporary file.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likeness import audio, speech
from likeness.audio import HOP, RATE, ROWS_PER_FRAME, Hearing
from likeness.errors import BadInput
from likeness.video import FPS

PIECE_FRAMES = round(600 * FPS)
PIECE_ROWS = PIECE_FRAMES * ROWS_PER_FRAME
USUAL = 500  # frames
CONTEXT_FRAMES = round(FPS)  # a second on both sides of a piece


class Listening:
    """What a portrait of a given hearing hears in a sound file. Raises BadInput when the file holds no sound."""

    def __init__(self, hearing: Hearing, sound: str | os.PathLike) -> None:
        self.hearing = hearing
        self._folder = tempfile.TemporaryDirectory(prefix="likeness-")
        path = Path(self._folder.name) / "features.f32"
        decibels, statistics, rows, dim, samples = [], None, 0, 0, 0
        with open(path, "wb") as file:
            for piece, first, last in _pieces(sound):
                found = [speech.extract(name, piece)[4 * first : 4 * last] for name in hearing.features]
                features = np.concatenate(found, axis=1)
                file.write(features.tobytes())
                heard = torch.from_numpy(features)
                statistics = speech.Statistics.of(heard) if statistics is None else statistics.heard(heard)
                decibels.append(audio.loudness(piece)[4 * first : 4 * last])
                rows, dim = rows + len(features), features.shape[1]
                samples += min(len(piece), last * HOP) - first * HOP
        if statistics is None:
            raise BadInput(f"{sound}: its sound is empty.")
        self._features = np.memmap(path, np.float32, "r", shape=(rows, dim))
        self.seconds: float = samples / RATE
        self.mean, self.std = statistics.mean, statistics.std
        loudness = np.concatenate(decibels)
        levels = audio.levels(loudness)
        self.activity: Float[Tensor, " time"] = torch.from_numpy(audio.gate_step(loudness, levels)[0])
        self._active = audio.activity_rows(loudness, levels)[0]

    @cached_property
    def spoken_mean(self) -> Float[Tensor, " dim"]:
        """Mean over the rows in which somebody speaks, of all where nobody does: what a voice is like, whatever its pauses."""
        active, total = self._active if self._active.any() else np.ones_like(self._active), np.zeros(self._features.shape[1])
        for start in range(0, len(active), PIECE_ROWS):
            rows = slice(start, start + PIECE_ROWS)
            total += self._features[rows][active[rows]].sum(0, dtype=np.float64)
        return torch.from_numpy(total / active.sum()).float()

    @cached_property
    def usual(self) -> Float[Tensor, "n rows dim"]:
        """Windows of frames in which somebody speaks, spread over the whole sound, `USUAL` at most: what is usual in it."""
        rows = self.hearing.rows_per_frame
        spoken = np.flatnonzero(self._active.reshape(-1, ROWS_PER_FRAME).any(1))
        chosen = np.linspace(0, len(spoken) - 1, min(USUAL, len(spoken))).round().astype(int)
        return self.windows(rows * spoken[chosen])

    @property
    def frames(self) -> int:
        """Video frames that the sound fills."""
        return len(self._features) // self.hearing.rows_per_frame

    def stretch(self, start: int, stop: int) -> Float[Tensor, "rows dim"]:
        """Past rows, the rows of frames start .. stop-1, future rows; the ends are repeated beyond the sound."""
        rows = self.hearing.rows_per_frame
        first, last = max(0, start - self.hearing.past), min(self.frames, stop + self.hearing.future)
        near = torch.from_numpy(np.array(self._features[first * rows : last * rows]))
        return self.hearing.window(near, start - first, stop - first)

    def windows(self, begins: Int[np.ndarray, " n"]) -> Float[Tensor, "n rows dim"]:
        """One window for each frame that begins at these rows, for videos that have not 25 frames a second; a frame of theirs
        counts as a 25th of a second too. The ends are repeated beyond the sound."""
        first = begins[:, None] - self.hearing.past * self.hearing.rows_per_frame
        rows = np.clip(first + np.arange(self.hearing.rows), 0, len(self._features) - 1)
        return torch.from_numpy(np.array(self._features[rows]))


def _pieces(sound: str | os.PathLike) -> Iterator[tuple[Float[np.ndarray, " samples"], int, int]]:
    """Pieces of the waveform with context, and which of their frames (first, last) belong to the piece."""
    held, before, ended = np.zeros(0, np.float32), 0, False
    blocks = audio.stream(sound, RATE)
    while not ended:
        wanted = (before + PIECE_FRAMES + CONTEXT_FRAMES) * HOP
        parts = [held]
        size = len(held)
        while size < wanted:
            block = next(blocks, None)
            if block is None:
                ended = True
                break
            parts.append(block)
            size += len(block)
        held = np.concatenate(parts)
        last = audio.frames_in(len(held)) if ended else before + PIECE_FRAMES
        if last > before:
            piece = held if ended else held[:wanted]
            yield piece, before, last
        held = held[max(0, last - CONTEXT_FRAMES) * HOP :]
        before = min(last, CONTEXT_FRAMES)
