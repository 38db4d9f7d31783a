"""Shot cuts, small jumps and repeated pictures, found while the pictures stream by.

A cut shows as one picture difference that stands far above its neighbours. Over the 24 clips of `clips/` the real edits
stand 6.9 to 11 times above the third-largest difference within half a second, everything else (nods, gestures, blinks,
the pulse of key frames) at most 2.6 times. What the edit changes decides what it is: when at least SHARE of the
person's window changes visibly it is a cut and begins a scene; below, the head has only jumped a little, and tracking
and smoothing break there. A flash (a picture or three that return to what was before) is neither.

Slow dissolves are not found: there the differences do not stand out. Few talking-head videos have any.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

THUMB = 96  # pixels: small enough for noise and compression to average out, large enough to see a head move by 2 %
WINDOW = 12  # frames either side, half a second at 25 frames/s
STANDS_OUT = 4.5  # between 2.6 (largest innocent ratio measured) and 6.9 (smallest real edit)
STILL = 0.3  # grey levels added to the neighbourhood, so that a still picture does not make a blink an edit
FAINT = 2.0  # grey levels: no edit changes less than this on average
VISIBLE = 20.0  # grey levels: a thumbnail pixel that changes by more has visibly changed
SHARE = 0.19  # presenter.mp4: .23 and .26 at the cuts, .14 and .15 at the small jumps
FLASH = 3  # frames: longer than this, a different picture is a scene of its own
REPEATED = 0.12  # grey levels: repeats in re-encoded files differ by .01-.06, real neighbours by .3 and more
REPEATED_SHARE = 0.2  # of the usual difference near by: in a very still video small differences are not repeats


@dataclass
class Changes:
    """How much each picture differs from those before it. Feed pictures in order; holds a few numbers for each."""

    _past: deque[Float[np.ndarray, "n n 3"]] = field(default_factory=lambda: deque(maxlen=FLASH + 1))
    _differences: list[list[float]] = field(default_factory=list)
    _shares: list[float] = field(default_factory=list)

    def add(self, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """The next picture, any size (the same for all)."""
        thumb = cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA).astype(np.float32)
        row = [0.0] * (FLASH + 1)
        share = 0.0
        for lag, before in enumerate(reversed(self._past)):
            change = np.abs(thumb - before)
            row[lag] = float(change.mean())
            if lag == 0:
                share = float((change.mean(-1) > VISIBLE).mean())
        self._past.append(thumb)
        self._differences.append(row)
        self._shares.append(share)

    def __len__(self) -> int:
        return len(self._shares)

    def clear(self) -> None:
        """Forget what was measured: the next picture is the first."""
        self._past.clear()
        self._differences.clear()
        self._shares.clear()

    def jumped(self) -> bool:
        """Whether the last picture added looks like one after an edit, by the pictures before it alone."""
        steps = [row[0] for row in self._differences[-WINDOW - 1 :]]
        if len(steps) < 5 or steps[-1] < FAINT:
            return False
        return steps[-1] > STANDS_OUT * (sorted(steps[:-1])[-3] + STILL)

    @property
    def differences(self) -> Float[np.ndarray, "time lag"]:
        """Mean difference in grey levels from the picture 1, 2, ... frames earlier; 0 where there is none."""
        return np.array(self._differences, np.float32).reshape(-1, FLASH + 1)

    @property
    def shares(self) -> Float[np.ndarray, " time"]:
        """Share of the picture that visibly changed since the frame before."""
        return np.array(self._shares, np.float32)


@dataclass(frozen=True)
class Scenes:
    """What `find_scenes` found; all in frames."""

    scenes: list[tuple[int, int]]
    """[start, stop) between cuts, without gaps."""
    breaks: list[int]
    """First frames after small jumps inside scenes."""
    repeated: Bool[np.ndarray, " time"]
    """Pictures that repeat the one before."""


def find_scenes(differences: Float[np.ndarray, "time lag"], shares: Float[np.ndarray, " time"]) -> Scenes:
    """Scenes, breaks and repeats from what `Changes` measured."""
    step = differences[:, 0]
    edits = [t for t in range(1, len(step)) if _stands_out(step, t)]
    edits = _without_flashes(edits, differences)
    cuts = [t for t in edits if shares[t] >= SHARE]
    starts = [0, *cuts]
    stops = [*cuts, len(step)]
    return Scenes(
        scenes=list(zip(starts, stops, strict=True)) if len(step) else [],
        breaks=[t for t in edits if shares[t] < SHARE],
        repeated=find_repeats(step),
    )


def _stands_out(step: Float[np.ndarray, " time"], t: int) -> bool:
    if step[t] < FAINT:
        return False
    near = np.r_[step[max(1, t - WINDOW) : t], step[t + 1 : t + 1 + WINDOW]]
    # The third largest, because up to two other edits may lie within the window. Near the ends it is still the third.
    usual = np.sort(near)[-3] if len(near) >= 3 else step[t]
    return bool(step[t] > STANDS_OUT * (usual + STILL))


def _without_flashes(edits: list[int], differences: Float[np.ndarray, "time lag"]) -> list[int]:
    """Drop pairs of edits, at most FLASH frames apart, after which the picture is again what it was before."""
    kept: list[int] = []
    for t in edits:
        if kept and t - kept[-1] <= FLASH:
            start = kept[-1]
            back = differences[t, t - start]  # against the last picture before the flash
            if back < 0.4 * min(differences[start, 0], differences[t, 0]):
                kept.pop()
                continue
        kept.append(t)
    return kept


def find_repeats(step: Float[np.ndarray, " time"]) -> Bool[np.ndarray, " time"]:
    """Pictures that repeat the one before them, from the mean differences between neighbours (grey levels)."""
    repeated = np.zeros(len(step), bool)
    for t in range(1, len(step)):
        near = step[max(1, t - WINDOW) : t + 1 + WINDOW]
        # The upper quartile: where a fifth or more of all pictures repeat, the median is pulled down.
        repeated[t] = step[t] < REPEATED and step[t] < REPEATED_SHARE * np.quantile(near, 0.75)
    return repeated
