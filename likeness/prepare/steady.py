"""Poses that move as the picture moves: landmark poses, optical flow and inertia in one banded least-squares problem.

A low reprojection error is not a stable pose: landmark errors move the whole face together and a fit per frame follows
them. Here the landmarks say where the head is over seconds, flow on the rigid skin says how it moved from frame to
frame, and a weak prior on acceleration bridges what neither sees. Nothing crosses the end of a piece (cut or break).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

from likeness.camera import Camera
from likeness.prepare.bundle import View, cross_matrix, projection
from likeness.prepare.flow import Flow

FLOW_PX = 0.15  # error of one flow vector, pixels of a face FACE_PX wide
LANDMARK_POINTS = 1.5
"""Landmarks of a frame err together: all count as so many. With 10 the ties to anchors win more often: .5 dB more over the
whole frame with tracked lips, and .4 dB less at the mouth by sound, since landmarks that stray from the pose pass for lips."""
TURN_PER_FRAME2 = 0.004  # radians: usual change of turning speed from frame to frame at 25 frames/s
SHIFT_PER_FRAME2 = 0.0008  # metres, likewise
ROUNDS = 3
PAIRS = 256  # at a time


def steady(
    view: View,
    precision: Float[np.ndarray, "t 6 6"],
    flow: Flow,
    depth: Float[np.ndarray, " n"],
    camera: Camera,
    scale_px: float = 1.0,
    start: View | None = None,
    more: Callable[[np.ndarray, np.ndarray, View], None] | None = None,
) -> View:
    """The poses of one piece, corrected, by Gauss-Newton with Huber weights.

    `flow.first` counts from the piece's start; `depth` (metres) belongs to its `before`; `precision` is that of the
    landmark poses (zero for frames without a face); `scale_px` is the width of the face over FACE_PX: errors of
    landmarks and flow in pixels grow with it. `start`: where to begin, if not with the landmark poses; `more` adds
    equations to the blocks and the right side.
    """
    length = len(view)
    if length < 2:
        return view
    order = np.lexsort((flow.gap, flow.first))
    flow, depth = flow[order], depth[order]
    reach = int(max(2, flow.gap.max(initial=1)))
    measured, held = view, precision / (LANDMARK_POINTS * scale_px**2)
    view = measured if start is None else start
    for _ in range(ROUNDS):
        blocks = np.zeros((reach + 1, length, 6, 6))  # blocks[k, t] couples t (columns) and t + k (rows)
        right = np.zeros((length, 6))
        blocks[0] += held
        right += (held @ difference(measured, view)[..., None])[..., 0]
        _inertia(blocks, right, view)
        _picture(blocks, right, view, flow, depth, camera, FLOW_PX * scale_px)
        if more is not None:
            more(blocks, right, view)
        view = view.moved(_solve(blocks, right))
    return view


def difference(a: View, b: View) -> Float[np.ndarray, "t 6"]:
    """The step that moves b onto a."""
    turn = Rotation.from_matrix(a.rotation @ np.swapaxes(b.rotation, 1, 2)).as_rotvec()
    return np.concatenate([turn, a.shift - b.shift], 1)


def _inertia(blocks: Float[np.ndarray, "b t 6 6"], right: Float[np.ndarray, "t 6"], view: View) -> None:
    """Second differences of turn and shift are small."""
    if len(view) < 3:
        return
    speed = difference(view[slice(1, None)], view[slice(None, -1)])
    change = np.diff(speed, axis=0)
    weight = np.diag(np.repeat([TURN_PER_FRAME2**-2, SHIFT_PER_FRAME2**-2], 3))
    factors = (1.0, -2.0, 1.0)
    for i, fi in enumerate(factors):
        right[i : len(view) - 2 + i] -= fi * change @ weight
        for j in range(i + 1):
            blocks[i - j, j : len(view) - 2 + j] += fi * factors[j] * weight


def residuals(
    view: View, flow: Flow, depth: Float[np.ndarray, " n"], camera: Camera
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2 12"]]:
    """What the flow saw less what the poses say, pixels, and the derivative of the latter by both poses' steps."""
    a, b = view[flow.first], view[flow.first + flow.gap]
    ray = (flow.before - np.asarray(camera.centre)) / camera.focal
    at = np.concatenate([ray, np.ones((len(ray), 1))], 1) * depth[:, None] - a.shift
    between = b.rotation @ np.swapaxes(a.rotation, 1, 2)
    turned = (between @ at[..., None])[..., 0]
    seen, slope = projection(turned + b.shift, camera)
    by_first = slope @ between
    by_first = np.concatenate([by_first @ cross_matrix(at), -by_first], -1)
    by_second = np.concatenate([slope @ -cross_matrix(turned), slope], -1)
    return flow.after - seen, np.concatenate([by_first, by_second], -1)


def _picture(
    blocks: Float[np.ndarray, "b t 6 6"],
    right: Float[np.ndarray, "t 6"],
    view: View,
    flow: Flow,
    depth: Float[np.ndarray, " n"],
    camera: Camera,
    sigma_px: float,
) -> None:
    """Every flow vector wants its point to land where it was seen."""
    pair = np.concatenate([[0], np.cumsum((np.diff(flow.first) != 0) | (np.diff(flow.gap) != 0))]) if len(flow) else []
    starts = np.flatnonzero(np.diff(pair, prepend=-1)) if len(flow) else np.zeros(0, int)
    stops = np.append(starts[1:], len(flow))
    for i in range(0, len(starts), PAIRS):
        low, high = starts[i], stops[min(i + PAIRS, len(starts)) - 1]
        part = flow[np.arange(low, high)]
        residual, slope = residuals(view, part, depth[low:high], camera)
        weight = np.minimum(1.0, 2 * sigma_px / np.maximum(np.linalg.norm(residual, axis=1), 1e-9))
        weight = np.sqrt(weight) / sigma_px
        # pairs as rows of one padded array: a batch of matrix products instead of a loop
        row = pair[low:high] - pair[low]
        column = np.arange(low, high) - starts[pair[low:high]]
        padded = np.zeros((row[-1] + 1, column.max() + 1, 2, 13))
        padded[row, column, :, :12] = slope * weight[:, None, None]
        padded[row, column, :, 12] = residual * weight[:, None]
        padded = padded.reshape(len(padded), -1, 13)
        product = np.swapaxes(padded, 1, 2) @ padded
        first, gap = flow.first[starts[i : i + PAIRS]], flow.gap[starts[i : i + PAIRS]]
        np.add.at(blocks[0], first, product[:, :6, :6])
        np.add.at(blocks[0], first + gap, product[:, 6:12, 6:12])
        blocks[gap, first] += product[:, 6:12, :6]  # a pair occurs once
        np.add.at(right, first, product[:, :6, 12])
        np.add.at(right, first + gap, product[:, 6:12, 12])


def _solve(blocks: Float[np.ndarray, "b t 6 6"], right: Float[np.ndarray, "t 6"]) -> Float[np.ndarray, "t 6"]:
    """Cholesky on the band."""
    reach, length = len(blocks) - 1, len(right)
    band = np.zeros(((reach + 1) * 6, length * 6))
    columns = np.arange(length) * 6
    for k in range(reach + 1):
        count = length - k
        for row in range(6):
            for column in range(6):
                if k * 6 + row - column >= 0:
                    band[k * 6 + row - column, columns[:count] + column] = blocks[k, :count, row, column]
    band[0] += 1e-9 * band[0].max()
    return solveh_banded(band, right.ravel(), lower=True, check_finite=False).reshape(length, 6)
