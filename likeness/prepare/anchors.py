"""Long-range flow: every frame tied to a few well-chosen ones, so that poses do not drift over seconds.

Landmarks lean with expression (raised brows pass for a tilted head), and flow from frame to frame adds up its errors.
Skin looks the same whenever the head is held the same way: a dozen anchor frames spread over the poses of the clip are
brought into one accord, and each frame is followed directly from the two anchors whose pose is nearest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from likeness.camera import Camera
from likeness.prepare.bundle import View, projection
from likeness.prepare.flow import Flow, ImageAt, corners_in, step, to_gray
from likeness.prepare.steady import LANDMARK_POINTS, difference, residuals

ANCHORS = 12
NEAREST = 2
ANCHOR_PX = 0.8  # error of a vector from an anchor, pixels of a face FACE_PX wide; those of a pair go together
FARTHEST = 0.35  # radians between the poses of a pair: beyond, the same skin looks different
ROUNDS = 3
DISTANCE_TURN = 3.0  # radians of turn that count as one face distance of shift

Depth = Callable[[int, Float[np.ndarray, "n 2"]], Float[np.ndarray, " n"]]


@dataclass(frozen=True)
class Ties:
    """Vectors from anchors, whose poses are settled, to frames. `flow.first` counts anchors, `frame` is where it ends."""

    anchors: View
    flow: Flow
    depth: Float[np.ndarray, " n"]
    frame: Int[np.ndarray, " n"]

    def inside(self, start: int, stop: int) -> Ties:
        """Those that end in a piece, counted from its start."""
        of = (self.frame >= start) & (self.frame < stop)
        return Ties(self.anchors, self.flow[of], self.depth[of], self.frame[of] - start)


def tie(
    pixels: Float[np.ndarray, "t 478 2"],
    frames: Int[np.ndarray, " s"],
    view: View,
    precision: Float[np.ndarray, "t 6 6"],
    depth_of: Depth,
    camera: Camera,
    image_at: ImageAt,
    scale_px: float,
) -> Ties:
    """Choose anchors among the seen frames, settle their poses, and follow every frame from the nearest of them.

    `depth_of(t, points)` says how far points of frame t are, metres. Pictures are asked for once in order, the anchors'
    once more before; only the anchors' are kept.
    """
    chosen = spread_out(view, frames)
    gray = [to_gray(image_at(int(t)), pixels[t]) for t in chosen]
    points = [corners_in(g, pixels[t] * s) for t, (g, s) in zip(chosen, gray)]
    depth = [depth_of(int(t), (p + 0.5) / s) for t, p, (_, s) in zip(chosen, points, gray)]

    def follow(a: int, t: int, picture: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """From anchor a to frame t: where its points were, went, and their depth; None where they cannot be followed."""
        start, anchor_scale = points[a], gray[a][1]
        if len(start) < 8 or scale != anchor_scale or picture.shape != gray[a][0].shape:
            return None
        guess = _carried((start + 0.5) / scale, depth[a], view[[int(chosen[a])]], view[[t]], camera) * scale - 0.5
        before, after, kept = step(gray[a][0], picture, start, guess.astype(np.float32))
        return ((before + 0.5) / scale, (after + 0.5) / scale, depth[a][kept]) if len(before) >= 8 else None

    apart = _distances(view[chosen], view[chosen])
    found = []
    for b in range(len(chosen)):
        for a in range(len(chosen)):
            if a != b and apart[a, b] < FARTHEST:
                pair = follow(a, int(chosen[b]), *gray[b])
                if pair is not None:
                    found.append((a, b, *pair))
    anchors = _agree(view[chosen], precision[chosen], found, camera, scale_px)
    distance = _distances(view[frames], view[chosen])
    ties = []
    for row, t in enumerate(frames):
        picture = to_gray(image_at(int(t)), pixels[t])
        for a in np.argsort(distance[row])[:NEAREST]:
            pair = follow(int(a), int(t), *picture) if distance[row, a] < FARTHEST and chosen[a] != t else None
            if pair is not None:
                ties.append((int(a), int(t), *pair))
    flow, depths = _joined(ties)
    return Ties(anchors, flow, depths, flow.first + flow.gap)


def spread_out(view: View, frames: Int[np.ndarray, " s"], count: int = ANCHORS) -> Int[np.ndarray, " anchors"]:
    """Frames whose poses are far from each other, the first of them the most usual one."""
    distance = _distances(view[frames], view[frames[:: max(1, len(frames) // 200)]])
    chosen = [int(np.median(distance, axis=1).argmin())]
    nearest = _distances(view[frames], view[frames[chosen]])[:, 0]
    while len(chosen) < min(count, len(frames)):
        # the very farthest poses are often blinks and slips of the tracker: take the 90th percentile of distances
        order = np.argsort(nearest)
        chosen.append(int(order[int(0.9 * (len(order) - 1))]))
        nearest = np.minimum(nearest, _distances(view[frames], view[frames[chosen[-1:]]])[:, 0])
    return frames[np.array(sorted(set(chosen)))]


def add_ties(
    blocks: Float[np.ndarray, "b t 6 6"],
    right: Float[np.ndarray, "t 6"],
    view: View,
    ties: Ties,
    camera: Camera,
    scale_px: float,
) -> None:
    """What the ties want of the frames they end in."""
    if len(ties.flow) == 0:
        return
    count = len(ties.anchors)
    both = View(np.concatenate([ties.anchors.rotation, view.rotation]), np.concatenate([ties.anchors.shift, view.shift]))
    flow = Flow(ties.flow.first, count + ties.frame - ties.flow.first, ties.flow.before, ties.flow.after)
    for i in range(0, len(flow), 16384):
        part = np.arange(i, min(i + 16384, len(flow)))
        residual, slope = residuals(both, flow[part], ties.depth[part], camera)
        weight = _weight(residual, ANCHOR_PX * scale_px)
        slope = slope[..., 6:]
        np.add.at(blocks[0], ties.frame[part], np.einsum("n,nki,nkj->nij", weight, slope, slope))
        np.add.at(right, ties.frame[part], np.einsum("n,nki,nk->ni", weight, slope, residual))


def _agree(view: View, precision: Float[np.ndarray, "a 6 6"], found: list, camera: Camera, scale_px: float) -> View:
    """The anchors' poses, by the flow between them and, weakly, their landmarks."""
    count = len(view)
    if not found:
        return view
    flow, depth = _joined(found)
    measured, held = view, precision / (LANDMARK_POINTS * scale_px**2)
    for _ in range(ROUNDS):
        blocks, right = np.zeros((count, count, 6, 6)), (held @ difference(measured, view)[..., None])[..., 0]
        blocks[np.arange(count), np.arange(count)] += held
        residual, slope = residuals(view, flow, depth, camera)
        weight = _weight(residual, ANCHOR_PX * scale_px)
        ends = (flow.first, flow.first + flow.gap)
        for i, one in enumerate(ends):
            mine = slope[..., 6 * i : 6 * i + 6]
            np.add.at(right, one, np.einsum("n,nki,nk->ni", weight, mine, residual))
            for j, other in enumerate(ends):
                product = np.einsum("n,nki,nkj->nij", weight, mine, slope[..., 6 * j : 6 * j + 6])
                np.add.at(blocks, (one, other), product)
        matrix = blocks.swapaxes(1, 2).reshape(6 * count, -1)
        moved = np.linalg.solve(matrix + 1e-9 * np.eye(6 * count), right.ravel())
        view = view.moved(moved.reshape(count, 6))
    return view


