"""Lips against sound by a sync expert on landmarks that the user has made (`likeness.nn.sync`), without any download.

The landmarks of the drawn frames are tracked as a video's are, so that what the expert sees is what it learned from: the
mouth's displacement from the mean face of these frames. It is no measure of quality: lips that a smooth regressor moves reach
more than real ones. It tells lips that belong to their sound from those that do not, and how far they are off.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from likeness.audio import ROWS_PER_FRAME
from likeness.camera import Camera
from likeness.displacement import displacement
from likeness.evaluate.detection import Landmarks
from likeness.evaluate.intervals import Sample
from likeness.evaluate.metrics import RECIPES
from likeness.evaluate.sound import Sound
from likeness.nn.sync.expert import Expert
from likeness.nn.sync.measure import SHORTEST, confidence, judged, mean_curve, peak, similarities
from likeness.prepare.tracking import track_landmarks

NAME = "lip_sync"


def likenesses(
    expert: Expert, landmarks: Landmarks, camera: Camera, sound: Sound, start: int, stop: int
) -> Float[np.ndarray, "windows 31"]:
    """How alike each window of neighbouring pictures is to its sound, at every shift; see `nn.sync.measure.similarities`.

    The pictures show the sound's frames start .. stop-1, seen by a camera like `camera`.
    """
    found = landmarks.found
    pixels = np.asarray(landmarks.pixels, np.float32)
    motion = track_landmarks(pixels, found, camera.size, camera.focal, camera.centre, [(0, len(found))])
    moves = np.zeros((len(found), pixels.shape[1], 3), np.float32)
    moves[found] = displacement(motion.landmarks.numpy()[found]).moves
    first, features = sound.features(expert.settings.features, start, stop)
    heard = {name: rows[(start - first) * ROWS_PER_FRAME :] for name, rows in features.items()}
    return similarities(expert, moves, heard, found)


def lip_sync(expert: Expert, rows: Float[np.ndarray, "windows 31"]) -> dict[str, Sample]:
    """Confidence, and the offset where it is clear."""
    found = {"lip_sync": Sample(rows, lambda r: confidence(mean_curve(r)))}
    if judged(expert, rows).clear:
        found["lip_sync_offset"] = Sample(rows, lambda r: peak(mean_curve(r)))
    return found


def recipe(expert: Expert | None) -> dict[str, str]:
    """The recipe with the expert's own id: figures of two experts never belong in one table."""
    return {} if expert is None else {"lip sync": f"{RECIPES['lip sync']} by {expert.id}"}


def too_short(frames: int) -> str:
    """Why so few frames are not judged."""
    return f"lip_sync needs {SHORTEST} frames (3 s) without a gap; the longest run measured has {frames}."
