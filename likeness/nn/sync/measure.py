"""Offset and synchrony of a whole clip, by the sync expert: how alike mouth and sound are at every shift.

The sign is that of `likeness.prepare.sound`: *lip time minus sound time, in frames*; negative: the lips are early. Moving the
sound by the offset (later when positive) puts it right. Zero is what the expert's corpus had for zero.

Not a measure of quality: lips that a smooth regressor draws reach more than real ones. It tells whether lips and sound
belong together, and how far they are apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from likeness.nn.sync.expert import Expert, heard, mouth_of
from likeness.nn.sync.judge import Judge

REACH = 15
"""Frames either way."""
FAR = 5
"""Frames from the best offset on which another one is a rival rather than its neighbour."""
SHORTEST = 75
"""Frames: from less (3 s) a right sound is too seldom told from a wrong one."""


@dataclass(frozen=True)
class Synchrony:
    """Where mouth and sound agree best."""

    frames: float
    """Lip time minus sound time, by fractions of a frame; negative when the lips are early."""
    confidence: float
    """Likeness at its peak less the median over all shifts."""
    margin: float
    """The peak less the best at least FAR frames away."""
    threshold: float
    """What `margin` has to reach in a clip of this length."""
    windows: int
    """Over how many it was measured."""
    curve: Float[np.ndarray, " shifts"]
    """Mean likeness at every shift from -REACH to REACH."""

    @property
    def clear(self) -> bool:
        """Whether the offset may be trusted; else: cannot tell."""
        return self.margin >= self.threshold and abs(self.frames) < REACH - 0.5

    def __str__(self) -> str:
        if not self.clear:
            return f"cannot tell (margin {self.margin:.2f}, needed {self.threshold:.2f})"
        return f"{self.frames:+.1f} frames, margin {self.margin:.2f}, confidence {self.confidence:.2f}"


def measure(
    expert: Expert,
    moves: Float[np.ndarray, "time points 3"],
    features: Mapping[str, Float[np.ndarray, "_ _"]],
    seen: Bool[np.ndarray, " time"] | None = None,
    breaks: Sequence[int] = (),
) -> Synchrony:
    """The synchrony of a clip.

    moves: displacement in centimetres, 20, 68 or 478 points. features: speech features by name, 100 rows a second, from
    frame 0 on, of any length. seen: frames in which moves are to be believed. breaks: first frames after a cut or jump.
    """
    return judged(expert, similarities(expert, moves, features, seen, breaks))


@torch.no_grad()
def similarities(
    expert: Expert,
    moves: Float[np.ndarray, "time points 3"],
    features: Mapping[str, Float[np.ndarray, "_ _"]],
    seen: Bool[np.ndarray, " time"] | None = None,
    breaks: Sequence[int] = (),
) -> Float[np.ndarray, "windows shifts"]:
    """Cosines of each window of frames that are all seen and without a break with the sound at every shift; NaN where there
    is no sound. Arguments as of `measure`."""
    mouth, sound = mouth_of(torch.as_tensor(np.asarray(moves, np.float32))), heard(features, expert.settings)
    size = expert.settings.frames
    if len(mouth) < size or len(sound) < size:
        return np.zeros((0, 2 * REACH + 1))
    rows = around(expert.lips(expert.windows(mouth)), expert.sound(expert.windows(sound).flatten(1, 2)))
    usable = np.ones(len(mouth), bool) if seen is None else np.asarray(seen, bool)
    whole = np.lib.stride_tricks.sliding_window_view(usable, size).all(1)
    for edge in breaks:
        whole[max(0, edge - size + 1) : max(0, edge)] = False
    return rows[whole]


def around(lips: Float[Tensor, "windows dim"], sound: Float[Tensor, "others dim"]) -> Float[np.ndarray, "windows shifts"]:
    """Cosine of lips t with sound t - k in column REACH + k: the lips are k frames after the sound that they fit."""
    rows = np.full((len(lips), 2 * REACH + 1), np.nan)
    for k in range(-REACH, REACH + 1):
        first, last = max(0, k), min(len(lips), len(sound) + k)
        if first < last:
            rows[first:last, REACH + k] = (lips[first:last] * sound[first - k : last - k]).sum(1).double().numpy()
    return rows


def judged(expert: Judge, rows: Float[np.ndarray, "windows shifts"]) -> Synchrony:
    """What `similarities` come to. Fewer than SHORTEST frames are never clear."""
    curve, windows = mean_curve(rows), len(rows)
    if windows + expert.frames - 1 < SHORTEST or not np.isfinite(curve).all():
        return Synchrony(0.0, 0.0, 0.0, np.inf, windows, np.nan_to_num(curve))
    threshold = expert.chance.get("margin", np.inf) / np.sqrt(windows)
    return Synchrony(peak(curve), confidence(curve), margin(curve), float(threshold), windows, curve)


def mean_curve(rows: Float[np.ndarray, "windows shifts"]) -> Float[np.ndarray, " shifts"]:
    """Mean likeness at every shift, over the windows that have a sound there; NaN where none has."""
    known = np.isfinite(rows)
    total = np.where(known, rows, 0.0).sum(0)
    return np.divide(total, known.sum(0), out=np.full(rows.shape[1], np.nan), where=known.any(0))


def peak(curve: Float[np.ndarray, " shifts"]) -> float:
    """Where a curve is highest, in frames, by a parabola through three values."""
    best = int(np.argmax(curve))
    fraction = 0.0
    if 0 < best < len(curve) - 1:
        before, at, after = curve[best - 1 : best + 2]
        if (bend := before - 2 * at + after) < 0:
            fraction = float((before - after) / (2 * bend))
    return best - REACH + fraction


def confidence(curve: Float[np.ndarray, " shifts"]) -> float:
    """The peak less the median."""
    return float(curve.max() - np.median(curve))


def margin(curve: Float[np.ndarray, " shifts"]) -> float:
    """The peak less the best value at least FAR frames away."""
    best = int(np.argmax(curve))
    return float(curve[best] - curve[np.abs(np.arange(len(curve)) - best) >= FAR].max())
