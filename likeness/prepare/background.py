"""The background plate: what is behind the person, without the person.

Median over frames of the pixels that parsing calls background, at a safe distance from the person (hair edges leak);
what is never seen is filled smoothly from its rim by pulling and pushing colours through a pyramid: `cv2.inpaint`
streaks over a hole as large as a person (and takes a second at 512²).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from likeness.clip import PARTS, Clip
from likeness.errors import BadInput

SAMPLES = 60  # frames looked at: 47 MB at 512²
MARGIN = 9 / 256  # how far from the person a pixel must be, as a share of the picture's side
LATEST = 6  # pictures at the end that say how the camera stands
MOVED = 2.5  # grey levels (root mean square at 128²) by which compression noise alone does not change a background
FEWEST = 3  # sightings of a pixel, below which its median is not believed


def make_background(
    clip: Clip, samples: int = SAMPLES, progress: Callable[[int], None] | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """Write background.png of a clip (frames and parts must be there) and return the plate.

    From the training frames of the longest scene only: other scenes may show another place, and held-out frames must
    not be looked at. Where the camera moves, one moment is sharper than the mean of all: the last that agrees with
    itself (`agreeing`) is taken, since what comes after a clip goes on from its end. `progress` is called with
    frames done.
    """
    frames = clip.train
    if len(frames) == 0:
        raise BadInput(f"{clip.folder}: no frame with a face in the longest scene, so there is no background to learn.")
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, min(samples, len(frames))).round().astype(int))]
    images, masks = [], []
    for t in chosen:
        images.append(clip.image(int(t)))
        masks.append(clip.parts(int(t)) == PARTS["background"])
        if progress:
            progress(1)
    kept = agreeing(images, masks)
    plate = plate_from(np.stack([images[i] for i in kept]), np.stack([masks[i] for i in kept]))
    cv2.imwrite(str(clip.folder / "background.png"), cv2.cvtColor(plate, cv2.COLOR_RGB2BGR))
    return plate


def agreeing(images: list[np.ndarray], masks: list[np.ndarray]) -> list[int]:
    """Indices of the pictures whose background is that of the last ones; all of them under a still camera."""
    kernel = np.ones((2 * max(1, round(MARGIN * 128)) + 1,) * 2)
    size = (128, 128)
    small = [cv2.resize(i, size, interpolation=cv2.INTER_AREA).astype(np.float32) for i in images]
    clear = [cv2.erode(cv2.resize(m.astype(np.uint8), size), kernel, borderValue=(1,)) > 0 for m in masks]
    last = min(LATEST, len(small))
    recent = np.where(np.stack(clear[-last:])[..., None], np.stack(small[-last:]), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pixels that are never clear
        model = np.nanmedian(recent, axis=0)
    known = np.isfinite(model[..., 0])
    away = []
    for picture, mask in zip(small, clear, strict=True):
        common = mask & known
        away.append(float(np.sqrt(((picture - model)[common] ** 2).mean())) if common.any() else 0.0)
    limit = max(MOVED, 2 * float(np.median(away[-last:])))
    return [i for i, a in enumerate(away) if a <= limit]


def plate_from(
    images: UInt8[np.ndarray, "frames height width 3"], background: Bool[np.ndarray, "frames height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """The plate from some frames and their background masks. Where nothing is background: mid grey."""
    count, height, width = background.shape
    side = 2 * max(1, round(MARGIN * max(height, width))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    # outside the picture counts as background, so that the erosion does not eat the picture's border
    clear = np.stack([cv2.erode(m.astype(np.uint8), kernel, borderValue=(1,)) for m in background]).astype(bool)
    plate = np.zeros((height, width, 3), np.float32)
    for y in range(0, height, 32):  # in strips: the median wants a float copy
        rows = images[:, y : y + 32].astype(np.float32)
        rows[~clear[:, y : y + 32]] = np.nan
        seen = clear[:, y : y + 32].any(0)
        strip = np.zeros((*seen.shape, 3), np.float32)
        strip[seen] = np.nanmedian(rows[:, seen], axis=0)
        plate[y : y + 32] = strip
    known = clear.sum(0) >= min(FEWEST, count)
    return np.clip(np.round(fill(plate, known)), 0, 255).astype(np.uint8)


def fill(
    picture: Float[np.ndarray, "height width channels"], known: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width channels"]:
    """Unknown pixels from the known ones, smoothly: pull colours down a pyramid, push them back up, soften the fill.

    Source: the pull-push algorithm of Gortler et al., The Lumigraph (1996), section 3.4. All unknown: 127.
    """
    if known.all():
        return picture.copy()
    if not known.any():
        return np.full_like(picture, 127)
    height, width = known.shape
    if min(height, width) <= 2:
        filled = picture.copy()
        filled[~known] = picture[known].mean(0)
        return filled
    weight = known.astype(np.float32)
    small = ((width + 1) // 2, (height + 1) // 2)
    low_weight = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)
    low = cv2.resize(picture * weight[..., None], small, interpolation=cv2.INTER_AREA)
    low = low.reshape(*low_weight.shape, -1) / np.maximum(low_weight, 1e-6)[..., None]
    up = cv2.resize(fill(low, low_weight > 0), (width, height), interpolation=cv2.INTER_LINEAR)
    soft = cv2.blur(up.reshape(picture.shape), (3, 3)).reshape(picture.shape)
    return np.where(known[..., None], picture, soft)
