"""New lips into the picture: where they go, in what colour, and what of the old picture stays.

The mask is what lies below the nose in the face as it was and in the face as it was made: a jaw that opens is not cut off.
Its edge is a ramp of finite width, so that whatever lies beyond is the old picture, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from likeness.dub.crop import Place, laid_back
from likeness.mesh import FACE_OVAL, NOSE_BASE, OUTER_LIPS

FACE_SIDES = (234, 454)  # the ends of the oval's width
LIPS_ROOM = 0.05  # face widths round the lips that are not skin: their shadow and liner
FEWEST = 0.01  # of the crop's pixels: a smaller ring says nothing about colour
SPREAD = (0.8, 1.25)  # by how much contrast may be changed at most
SAME = 0.06
"""Difference of new and old crop, of full scale, at which the fine detail of the old picture has faded to 1/e. Noise of a
network on skin is below .03, moved lips and teeth differ by .15 and more."""
Part = Float[np.ndarray, "size size 3"]


@dataclass(frozen=True)
class Blend:
    """How new faces are put into the old picture."""

    feather: float = 0.08
    """Width of the mask's edge, in widths of the face."""
    colour_match: bool = True
    """Bring the new skin to the old one's colour, by a ring round the lips."""


def paste(
    image: UInt8[np.ndarray, "height width 3"],
    place: Place,
    crops: tuple[Part, Part],
    points: tuple[Float[np.ndarray, "478 2"], Float[np.ndarray, "478 2"]],
    blend: Blend = Blend(),
    amount: float = 1.0,
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture with a new lower face; `image` is left alone, and the same where the mask is 0.

    crops: what was cut out at `place`, and what was made of it, RGB 0 .. 1. points: the face mesh in both, in pixels of the
    crop. Detail of the picture that the crop is too small to hold stays wherever the new crop looks like the old one: the
    identity changes nothing at any size. amount: 0 .. 1, how much of the new face is shown.
    """
    old, new = crops
    size = old.shape[0]
    left, top, right, bottom = window = place.window(image.shape[1], image.shape[0])
    if right <= left or bottom <= top:
        return image.copy()
    if blend.colour_match:
        new = matched(new, old, skin_ring(points, size))
    alpha = laid_back(mask(points, size, blend.feather), place, window, cv2.BORDER_CONSTANT)[..., None]
    before = image[top:bottom, left:right].astype(np.float32) / 255
    detail = before - laid_back(old, place, window, cv2.BORDER_REPLICATE)
    stays = laid_back(likeness(new, old), place, window, cv2.BORDER_REPLICATE)[..., None]
    after = laid_back(new, place, window, cv2.BORDER_REPLICATE) + stays * detail
    mixed = np.clip(before + amount * alpha * (after - before), 0, 1)
    out = image.copy()
    out[top:bottom, left:right] = np.where(alpha > 0, np.round(255 * mixed), out[top:bottom, left:right]).astype(np.uint8)
    return out


def mask(
    points: tuple[Float[np.ndarray, "478 2"], Float[np.ndarray, "478 2"]], size: int, feather: float
) -> Float[np.ndarray, "size size"]:
    """How much of the new crop is taken: 1 in the lower face of either, falling to 0 across its outline and to 0 at the
    crop's own edge. The upper end is the old nose's base, since noses do not move."""
    inside = np.zeros((size, size), np.uint8)
    for face in points:
        _fill(inside, face[list(FACE_OVAL)])
    inside[: max(0, round(float(points[0][NOSE_BASE, 1])))] = 0
    width = max(2.0, feather * face_width(points[0]))
    signed = _depth(inside) - _depth(1 - inside)
    index = np.arange(size, dtype=np.float32)
    edge = np.minimum(index, size - 1 - index)
    return _smooth_step(signed / width + 0.5) * _smooth_step(np.minimum(edge[:, None], edge) / width)


def skin_ring(
    points: tuple[Float[np.ndarray, "478 2"], Float[np.ndarray, "478 2"]], size: int
) -> Bool[np.ndarray, "size size"]:
    """Skin below the nose that is in both faces, outside the lips of either."""
    width = face_width(points[0])
    both, lips = np.ones((size, size), np.uint8), np.zeros((size, size), np.uint8)
    for face in points:
        one = np.zeros((size, size), np.uint8)
        _fill(one, face[list(FACE_OVAL)])
        both &= one
        _fill(lips, face[list(OUTER_LIPS)])
    both[: max(0, round(float(points[0][NOSE_BASE, 1])))] = 0
    return (_depth(both) > LIPS_ROOM * width) & (_depth(1 - lips) > LIPS_ROOM * width)


def matched(new: Part, old: Part, ring: Bool[np.ndarray, "size size"]) -> Part:
    """`new` with mean and spread of its colours in the ring brought to those of `old`, in CIE Lab (Reinhard et al. 2001)."""
    if ring.mean() < FEWEST:
        return new
    lab_new, lab_old = (cv2.cvtColor(np.asarray(part, np.float32), cv2.COLOR_RGB2LAB) for part in (new, old))
    here, there = lab_new[ring], lab_old[ring]
    spread = np.clip((there.std(0) + 0.5) / (here.std(0) + 0.5), *SPREAD)
    lab = (lab_new - here.mean(0)) * spread + there.mean(0)
    return np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB), 0, 1)


def likeness(new: Part, old: Part) -> Float[np.ndarray, "size size"]:
    """1 where the new crop looks like the old one, 0 where something else is there."""
    reach = max(1, round(new.shape[0] / 64)) * 2 + 1
    apart = cv2.GaussianBlur(np.abs(new - old).max(-1), (reach, reach), 0)
    return np.exp(-np.square(apart / SAME))


def face_width(points: Float[np.ndarray, "478 2"]) -> float:
    """Distance of the outline's sides, in the points' unit."""
    return float(np.linalg.norm(points[FACE_SIDES[0]] - points[FACE_SIDES[1]]))


def _smooth_step(t: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _depth(inside: UInt8[np.ndarray, "size size"]) -> Float[np.ndarray, "size size"]:
    """Distance of every pixel inside to the outside."""
    if inside.all():
        return np.full(inside.shape, np.float32(sum(inside.shape)))
    return cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _fill(picture: UInt8[np.ndarray, "size size"], polygon: Float[np.ndarray, "n 2"]) -> None:
    cv2.fillPoly(picture, [np.round((polygon - 0.5) * 16).astype(np.int32)], (1,), shift=4)