def _joined(found: list) -> tuple[Flow, Float[np.ndarray, " n"]]:
    """Pairs (first, second, before, after, depth) as one list of vectors."""
    if not found:
        return Flow(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, 2))), np.zeros(0)
    count = [len(f[2]) for f in found]
    first, second = (np.repeat([f[i] for f in found], count) for i in (0, 1))
    before, after, depth = (np.concatenate([f[i] for f in found]) for i in (2, 3, 4))
    return Flow(first, second - first, before, after), depth


def _weight(residual: Float[np.ndarray, "n 2"], sigma_px: float) -> Float[np.ndarray, " n"]:
    """Huber, over the variance."""
    return np.minimum(1.0, 2 * sigma_px / np.maximum(np.linalg.norm(residual, axis=1), 1e-9)) / sigma_px**2


def _carried(points: np.ndarray, depth: np.ndarray, a: View, b: View, camera: Camera) -> Float[np.ndarray, "n 2"]:
    """Where points of one picture are in another by what the poses say."""
    ray = (points - np.asarray(camera.centre)) / camera.focal
    at = np.concatenate([ray, np.ones((len(ray), 1))], 1) * depth[:, None] - a.shift[0]
    return projection(at @ a.rotation[0] @ b.rotation[0].T + b.shift[0], camera)[0]


def _distances(a: View, b: View) -> Float[np.ndarray, "a b"]:
    """Between all poses: angle, and change of distance as so much angle."""
    turn = np.stack([(Rotation.from_matrix(a.rotation) * Rotation.from_matrix(r).inv()).magnitude() for r in b.rotation], 1)
    near = np.abs(np.log(a.shift[:, None, 2] / b.shift[None, :, 2]))
    return turn + DISTANCE_TURN * near
