"""New lips into the picture: where they go, in what colour, and what of the old picture stays.

The mask is what lies below the nose in the face as it was and in the face as it was made: a jaw that opens is not cut off.
Its edge is a ramp of finite width, so that whatever lies beyond is the old picture, exactly.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from likeness.dub.crop import Place, laid_back
from likeness.dubbing import Blend
from likeness.mesh import FACE_OVAL, NOSE_BASE, OUTER_LIPS

FACE_SIDES = (234, 454)  # the ends of the oval's width
LIPS_ROOM = 0.05  # face widths round the lips that are not skin: their shadow and liner
FEWEST = 0.01  # of the pixels: a smaller ring says nothing about colour
SPREAD = (0.8, 1.25)  # by how much contrast may be changed at most
COARSER = 4  # times fewer pixels to a side, where a slow change is worked out
SLOW = 0.12  # of the part's side: the reach of what counts as slow, a standard deviation
SURE = 0.1  # share of a place's surroundings that lie in the ring, at which half of the change is believed
SAME = 0.06
"""Difference of new and old crop, of full scale, at which the fine detail of the old picture has faded to 1/e. Noise of a
network on skin is below .03, moved lips and teeth differ by .15 and more."""
Crop = Float[np.ndarray, "size size 3"]
Part = Float[np.ndarray, "height width 3"]


def paste(
    image: UInt8[np.ndarray, "height width 3"],
    place: Place,
    crops: tuple[Crop, Crop],
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
    out, size = image.copy(), old.shape[0]
    alpha = mask(points, size, blend.feather)
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if len(rows) == 0:
        return out
    reach = (columns[0] / size, rows[0] / size, (columns[-1] + 1) / size, (rows[-1] + 1) / size)
    window = place.window(image.shape[1], image.shape[0], 2 + int(place.side / size), reach)  # bilinear: a pixel beyond
    left, top, right, bottom = window
    if right <= left or bottom <= top:
        return out
    here = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    fresh, goes = new.copy(), np.ones((size, size), np.float32)
    if blend.colour_match:
        fresh[here] = matched(new[here], old[here], skin_ring(points, size)[here])
    goes[here] -= likeness(fresh[here], old[here], size)
    # four channels at once: the difference, and how much of it; the old crop, and how much of its lost detail goes
    laid = laid_back(np.dstack([255 * (fresh - old), amount * alpha]), place, window, cv2.BORDER_REPLICATE)
    lost = laid_back(np.dstack([255 * old, goes]), place, window, cv2.BORDER_REPLICATE)
    before = image[top:bottom, left:right].astype(np.float32)
    detail = before - lost[..., :3]
    after = before + laid[..., 3:] * (laid[..., :3] - lost[..., 3:] * detail)
    out[top:bottom, left:right] = np.clip(np.rint(after), 0, 255).astype(np.uint8)
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


def matched(new: Part, old: Part, ring: Bool[np.ndarray, "height width"]) -> Part:
    """`new` with mean and spread of its colours in the ring brought to those of `old`, in CIE Lab (Reinhard et al. 2001), then
    with what of their difference changes slowly across the ring, as light from one side does."""
    if ring.mean() < FEWEST:
        return new
    lab_new, lab_old = (cv2.cvtColor(np.asarray(part, np.float32), cv2.COLOR_RGB2LAB) for part in (new, old))
    here, there = lab_new[ring], lab_old[ring]
    spread = np.clip((there.std(0) + 0.5) / (here.std(0) + 0.5), *SPREAD)
    lab = (lab_new - here.mean(0)) * spread + there.mean(0)
    lab += _slowly(lab_old - lab, ring)
    return np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB), 0, 1)


def _slowly(apart: Part, ring: Bool[np.ndarray, "height width"]) -> Part:
    """What changes slowly in a difference that is known in a ring, 0 far from it."""
    known = ring.astype(np.float32)[..., None]
    width, height = (max(1, side // COARSER) for side in ring.shape[::-1])
    small = cv2.resize(np.dstack([apart * known, known]), (width, height), interpolation=cv2.INTER_AREA)
    reach = SLOW * max(width, height)
    spread = cv2.GaussianBlur(small, (0, 0), reach, borderType=cv2.BORDER_CONSTANT)
    field = spread[..., :3] / (spread[..., 3:] + SURE)
    return cv2.resize(field, ring.shape[::-1], interpolation=cv2.INTER_LINEAR)


def likeness(new: Part, old: Part, size: int | None = None) -> Float[np.ndarray, "height width"]:
    """1 where the new crop looks like the old one, 0 where something else is there. size: of the whole crop, where these are
    parts of it."""
    reach = max(1, round((size or new.shape[0]) / 64)) * 2 + 1
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
