"""One video becomes samples of a corpus: the steps of `prepare` that need no picture kept.

A video is read once, in parts of about two minutes: memory does not grow with its length. Each part has its own fit of
landmarks, its own mean face and its own check of lips against sound; stretches of it in which the face is seen in every
frame, not in profile and without a cut, become samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from likeness import audio, pitch, speech
from likeness.displacement import displacement, pick_68
from likeness.phones import CHUNK_S
from likeness.prepare import first_camera
from likeness.prepare.expression import head_turns
from likeness.prepare.pictures import faces
from likeness.prepare.scenes import Changes, find_scenes
from likeness.prepare.sound import CHANCE, ROWS, Offset, late_rows, lip_offset, lip_opening
from likeness.prepare.survey import sound_of, survey
from likeness.prepare.tracking import FEWEST, cut, track_landmarks
from likeness.video import FPS, Reader

SHORTEST, LONGEST = 32, 500
"""Frames of a sample: 1.28 s, as GeneFace has it, and 20 s."""
PART_S = float(CHUNK_S)  # of a video at a time: what phones are normalised over
WINDOW = (192, 448)  # pixels: the mesh looks at 192² of the face, a larger picture is no gain
LONG = 400  # frames with a face: so many lips in step always rise above chance; of sound that is not theirs one in 20 does
PROFILE = math.radians(50)  # of yaw or pitch: beyond, half of the face is the mesh's guess
RECIPES = {
    "landmarks": "mediapipe 0.10.21 face mesh, bundle adjustment by landmarks alone, parts of 2 min; 1",
    "shape": "robust mean laid onto the skull, outer eye corners 8.9 cm apart, person's mean over samples by length; 1",
    "mel": speech.recipe_id("mel"),
    "phones": speech.recipe_id("phones"),
    "f0": pitch.RECIPE,
    "sync": "expected opening of phones against lips, +-15 frames, moved where clear and above half a frame; 1",
}
"""How everything in a corpus was made: samples made in another way do not go into the same."""


@dataclass(frozen=True)
class Take:
    """A stretch of a video."""

    start: int
    """Frame of the video, at 25 a second."""
    arrays: dict[str, np.ndarray]
    offset: Offset

    def __len__(self) -> int:
        return len(self.arrays["moves"])


def takes(video: Path, points: int, notes: list[str]) -> Iterator[Take]:
    """The samples of a video, in order; `notes` is told, once all are through, what was left out and why.

    Raises BadInput for a video of which nothing can be used.
    """
    sound = sound_of(video)
    found = survey(video, None, sound, lambda _: None, SHORTEST / FPS)
    notes += found["warnings"]
    heard = _Heard(sound or video)
    size = min(max(found["crop"][2], WINDOW[0]), WINDOW[1]) // 2 * 2
    reader = Reader(video, FPS, found["made_fps"])
    length = found["duration_s"] * FPS
    part = math.ceil(length / math.ceil(length / (PART_S * FPS))) if length else round(PART_S * FPS)
    for start, pixels, changes in _parts(reader, found, size, part):
        waveform = heard.take(start * audio.HOP, (start + len(pixels)) * audio.HOP)
        yield from _part(start, pixels, changes, waveform, found, size, points, notes)
    notes += reader.problems


class _Heard:
    """A sound read block by block; stretches of it are asked for in order."""

    def __init__(self, path: Path) -> None:
        self._blocks = audio.stream(path)
        self._held = np.zeros(0, np.float32)
        self._start = 0

    def take(self, start: int, stop: int) -> Float[np.ndarray, " samples"]:
        """Samples start .. stop-1 at 16 kHz, fewer where the sound ends."""
        while self._start + len(self._held) < stop and (block := next(self._blocks, None)) is not None:
            self._held = np.concatenate([self._held, block])
        taken = self._held[start - self._start : stop - self._start]
        self._held, self._start = self._held[stop - self._start :], min(stop, self._start + len(self._held))
        return taken


def _parts(
    reader: Reader, found: dict[str, Any], size: int, part: int
) -> Iterator[tuple[int, Float[np.ndarray, "t 478 2"], Changes]]:
    """(first frame, landmarks with NaN where no face is seen, how much the pictures change) of every `part` frames."""
    changes, held, start = Changes(), [], 0
    for _, _, points in faces(reader, found, size, changes):
        held.append(np.full((478, 2), np.nan, np.float32) if points is None else points)
        if len(held) == part:
            yield start, np.stack(held), changes
            start += part
            held.clear()
            changes.clear()
    if held:
        yield start, np.stack(held), changes


def _part(
    start: int,
    pixels: Float[np.ndarray, "t 478 2"],
    changes: Changes,
    waveform: Float[np.ndarray, " samples"],
    found: dict[str, Any],
    size: int,
    points: int,
    notes: list[str],
) -> Iterator[Take]:
    """The samples of one part; why there are none goes to `notes`."""
    where = f"{start / FPS:.1f}-{(start + len(pixels)) / FPS:.1f} s"
    seen = np.isfinite(pixels).all((1, 2))
    if seen.sum() < max(SHORTEST, FEWEST):
        notes.append(f"{where}: a face is seen for {seen.sum() / FPS:.1f} s only")
        return
    if len(waveform) < SHORTEST * audio.HOP:
        notes.append(f"{where}: the sound has ended")
        return
    edits = find_scenes(changes.differences, changes.shares)
    pieces = cut(len(pixels), edits.scenes, edits.breaks)
    focal, centre = first_camera(found, size)
    motion = track_landmarks(pixels, seen, (size, size), focal, centre, pieces)
    landmarks, pose = motion.landmarks.numpy(), motion.pose.numpy()
    features = {name: speech.extract(name, waveform) for name in ("mel", "phones")}
    features["f0"] = pitch.f0(np.pad(waveform, (0, -len(waveform) % audio.HOP)))
    offset = lip_offset(features["phones"], lip_opening(landmarks), seen)
    if seen.sum() >= LONG and offset.margin < CHANCE / np.sqrt(seen.sum()):
        notes.append(f"{where}: the lips do not follow the sound (margin {offset.margin:.2f}): another voice, or music")
        return
    late = late_rows(offset.frames, offset.clear)
    usable = seen & (np.abs(head_turns(pose)[:, :2]) < PROFILE).all(1)
    usable &= _has_rows(len(usable), len(features["f0"]), late)
    stretches = list(_stretches(usable, pieces))
    if not stretches:
        notes.append(f"{where}: no {SHORTEST / FPS} s in which one face is seen, roughly from the front, with sound and no cut")
        return
    chosen = np.concatenate([np.arange(*stretch) for stretch in stretches])
    face = displacement(landmarks[chosen])
    shape, moves = face.shape, np.zeros(landmarks.shape, np.float32)
    moves[chosen] = face.moves
    if points == 68:
        shape, moves = pick_68(shape), pick_68(moves)
    for first, last in stretches:
        rows = slice(ROWS * first - late, ROWS * last - late)
        arrays = {"moves": moves[first:last].astype(np.float16), "shape": shape, "pose": pose[first:last]}
        arrays |= {"eyes": motion.eyes[first:last].numpy().astype(np.float16), "f0": features["f0"][rows]}
        arrays |= {name: features[name][rows].astype(np.float16) for name in ("mel", "phones")}
        yield Take(start + first, arrays, offset)


def _has_rows(frames: int, rows: int, late: int) -> Bool[np.ndarray, " frames"]:
    """Frames for which there is sound once it is moved by `late` rows."""
    first = ROWS * np.arange(frames) - late
    return (first >= 0) & (first + ROWS <= rows)


def _stretches(usable: Bool[np.ndarray, " t"], pieces: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Runs of usable frames within a piece, [start, stop), in equal parts no longer than LONGEST."""
    for start, stop in pieces:
        edges = np.flatnonzero(np.diff(np.r_[False, usable[start:stop], False].astype(np.int8))) + start
        for first, last in edges.reshape(-1, 2).tolist():
            count = math.ceil((last - first) / LONGEST)
            bounds = [first + round((last - first) * i / count) for i in range(count + 1)]
            yield from ((a, b) for a, b in pairwise(bounds) if b - a >= SHORTEST)
