"""Metrics on raw frames. Every metric has a recipe id that a report carries; see docs/metrics.md for what each misses.

Pictures are RGB uint8. Boxes are (x0, y0, x1, y1) in pixels, x1 and y1 exclusive. Landmarks are pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from likeness import mesh
from likeness.kernels import ssim_map

RECIPES = {
    "pictures": "raw-frames/1",
    "psnr": "psnr-rgb8-frame-mean/1",
    "ssim": "ssim-gauss11-1.5-rgb-zero-padded/1",
    "ms-ssim": "ms-ssim-5-gauss11-1.5-rgb-valid/1",
    "lpips": "lpips-0.1-alex-rgb-frame-mean/1",
    "fid": "fid-inception-2015-12-05-2048-frames-of-the-row/1",
    "lmd": "lmd-mediapipe40-centred-px/1",
    "floor": "floor-jpeg90-or-half-pixel-redetected/1",
    "signals": "signals-mediapipe-5-upper-5-lower-over-real-variance/1",
    "aue": "aue-openface-8-upper-9-lower-sum-of-mean-squares/1",
    "sync": "syncnet-v2-mesh-box-crop-224-raw-frames-longest-run/2",
    "lip sync": "landmark-sync-tracked-landmarks-15-shifts-longest-run/1",
    "opening": "opening-13-14-px/1",
    "loudness": "opening-against-loudness-40dB-best-lag-6/2",
    "jitter": "jitter-second-difference-lips-rigid-aligned/2",
    "flicker": "warping-dis-flow-of-real-rms-rgb8/1",
    "flicker, own flow": "warping-dis-flow-of-itself-rms-rgb8/1",
    "seam": "seam-gradient-difference-head-body-3px@256/1",
    "seam edge": "seam-gradient-head-body-3px@256/1",
    "seam edge, drawn border": "seam-gradient-drawn-alpha-border-3px@256/1",
    "interval": "block-bootstrap-12-1000-percentile-95/1",
    "face box": "oval-4px@256/1",
    "mouth box": "lips40-6px@256/1",
    "split": "longest-scene-last-tenth-seen/1",
}

Box = tuple[int, int, int, int]
Image = UInt8[np.ndarray, "height width 3"]


def psnr(image: Image, real: Image, box: Box | None = None) -> float:
    """Peak signal-to-noise ratio in dB of 8-bit RGB, in a box or the whole frame; 100 where both are equal, NaN where
    nothing lies in the box."""
    if box is not None:
        x0, y0, x1, y1 = box
        image, real = image[y0:y1, x0:x1], real[y0:y1, x0:x1]
    if not image.size:
        return float("nan")
    error = np.mean(np.square(image.astype(np.float64) - real))
    return float(min(100.0, 10 * np.log10(255.0**2 / max(error, 1e-9))))


def ssim(image: Image, real: Image, box: Box | None = None) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian window 11, sigma 1.5, mean over RGB, in a box or the whole frame.

    Windows reach beyond the box: what is there belongs to the structure at its border.
    """
    return ssims(image, real, (box,))[0]


def ssims(image: Image, real: Image, boxes: Sequence[Box | None]) -> list[float]:
    """`ssim` in several boxes (None: the whole frame) of one pair; NaN where nothing lies in the box."""
    a, b = (torch.from_numpy(np.array(x, np.float32)) / 255 for x in (image, real))
    found = ssim_map(a, b)
    whole = (0, 0, image.shape[1], image.shape[0])
    return [float(found[y0:y1, x0:x1].mean()) for x0, y0, x1, y1 in (box or whole for box in boxes)]


def face_box(pixels: Float[np.ndarray, "k 2"], size: int) -> Box:
    """Bounds of the face oval, with a margin of 4 px at 256²."""
    return _box(pixels[list(mesh.FACE_OVAL)], 4.0, size)


def mouth_box(pixels: Float[np.ndarray, "k 2"], size: int) -> Box:
    """Bounds of the 40 lip landmarks, with a margin of 6 px at 256²."""
    return _box(pixels[list(mesh.LIPS)], 6.0, size)


def _box(points: Float[np.ndarray, "k 2"], margin: float, size: int) -> Box:
    margin *= size / 256
    x0, y0 = np.floor(points.min(0) - margin).astype(int)
    x1, y1 = np.ceil(points.max(0) + margin).astype(int)
    x0, y0, x1, y1 = (int(v) for v in np.clip([x0, y0, x1, y1], 0, size))
    return x0, y0, x1, y1


def lmd(drawn: Float[np.ndarray, "time k 2"], real: Float[np.ndarray, "time k 2"]) -> tuple[float, float]:
    """Landmark distance of the lips: pixels, and the share of the inter-ocular distance. Each set is centred first."""
    distance = lip_distances(drawn, real)
    return float(distance.mean()), float((distance / interocular(real)).mean())


