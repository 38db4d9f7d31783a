"""From a clip to the torso's canonical texture and its control points in every frame looked at.

The canvas has its axes along the picture of one reference frame and reaches PAD pixels (of a TRACK² picture) farther on
every side. Frames are aligned twice: to the reference frame, then to the median of what that gave.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from likeness.clip import HEAD, PARTS, Clip
from likeness.errors import BadInput
from likeness.kernels.compiled import compiled
from likeness.nn.alignment import Aligner, Grid, sample

TRACK = 256  # alignment happens at this size whatever the portrait's; subpixel, so nothing is gained at 512
PAD = 40  # canvas pixels beyond the picture
STEP = 42.0  # between control points: a collar moves against a shoulder, a fold may not
LOOKS = 380  # frames aligned at most
BLENDED = 60  # frames whose middle colours make the texture
RARE = 0.1  # of the looks: colours that fewer show, since the head hides them in the others, are not taken
NECK = 14  # canvas pixels that the neck goes on behind the head
WIDE = TRACK + 2 * PAD
CLOTHES = (PARTS["torso"], PARTS["neck"])
HIDDEN, OUTSIDE = 101, 102  # beside 0..100 per cent cloth: behind the head, not in the picture


@dataclass(frozen=True)
class Aligned:
    """How the torso sits in some frames of a clip."""

    frames: np.ndarray
    warps: Float[np.ndarray, "frames rows columns 2"]
    misfit: Float[np.ndarray, " frames"]
    """Root mean square grey difference to the template; high where a frame is blurred or covered."""
    grid: Grid


def align(clip: Clip, frames: np.ndarray) -> Aligned:
    """Control points in up to LOOKS of `frames`. Raises BadInput where there is no torso."""
    frames = frames[:: -(-len(frames) // LOOKS)]
    looks = [_look(clip, int(t)) for t in frames]
    origin = clip.motion.pose[torch.from_numpy(frames), :3, 3]
    middle = int((origin - origin.median(0).values).norm(dim=1).argmin())
    grey, free, worn = looks[middle]
    mask = _padded(cv2.dilate(worn, np.ones((7, 7))) * free)
    if worn.sum() < 0.005 * TRACK**2:
        raise BadInput(f"{clip.folder}: no torso below the head in frame {frames[middle]}. Prepare with a wider crop.")
    grid = _grid(mask)
    warps = np.empty((len(frames), *grid.shape, 2), np.float32)
    warps[:] = -PAD
    aligner = Aligner(_padded(grey), mask, grid)
    for order in (range(middle, len(frames)), range(middle, -1, -1)):
        warp = warps[middle]
        for i in order:  # outwards, each from its neighbour
            warps[i] = warp = aligner(looks[i][0], looks[i][1], warp, steps=6)
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), 40)).round().astype(int)
    template, mask = _template([looks[i] for i in chosen], warps[chosen], grid)
    aligner = Aligner(template, mask, grid)
    misfit = np.empty(len(frames), np.float32)
    for i, (grey, free, _) in enumerate(looks):
        warps[i] = aligner(grey, free, warps[i])
        misfit[i] = _misfit(template, mask, grey, free, grid.dense(warps[i], WIDE, WIDE))
    return Aligned(frames, warps, misfit, grid)


def make_texture(clip: Clip, aligned: Aligned, size: int) -> UInt8[np.ndarray, "h w 4"]:
    """The texture for a picture of `size`², straight RGBA; its first row is canvas row `first_row(grid)`."""
    scale, first = size / TRACK, first_row(aligned.grid)
    height, width = round((WIDE - first) * scale), round(WIDE * scale)
    groups = np.array_split(np.arange(len(aligned.frames)), min(BLENDED, len(aligned.frames)))
    chosen = [g[aligned.misfit[g].argmin()] for g in groups]  # the best fitting, so the sharpest, of each while
    colours = np.zeros((len(chosen), height, width, 3), np.uint8)
    cloth = np.full((len(chosen), height, width), HIDDEN, np.uint8)
    x, y = np.meshgrid((np.arange(width) + 0.5) / scale - 0.5, (np.arange(height) + 0.5) / scale - 0.5 + first)
    for n, i in enumerate(chosen):
        picture, parts = clip.image(int(aligned.frames[i])), clip.parts(int(aligned.frames[i]))
        seen = (aligned.grid.at(aligned.warps[i], x, y) + 0.5) * (len(parts) / TRACK) - 0.5
        head = cv2.dilate(np.isin(parts, HEAD).astype(np.float32), np.ones((3, 3)))
        colours[n] = sample(picture, seen, cv2.INTER_CUBIC)
        worn = sample(np.isin(parts, CLOTHES).astype(np.float32), seen)
        covered = sample(head, seen) > 0
        cloth[n] = np.where(covered, HIDDEN, np.round(worn * 100))
        cloth[n][(seen < 0).any(-1) | (seen > len(parts) - 1).any(-1)] = OUTSIDE
    return _finish(colours, cloth, scale)


def first_row(grid: Grid) -> int:
    """The canvas row where the texture begins."""
    return max(int(grid.y0), 0)


def _finish(colours: np.ndarray, cloth: np.ndarray, scale: float) -> UInt8[np.ndarray, "h w 4"]:
    """One texture from aligned looks: the middle colours, mean alpha, the neck carried on behind the head."""
    count = (cloth <= 100).sum(0)
    enough = min(3, len(cloth))
    alpha = np.where(cloth <= 100, cloth, 0).sum(0) / np.maximum(count, 1) / 100
    rgb, samples = _middle(colours, cloth)
    # What comes from behind the chin in a few looks shows little but the chin's own outline.
    rare = (samples < RARE * len(cloth)) & ((cloth == HIDDEN).sum(0) > samples)
    solid = ((samples >= enough) & ~rare).astype(np.uint8)
    known = count >= enough
    hidden = ~known & (cloth != OUTSIDE).any(0)
    torso = known & (alpha > 0.5)
    between = np.maximum.accumulate(torso, 1) & np.maximum.accumulate(torso[:, ::-1], 1)[:, ::-1] & hidden
    between |= _under_hair(torso, hidden)
    far = cv2.distanceTransform(1 - (torso | between).astype(np.uint8), cv2.DIST_L2, 5)
    reach = np.clip((NECK * scale - far) / (3 * scale) + 1, 0, 1)
    middle = between.any(0).astype(np.uint8)[None]  # upwards from the neck, not from the tips of a collar
    reach *= cv2.erode(middle, np.ones((1, 2 * round(NECK * scale) + 1)), borderValue=(0,))[0]
    alpha = np.where(hidden, np.maximum(reach, between), alpha)
    alpha = _nearest(alpha, (known | hidden).astype(np.uint8))  # beyond all frames: as at their border
    rgb = _nearest(rgb, solid)
    soft = cv2.blur(rgb, (2 * round(3 * scale) + 1,) * 2)  # nearest colours make streaks
    rgb = np.where((solid > 0)[..., None], rgb, soft)
    return np.round(np.dstack([rgb, alpha * 255])).clip(0, 255).astype(np.uint8)


def _under_hair(torso: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Shoulders that long hair covered in every look: hidden, cloth below, and not above where shoulders usually begin."""
    worn = torso.any(0)
    if not worn.any():
        return np.zeros_like(torso)
    shoulder = np.median(torso.argmax(0)[worn])
    covered = np.maximum.accumulate(torso[::-1], 0)[::-1] & hidden
    return covered & (np.arange(len(torso))[:, None] >= shoulder)


