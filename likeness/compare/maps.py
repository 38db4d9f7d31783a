"""Where in the face a portrait is wrong: its mean error, seen in a crop in which the head stands still."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from likeness import mesh
from likeness.clip import Clip
from likeness.evaluate import metrics
from likeness.evaluate.rows import judged

SIDE = 240  # pixels of the crop
ROOM = 1.45  # of the crop to the height of the face: hair, ears and the neck's upper end are in it
HULLS = {
    "lips": (mesh.LIPS,),
    "eyes and brows": (mesh.RIGHT_EYE + mesh.RIGHT_BROW, mesh.LEFT_EYE + mesh.LEFT_BROW),
    "face": (mesh.FACE_OVAL,),
}
OUTLINES = (mesh.FACE_OVAL, mesh.OUTER_LIPS, mesh.RIGHT_EYE, mesh.LEFT_EYE)
Image = UInt8[np.ndarray, "height width 3"]
Points = Float[np.ndarray, "478 2"]


@dataclass(frozen=True)
class ErrorMap:
    """Mean absolute error over frames in grey levels of 255, mean of RGB."""

    values: Float[np.ndarray, "side side"]
    regions: dict[str, float]
    """Its mean in each of `regions`."""


def layout(clip: Clip) -> Points:
    """Where the landmarks of the mean face lie in the crop, pixels; the head is upright as it usually is in the clip."""
    mean = metrics.stabilised(clip.pixels[judged(clip)].double().numpy()).mean(0)
    oval = mean[list(mesh.FACE_OVAL)]
    low, high = oval.min(0), oval.max(0)
    side = ROOM * (high[1] - low[1])
    corner = (low + high) / 2 - side * np.array([0.5, 0.53])  # hair is higher than a chin is low
    return (mean - corner) * (SIDE / side)


def error_map(pictures: Iterable[Image], real: Iterable[Image], pixels: Iterable[Points], face: Points) -> ErrorMap:
    """Of drawn against real pictures; `pixels` are the real landmarks in theirs, `face` is `layout`'s.

    What lies outside a picture does not count.
    """
    total, count = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    for a, b, points in zip(pictures, real, pixels, strict=True):
        wrong = np.abs(a.astype(np.float32) - b.astype(np.float32)).mean(2)
        to_crop = alignment(points, face)
        total += cv2.warpAffine(wrong, to_crop, (SIDE, SIDE))
        count += cv2.warpAffine(np.ones_like(wrong), to_crop, (SIDE, SIDE))
    values = (total / np.maximum(count, 1e-6)).astype(np.float32)
    return ErrorMap(values, {name: float(values[mask & (count > 0)].mean()) for name, mask in regions(face).items()})


def alignment(points: Points, face: Points) -> Float[np.ndarray, "2 3"]:
    """The similarity that brings the skull's points of a picture to where they lie in the crop (Umeyama 1991, in the plane)."""
    a, b = points[list(mesh.SKULL)].astype(np.float64), face[list(mesh.SKULL)]
    za, zb = (a - a.mean(0)) @ [1, 1j], (b - b.mean(0)) @ [1, 1j]
    factor = (zb * za.conj()).sum() / (np.abs(za) ** 2).sum()
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.concatenate([turn, (b.mean(0) - turn @ a.mean(0))[:, None]], axis=1)


def regions(face: Points) -> dict[str, Bool[np.ndarray, "side side"]]:
    """Parts of the crop that do not overlap."""
    found = {name: np.logical_or.reduce([_hull(face, ring) for ring in rings]) for name, rings in HULLS.items()}
    inner = found["lips"] | found["eyes and brows"]
    return {
        "lips": found["lips"],
        "eyes and brows": found["eyes and brows"] & ~found["lips"],
        "rest of the face": found["face"] & ~inner,
        "around the face": ~(found["face"] | inner),
    }


def mean_face(pictures: Iterable[Image], pixels: Iterable[Points], face: Points) -> Image:
    """The mean of real pictures in the crop: what the maps are to be read by."""
    stack = [cv2.warpAffine(a, alignment(p, face), (SIDE, SIDE)).astype(np.float32) for a, p in zip(pictures, pixels)]
    return np.clip(np.mean(stack, axis=0) + 0.5, 0, 255).astype(np.uint8)


def heat(values: Float[np.ndarray, "height width"], top: float) -> Image:
    """Colours from black (no error) over red to yellow (`top` and more)."""
    levels = np.clip(values / top * 255 + 0.5, 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def outlined(image: Image, face: Points) -> Image:
    """With the outlines of face, lips and eyes."""
    drawn = image.copy()
    for ring in OUTLINES:
        points = np.round(face[list(ring)] * 16).astype(np.int32)[:, None]
        cv2.polylines(drawn, [points], True, (235, 235, 235), 1, cv2.LINE_AA, shift=4)
    return cv2.addWeighted(drawn, 0.55, image, 0.45, 0)


@cache
def scale() -> Image:
    """The colours of `heat` from none to `top`, a row."""
    return heat(np.linspace(0, 1, 256, dtype=np.float32)[None], 1.0)


def _hull(face: Points, ring: tuple[int, ...]) -> Bool[np.ndarray, "side side"]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    hull = cv2.convexHull(np.round(face[list(ring)]).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, (1,))
    return mask > 0