def lip_distances(drawn: Float[np.ndarray, "time k 2"], real: Float[np.ndarray, "time k 2"]) -> Float[np.ndarray, " time"]:
    """`lmd` of each frame, in pixels."""
    lips = list(mesh.LIPS)
    a, b = drawn[:, lips], real[:, lips]
    return np.linalg.norm((a - a.mean(1, keepdims=True)) - (b - b.mean(1, keepdims=True)), axis=-1).mean(1)


def interocular(pixels: Float[np.ndarray, "time k 2"]) -> Float[np.ndarray, " time"]:
    """Distance between the centres of the eyes' corners."""
    right, left = (pixels[:, list(c)].mean(1) for c in (mesh.RIGHT_EYE_CORNERS, mesh.LEFT_EYE_CORNERS))
    return np.linalg.norm(left - right, axis=-1)


def opening(pixels: Float[np.ndarray, "time k 2"]) -> Float[np.ndarray, " time"]:
    """Distance between the middles of the inner lips, pixels."""
    return np.linalg.norm(pixels[:, mesh.UPPER_INNER_LIP] - pixels[:, mesh.LOWER_INNER_LIP], axis=-1)


def follows(drawn: Float[np.ndarray, " time"], real: Float[np.ndarray, " time"]) -> tuple[float, float]:
    """Pearson correlation of two curves (0 where one is flat), and the ratio of their standard deviations."""
    a, b = drawn - drawn.mean(), real - real.mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 1e-9 else 0.0, float(a.std() / max(b.std(), 1e-9))


def stabilised(
    pixels: Float[np.ndarray, "time k 2"], target: Float[np.ndarray, "skull 2"] | None = None
) -> Float[np.ndarray, "time k 2"]:
    """Landmarks brought to `target` (None: the mean place) by the similarity that those on the skull tell: head movement
    is taken out."""
    rigid = pixels[:, list(mesh.SKULL)]
    place = rigid.mean(0) if target is None else target
    centre, target_centre = rigid.mean(1, keepdims=True), place.mean(0)
    a, b = rigid - centre, place - target_centre
    # Similarity in the plane (Umeyama 1991) as one complex factor a frame.
    za, zb = a[..., 0] + 1j * a[..., 1], b[..., 0] + 1j * b[..., 1]
    factor = (zb * za.conj()).sum(1) / (np.abs(za) ** 2).sum(1)
    z = pixels - centre
    turned = (z[..., 0] + 1j * z[..., 1]) * factor[:, None]
    return np.stack([turned.real, turned.imag], axis=-1) + target_centre


def jitter(pixels: Float[np.ndarray, "time k 2"], frames: Int[np.ndarray, " time"] | None = None) -> float:
    """Mean length of the second difference of the stabilised lips, pixels a frame². `frames`: as for `jolts`."""
    return float(jolts(pixels, frames).mean())


def jolts(
    pixels: Float[np.ndarray, "time k 2"], frames: Int[np.ndarray, " time"] | None = None
) -> Float[np.ndarray, " middle"]:
    """`jitter` of each frame that has both its neighbours. `frames`: their rising numbers; None where none is left out."""
    lips = stabilised(pixels)[:, list(mesh.LIPS)]
    found = np.linalg.norm(lips[2:] - 2 * lips[1:-1] + lips[:-2], axis=-1).mean(1)
    return found if frames is None else found[frames[2:] - frames[:-2] == 2]


LAGS = tuple(range(-6, 7))
"""Frames by which the lips may come after the sound (before it, where negative): a quarter of a second."""


def with_loudness(
    opening: Float[np.ndarray, " time"], decibels: Float[np.ndarray, " heard"], first: int = 0
) -> Float[np.ndarray, "time lags_and_opening"]:
    """Rows for `loudness_r` and `loudness_lag`: the opening, and how loud the sound was each of LAGS frames before.

    `decibels` of each frame of the sound; the opening's first frame shows its frame `first`. Beyond its ends the sound is
    as at the end.
    """
    places = first + np.arange(len(opening))[:, None] - np.array(LAGS)
    return np.concatenate([opening[:, None], decibels[places.clip(0, len(decibels) - 1)]], axis=1).astype(np.float64)


def loudness_r(rows: Float[np.ndarray, "time lags_and_opening"]) -> float:
    """Pearson correlation of lip opening and loudness at the lag where it is highest."""
    return float(_correlations(rows).max())


def loudness_lag(rows: Float[np.ndarray, "time lags_and_opening"]) -> float:
    """That lag, in frames; positive: the lips come after the sound."""
    return float(LAGS[int(_correlations(rows).argmax())])


def _correlations(rows: Float[np.ndarray, "time lags_and_opening"]) -> Float[np.ndarray, " lags"]:
    """Of the first column with each other one; 0 where one is flat."""
    centred = rows - rows.mean(0)
    lengths = np.sqrt(np.square(centred).sum(0))
    scale = lengths[0] * lengths[1:]
    return np.where(scale > 1e-9, centred[:, 0] @ centred[:, 1:] / np.maximum(scale, 1e-9), 0.0)
