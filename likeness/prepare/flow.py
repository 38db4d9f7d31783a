"""How points of the skin move from frame to frame: sparse Lucas-Kanade optical flow on the rigid parts of the face.

Landmark errors move the whole face together and last for many frames; the picture itself says far better how the head
moved since the last frame. (Lucas and Kanade 1981, pyramidal as in Bouguet 2001; corners by Shi and Tomasi 1994.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from likeness.mesh import FACE_OVAL, LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE

ImageAt = Callable[[int], UInt8[np.ndarray, "height width 3"]]

GAPS = {1: 1, 10: 5, 25: 5}
"""Gap in frames -> every how many frames. The long gaps stop drift: on three clips they cut the error over a second by
12-30 %."""
CORNERS = 90  # a frame; more did not make the held-out error smaller
FACE_PX = 220.0  # faces wider than this are looked at in a smaller picture: time stays flat with the picture's size
ROUND_TRIP_PX = 0.35  # forwards and backwards must end where they began, in pixels of that picture
CHEEK_LEFT, CHEEK_RIGHT = (352, 346, 347, 330, 371, 358), (129, 142, 101, 118, 117, 123)
UPPER_FACE = (*FACE_OVAL[28:], *FACE_OVAL[:9])  # the oval from ear to ear over the forehead


@dataclass(frozen=True)
class Flow:
    """Points seen in frame `first` and in frame `first + gap`; all pairs of a clip in one list."""

    first: Int[np.ndarray, " n"]
    gap: Int[np.ndarray, " n"]
    before: Float[np.ndarray, "n 2"]
    after: Float[np.ndarray, "n 2"]

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: Bool[np.ndarray, " n"] | np.ndarray) -> Flow:
        return Flow(self.first[index], self.gap[index], self.before[index], self.after[index])


def follow(
    pixels: Float[np.ndarray, "t 478 2"],
    pairs: Iterable[tuple[int, int]],
    image_at: ImageAt,
) -> Flow:
    """The flow of every pair (t, t + gap), in pixels of the picture.

    Both frames of a pair have landmarks. `image_at` is asked for each frame once, in order; grey pictures are kept only
    as long as the largest gap.
    """
    pairs = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    reach = max((second - first for first, second in pairs), default=0)
    wanted = sorted({t for pair in pairs for t in pair})
    gray: dict[int, tuple[np.ndarray, float]] = {}
    corners: dict[int, np.ndarray] = {}
    found: list[tuple[int, int, np.ndarray, np.ndarray]] = []
    upcoming = iter(wanted)
    for first, second in pairs:
        while second not in gray:
            t = next(upcoming)
            gray[t] = to_gray(image_at(t), pixels[t])
            for old in [old for old in gray if old < t - reach]:
                del gray[old]
                corners.pop(old, None)
        scale = gray[first][1]
        if gray[first][0].shape != gray[second][0].shape:
            continue  # the face changed its size by much: nothing to follow
        if first not in corners:
            corners[first] = corners_in(gray[first][0], pixels[first] * scale)
        start = corners[first]
        if len(start) < 4:
            continue
        guess = (start + np.median(pixels[second] - pixels[first], axis=0) * scale).astype(np.float32)
        before, after, _ = step(gray[first][0], gray[second][0], start, guess)
        # OpenCV counts from the middle of the first pixel, we from its corner
        found.append((first, second - first, (before + 0.5) / scale, (after + 0.5) / scale))
    if not found:
        return Flow(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, 2)))
    count = [len(f[2]) for f in found]
    return Flow(
        np.repeat([f[0] for f in found], count),
        np.repeat([f[1] for f in found], count),
        np.concatenate([f[2] for f in found]),
        np.concatenate([f[3] for f in found]),
    )


def to_gray(image: UInt8[np.ndarray, "height width 3"], pixels: Float[np.ndarray, "478 2"]) -> tuple[np.ndarray, float]:
    """The picture in grey, reduced by a power of two until the face is about FACE_PX wide, and the factor."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = 1.0
    while np.ptp(pixels[:, 0]) * scale > 1.5 * FACE_PX:
        gray = cv2.resize(gray, (gray.shape[1] // 2, gray.shape[0] // 2), interpolation=cv2.INTER_AREA)
        scale /= 2
    return gray, scale


def corners_in(gray: UInt8[np.ndarray, "height width"], pixels: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "n 2"]:
    """Points worth following on forehead, nose and upper cheeks; eyes and brows move by themselves."""
    low = np.maximum(np.floor(pixels.min(0)).astype(int) - 8, 0)
    high = np.ceil(pixels.max(0)).astype(int) + 8
    window = np.ascontiguousarray(gray[low[1] : high[1], low[0] : high[0]])
    if window.shape[0] < 24 or window.shape[1] < 24:
        return np.zeros((0, 2), np.float32)
    mask = np.zeros_like(window)
    places = np.round(pixels - low).astype(np.int32)
    around = [*UPPER_FACE, *CHEEK_LEFT, 2, *CHEEK_RIGHT]
    cv2.fillPoly(mask, [places[around]], (255,))
    distance = max(3.0, np.ptp(pixels[:, 0]) / 32)
    for ring in (RIGHT_EYE + RIGHT_BROW, LEFT_EYE + LEFT_BROW):  # with the upper lid between them
        hull = cv2.convexHull(places[list(ring)])
        cv2.fillConvexPoly(mask, hull, (0,))
        cv2.polylines(mask, [hull], True, (0,), 2 * int(distance / 3) + 1)
    corners = cv2.goodFeaturesToTrack(window, CORNERS, 0.01, distance, mask=mask, blockSize=5)
    if corners is None:
        return np.zeros((0, 2), np.float32)
    return (corners[:, 0] + low).astype(np.float32)


def step(a: np.ndarray, b: np.ndarray, start: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Follow points from picture a to b and back: those that return, where they went, and which they are."""
    after, ok, _ = _track(a, b, start, guess)
    back, ok_back, _ = _track(b, a, after[:, 0], start)
    good = (ok[:, 0] > 0) & (ok_back[:, 0] > 0) & (np.linalg.norm(back[:, 0] - start, axis=1) < ROUND_TRIP_PX)
    return start[good], after[good, 0], good


def _track(a: np.ndarray, b: np.ndarray, start: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pyramidal Lucas-Kanade from a first guess."""
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.01)
    return cv2.calcOpticalFlowPyrLK(
        a,
        b,
        start[:, None],
        guess[:, None].copy(),
        winSize=(15, 15),
        maxLevel=2,
        criteria=stop,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        minEigThreshold=1e-4,
    )