def _nearest(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Unknown pixels take the value of the nearest known one."""
    if not known.any() or known.all():
        return values
    _, label = cv2.distanceTransformWithLabels(1 - known, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros((label.max() + 1, *values.shape[2:]), values.dtype)
    table[label[known > 0]] = values[known > 0]
    return table[label]


@compiled()
def _middle(colours, cloth):
    """Mean of the middle third of each pixel's colours where it is surely cloth, and how many there were.

    As robust as the median against hands and slips, with less noise and no banding of 8-bit values.
    """
    frames, height, width, _ = colours.shape
    out, samples = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.int32)
    values = np.empty(frames, np.uint8)
    for y in range(height):
        for x in range(width):
            for k in range(3):
                n = 0
                for f in range(frames):
                    if 98 <= cloth[f, y, x] <= 100:  # HIDDEN and OUTSIDE are above
                        value, j = colours[f, y, x, k], n
                        while j > 0 and values[j - 1] > value:
                            values[j] = values[j - 1]
                            j -= 1
                        values[j] = value
                        n += 1
                first, last = n // 3, n - n // 3
                total = 0
                for j in range(first, last):
                    total += values[j]
                if n:
                    out[y, x, k] = total / (last - first)
                samples[y, x] = n
    return out, samples


def _grid(mask: np.ndarray) -> Grid:
    """Control points over the width of the canvas, from above the torso to its lower end."""
    top = max(int(np.nonzero(mask.any(1))[0][0]) - NECK - 10, 0)
    columns = round(WIDE / STEP) + 1
    rows = max(3, int(np.ceil((WIDE - 1 - top) / STEP)) + 1)
    return Grid(0.0, float(top), STEP, (rows, columns))


def _template(looks: list, warps: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Median grey picture of aligned frames, and where torso and its rim are known in it."""
    (total, worn), greys = np.zeros((2, WIDE, WIDE), np.float32), []
    for (grey, free, cloth), warp in zip(looks, warps, strict=True):
        seen = grid.dense(warp, WIDE, WIDE)
        picture = sample(np.dstack([grey, 255 * free, 255 * cloth]), seen)
        usable = picture[..., 1] == 255
        greys.append(np.where(usable, picture[..., 0].astype(np.float32), np.nan))
        total += usable
        worn += usable * (picture[..., 2] / np.float32(255))
    known = total >= min(5, len(looks))
    template = np.zeros((WIDE, WIDE), np.float32)
    template[known] = np.nanmedian(np.stack(greys)[:, known], axis=0)
    rim = cv2.dilate((worn > 0.3 * np.maximum(total, 1)).astype(np.uint8), np.ones((7, 7)))
    return template, (rim > 0) & known


def _misfit(template: np.ndarray, mask: np.ndarray, grey: np.ndarray, free: np.ndarray, seen: np.ndarray) -> float:
    picture = sample(np.dstack([grey, 255 * free]), seen)
    usable = mask & (picture[..., 1] == 255)
    if usable.sum() < 50:
        return 255.0
    return float(np.sqrt(((picture[..., 0][usable] - template[usable]) ** 2).mean()))


def _look(clip: Clip, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey picture, where no head is in front (1), and torso or neck (1), at TRACK²."""
    size = (TRACK, TRACK)
    grey = cv2.resize(cv2.cvtColor(clip.image(t), cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    parts = cv2.resize(clip.parts(t), size, interpolation=cv2.INTER_NEAREST)
    head = cv2.dilate(np.isin(parts, HEAD).astype(np.uint8), np.ones((7, 7)))
    return grey, 1 - head, np.isin(parts, CLOTHES).astype(np.uint8)


def _padded(picture: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(picture, PAD, PAD, PAD, PAD, cv2.BORDER_CONSTANT, value=(0,))
