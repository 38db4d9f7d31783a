"""From landmarks in pixels to a camera and a head's motion: bundle adjustment, then flow, then one banded solve.

`bundle` finds the person's shape, the focal length and a pose per frame; `flow` follows the skin from frame to frame;
`steady` joins both; `anchors` ties every frame to a dozen others and so takes out what drifts over seconds. Flow halves the
motion error that a fit per frame leaves, which smoothing alone does not. The ties gained 1.2 dB over the whole frame and
0.4 dB in the face on presenter.mp4 (rigged Gaussians, tracked lips): hair line and ears no longer sway against the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation, Slerp

from likeness.camera import Camera
from likeness.clip import Motion, landmarks_from_pixels
from likeness.errors import BadInput
from likeness.prepare.anchors import Ties, add_ties, tie
from likeness.prepare.bundle import KEYFRAMES, ROUNDS, Fit, Shape, View, adjust, first_view, keyframes, solve_frames
from likeness.prepare.expression import express
from likeness.prepare.flow import FACE_PX, GAPS, Flow, ImageAt, follow
from likeness.prepare.generic_face import generic_face
from likeness.prepare.steady import residuals, steady

FEWEST = 10  # seen frames: a shape and a focal length from fewer would be a guess
HELD_OUT = 5  # every fifth flow vector judges the poses and takes no part in them
NEAR = 4  # landmarks that give a flow vector its depth
LIGHT_KEYFRAMES, LIGHT_ROUNDS = 60, 6


@dataclass(frozen=True)
class Tracked:
    """What `track` found."""

    camera: Camera
    motion: Motion
    shape: Shape
    quality: dict[str, Any]
    """`reprojection_px` (root mean square of model against landmarks), `flow_px` (held-out flow against the poses' own
    motion, pixels a frame: median of each frame, mean over frames) with the same for a pose per frame by a generic face
    (`flow_generic_px`) and by the personal one (`flow_unsteadied_px`), the last two over 25 frames (`flow_second_px`,
    `flow_second_unsteadied_px`), `flow_vectors` a frame, `frame_error_px` [T]."""


def track(
    pixels: Float[np.ndarray, "t 478 2"],
    seen: Bool[np.ndarray, " t"],
    size: tuple[int, int],
    focal_prior: float,
    centre: tuple[float, float],
    scenes: list[tuple[int, int]],
    breaks: list[int],
    image_at: ImageAt,
) -> Tracked:
    """Camera and motion of a clip.

    `pixels` are landmarks in the cropped frames of `size` (width, height), anything where not `seen`; `focal_prior`
    (1.1-1.6 source widths) and `centre` (the source's) in pixels of the crop, where the centre may lie outside;
    `breaks` are first frames after a small jump. `image_at(t)` gives frame t in RGB and is asked in order, in three
    passes: all for flow, the anchors, all for the ties to them. Frames without a face get an interpolated motion.
    Memory grows by about 50 kB a frame, pictures are not kept.

    Raises BadInput when fewer than ten frames show a face.
    """
    pixels = np.asarray(pixels, np.float32)
    seen = np.asarray(seen, bool) & np.isfinite(pixels).all((1, 2))
    prior = Camera(focal_prior, centre, size)
    pieces = cut(len(seen), scenes, breaks)
    frames, shape, camera, fit, rough, precision, scale_px = _rough(pixels, seen, prior, pieces)
    flow, near = _flow(pixels, frames, fit, shape, pieces, image_at)
    judge = np.arange(len(flow)) % HELD_OUT == 0
    view = _steady(rough, precision, flow[~judge], near[~judge], camera, pieces, scale_px)
    ties = tie(
        pixels, frames, view, precision, partial(_depth_of, pixels, frames, fit, shape, view), camera, image_at, scale_px
    )
    view = _steady(rough, precision, flow[~judge], near[~judge], camera, pieces, scale_px, view, ties)
    fit = solve_frames(pixels[frames], shape, camera, view[frames], fit.coefficients, 2, pose_free=False)
    motion = _motion(pixels, frames, shape, fit, view, camera, pieces)
    generic = spread(_fit(pixels[frames], Shape(generic_face(), shape.directions[:0]), prior), frames, len(seen), pieces)

    def held_out(poses: View, seen_by: Camera, gap: int = 1) -> float:
        of = judge & (flow.gap == gap)
        first = flow.first[of]
        depth = near[of] * poses.shift[first, 2] / rough.shift[first, 2]  # every model at its own distance
        return flow_error(residuals(poses, flow[of], depth, seen_by)[0], first)

    error = np.full(len(seen), np.nan, np.float32)
    error[frames] = fit.error
    quality = {
        "reprojection_px": float(np.sqrt((fit.error**2).mean())),
        "flow_generic_px": held_out(generic, prior),
        "flow_unsteadied_px": held_out(rough, camera),
        "flow_px": held_out(view, camera),
        "flow_second_px": held_out(view, camera, 25),
        "flow_second_unsteadied_px": held_out(rough, camera, 25),
        "flow_vectors": len(flow) / len(frames),
        "frame_error_px": error,
    }
    return Tracked(camera, motion, shape, quality)


def track_landmarks(
    pixels: Float[np.ndarray, "t 478 2"],
    seen: Bool[np.ndarray, " t"],
    size: tuple[int, int],
    focal_prior: float,
    centre: tuple[float, float],
    pieces: list[tuple[int, int]],
) -> Motion:
    """`track` from landmarks alone, for who has many videos and no use for pictures.

    Once the skull is laid upon itself (`displacement`), lips correlate with those of `track` by .99 in x and y, .83 in depth
    (presenter.mp4), the oval by .9; poses stray with the landmarks, for want of flow. Fewer keyframes and rounds than there
    gain most of a second for a clip of three. Raises BadInput when fewer than ten frames show a face.
    """
    prior = Camera(focal_prior, centre, size)
    frames, shape, camera, fit, rough, precision, scale_px = _rough(pixels, seen, prior, pieces, LIGHT_KEYFRAMES, LIGHT_ROUNDS)
    none = Flow(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, 2)))
    view = _steady(rough, precision, none, np.zeros(0), camera, pieces, scale_px)
    fit = solve_frames(pixels[frames], shape, camera, view[frames], fit.coefficients, 2, pose_free=False)
    return _motion(pixels, frames, shape, fit, view, camera, pieces)


class _Rough(NamedTuple):
    """A clip by its landmarks alone, every frame for itself."""

    frames: Int[np.ndarray, " s"]
    """Those with a face."""
    shape: Shape
    camera: Camera
    fit: Fit
    view: View
    precision: Float[np.ndarray, "t 6 6"]
    scale_px: float
    """Size of the face against the usual one."""


def _rough(
    pixels: Float[np.ndarray, "t 478 2"],
    seen: Bool[np.ndarray, " t"],
    prior: Camera,
    pieces: list[tuple[int, int]],
    keys: int = KEYFRAMES,
    rounds: int = ROUNDS,
) -> _Rough:
    """Shape and camera from some keyframes, then a pose a frame. Raises BadInput when too few frames show a face."""
    if seen.sum() < FEWEST:
        raise BadInput(
            f"A face was found in {int(seen.sum())} of {len(seen)} frames; at least {FEWEST} are needed. "
            "Use a video in which the face is visible and larger than a fifth of the picture."
        )
    shape, camera = adjust(pixels[keyframes(seen, keys)], prior, rounds)
    frames = np.flatnonzero(seen)
    fit = _fit(pixels[frames], shape, camera)
    precision = np.zeros((len(seen), 6, 6))
    precision[frames] = fit.precision
    scale_px = max(float(np.median(np.ptp(pixels[frames, :, 0], axis=1))) / FACE_PX, 0.5)
    return _Rough(frames, shape, camera, fit, spread(fit, frames, len(seen), pieces), precision, scale_px)


def cut(length: int, scenes: list[tuple[int, int]], breaks: list[int]) -> list[tuple[int, int]]:
    """The pieces [start, stop) over which a head moves without a jump; together they are all frames."""
    edges = {0, length, *(edge for scene in scenes for edge in scene), *breaks}
    inside = sorted(edge for edge in edges if 0 <= edge <= length)
    return list(pairwise(inside))


def _fit(pixels: Float[np.ndarray, "t 478 2"], shape: Shape, camera: Camera) -> Fit:
    """A pose per frame from nothing but its landmarks."""
    start = first_view(pixels, shape, camera)
    return solve_frames(pixels, shape, camera, start, np.zeros((len(pixels), len(shape.directions))))


def spread(fit: Fit, frames: Int[np.ndarray, " s"], length: int, pieces: list[tuple[int, int]]) -> View:
    """Poses for all frames: those between seen frames of a piece are interpolated, those outside hold the nearest."""
    rotation, shift = np.empty((length, 3, 3)), np.empty((length, 3))
    for start, stop in pieces:
        inside = (frames >= start) & (frames < stop)
        if not inside.any():  # nobody in this piece: the nearest frame's pose
            inside = np.abs(frames - start) == np.abs(frames - start).min()
        at, view = frames[inside], fit.view[inside]
        wanted = np.clip(np.arange(start, stop), at[0], at[-1])
        shift[start:stop] = np.stack([np.interp(wanted, at, view.shift[:, i]) for i in range(3)], 1)
        turns = Rotation.from_matrix(view.rotation)
        rotation[start:stop] = Slerp(at, turns)(wanted).as_matrix() if len(at) > 1 else view.rotation
    return View(rotation, shift)


def _flow(
    pixels: Float[np.ndarray, "t 478 2"],
    frames: Int[np.ndarray, " s"],
    fit: Fit,
    shape: Shape,
    pieces: list[tuple[int, int]],
    image_at: ImageAt,
) -> tuple[Flow, Float[np.ndarray, " n"]]:
    """Flow between seen frames of the same piece, and how far away its points are (metres)."""
    piece = np.full(len(pixels) + max(GAPS), -1)
    for i, (start, stop) in enumerate(pieces):
        inside = frames[(frames >= start) & (frames < stop)]
        piece[inside] = i
    pairs = [(t, t + gap) for gap, every in GAPS.items() for t in frames[::every].tolist() if piece[t] == piece[t + gap]]
    flow = follow(pixels, pairs, image_at)
    flow = flow[np.argsort(flow.first, kind="stable")]
    row = np.searchsorted(frames, flow.first)
    near = np.empty(len(flow))
    for i in range(0, len(flow), 8192):
        part, rows = slice(i, i + 8192), row[i : i + 8192]
        distance = ((flow.before[part, None].astype(np.float32) - pixels[flow.first[part]]) ** 2).sum(-1)
        index, weight = _nearest(distance)
        low, high = rows.min(), rows.max() + 1
        depth = model_depth(shape, fit.view[low:high], fit.coefficients[low:high])[rows - low]
        near[part] = (np.take_along_axis(depth, index, 1) * weight).sum(1)
    return flow, near


def _depth_of(
    pixels: Float[np.ndarray, "t 478 2"],
    frames: Int[np.ndarray, " s"],
    fit: Fit,
    shape: Shape,
    view: View,
    t: int,
    points: Float[np.ndarray, "n 2"],
) -> Float[np.ndarray, " n"]:
    """How far in front of the camera points of frame t are, metres, by the landmarks round them."""
    row = np.searchsorted(frames, t)
    depth = model_depth(shape, view[t : t + 1], fit.coefficients[row : row + 1])[0]
    distance = ((points[:, None] - pixels[t]) ** 2).sum(-1)
    index, weight = _nearest(distance)
    return (depth[index] * weight).sum(1)


def _nearest(distance: Float[np.ndarray, "n k"]) -> tuple[Int[np.ndarray, "n near"], Float[np.ndarray, "n near"]]:
    """The landmarks nearest to each point by their squared distances, and weights that sum to 1."""
    index = np.argpartition(distance, NEAR, axis=1)[:, :NEAR]
    weight = 1 / (np.take_along_axis(distance, index, 1) + 1)
    return index, weight / weight.sum(1, keepdims=True)


def model_depth(shape: Shape, view: View, coefficients: Float[np.ndarray, "t d"]) -> Float[np.ndarray, "t k"]:
    """How far in front of the camera the points are, metres: what a picture does not tell."""
    return (shape.at(coefficients) @ view.rotation[:, 2, :, None])[..., 0] + view.shift[:, 2:]


def _steady(
    view: View,
    precision: Float[np.ndarray, "t 6 6"],
    flow: Flow,
    near: Float[np.ndarray, " n"],
    camera: Camera,
    pieces: list[tuple[int, int]],
    scale_px: float,
    begin: View | None = None,
    ties: Ties | None = None,
) -> View:
    """Every piece by itself; again from `begin`, tied to the anchors, once those are known."""
    done = []
    for start, stop in pieces:
        inside = (flow.first >= start) & (flow.first < stop)
        part = flow[inside]
        part = Flow(part.first - start, part.gap, part.before, part.after)
        more = None if ties is None else partial(add_ties, ties=ties.inside(start, stop), camera=camera, scale_px=scale_px)
        first = None if begin is None else begin[start:stop]
        done.append(steady(view[start:stop], precision[start:stop], part, near[inside], camera, scale_px, first, more))
    return View(np.concatenate([v.rotation for v in done]), np.concatenate([v.shift for v in done]))


def _motion(
    pixels: Float[np.ndarray, "t 478 2"],
    frames: Int[np.ndarray, " s"],
    shape: Shape,
    fit: Fit,
    view: View,
    camera: Camera,
    pieces: list[tuple[int, int]],
) -> Motion:
    """Poses turned round to camera-to-world, and landmarks that project exactly to the pixels that were seen."""
    pose = np.tile(np.eye(4), (len(view), 1, 1))
    pose[:, :3, :3] = np.swapaxes(view.rotation, 1, 2)
    pose[:, :3, 3] = -(pose[:, :3, :3] @ view.shift[..., None])[..., 0]
    landmarks = np.empty((len(view), *shape.mean.shape), np.float32)
    for i in range(0, len(frames), 1024):
        at = frames[i : i + 1024]
        depth = model_depth(shape, view[at], fit.coefficients[i : i + 1024])
        landmarks[at] = landmarks_from_pixels(
            torch.from_numpy(pixels[at].astype(np.float64)), torch.from_numpy(depth), torch.from_numpy(pose[at]), camera
        ).numpy()
    _bridge(landmarks, frames, shape, pieces)
    seen = np.zeros(len(view), bool)
    seen[frames] = True
    said = express(landmarks, pose, seen)
    return Motion(
        torch.from_numpy(pose.astype(np.float32)),
        torch.from_numpy(said.units),
        torch.from_numpy(said.eyes),
        torch.from_numpy(landmarks),
    )


def _bridge(
    landmarks: Float[np.ndarray, "t 478 3"],
    frames: Int[np.ndarray, " s"],
    shape: Shape,
    pieces: list[tuple[int, int]],
) -> None:
    """Landmarks of frames without a face, in place: between the neighbours in the piece; the mean where it has none."""
    for start, stop in pieces:
        inside = frames[(frames >= start) & (frames < stop)]
        for t in np.setdiff1d(np.arange(start, stop), inside):
            if not len(inside):
                landmarks[t] = shape.mean
                continue
            after = np.searchsorted(inside, t)
            a, b = inside[max(after - 1, 0)], inside[min(after, len(inside) - 1)]
            share = (t - a) / (b - a) if b > a else 0.0
            landmarks[t] = (1 - share) * landmarks[a] + share * landmarks[b]


def flow_error(residual: Float[np.ndarray, "n 2"], first: np.ndarray) -> float:
    """Pixels a frame step: the median of each frame's vectors, averaged over the frames."""
    if not len(residual):
        return float("nan")
    order = np.lexsort((np.linalg.norm(residual, axis=1), first))
    starts = np.flatnonzero(np.diff(first[order], prepend=-1))
    count = np.diff(np.append(starts, len(first)))
    return float(np.linalg.norm(residual, axis=1)[order][starts + count // 2].mean())
