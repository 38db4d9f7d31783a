"""Non-rigid alignment of frames to a template: a grid of control points, found by Gauss-Newton on the picture itself.

A warp is a grid of displacements `[rows columns 2]` (x, y in canvas pixels, bilinear in between): canvas point u is
seen at u + D(u) in the frame. Template gradients stand in for the frame's (Baker and Matthews, Lucas-Kanade 20 Years
On, 2004, section 3.2), so what an edge cannot tell (the motion along it) is left to the smoothness term; that penalises
second differences, which no affine motion has. Feature points cannot do this: a dark jacket has edges and no corners.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Num

from likeness.kernels.compiled import compiled

HUBER = 20.0  # grey levels of 255: beyond, a pixel is a hand, a shadow or the wrong thing
LEVELS = (2, 1)  # pixels of a TRACK² picture that one sample stands for, coarse to fine
SMOOTH = (3e4, 3e3)  # weight of squared second differences, per level: grey levels² x pixels; nearly affine first


@dataclass(frozen=True)
class Grid:
    """Control points at (x0 + step i, y0 + step j), canvas pixels; `shape` is (rows, columns)."""

    x0: float
    y0: float
    step: float
    shape: tuple[int, int]

    def at(self, warp: Float[np.ndarray, "rows columns 2"], x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "h w 2"]:
        """Where canvas points are seen in the frame; pixel centres at integers, as OpenCV has it."""
        gx, gy = ((x - self.x0) / self.step).astype(np.float32), ((y - self.y0) / self.step).astype(np.float32)
        d = cv2.remap(warp.astype(np.float32), gx, gy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.dstack([x, y]).astype(np.float32) + d

    def dense(self, warp: Float[np.ndarray, "rows columns 2"], width: int, height: int) -> Float[np.ndarray, "h w 2"]:
        """`at` every pixel of a canvas."""
        return self.at(warp, *np.meshgrid(np.arange(width), np.arange(height)))

    def roughness(self) -> Float[np.ndarray, "nodes nodes"]:
        """The matrix of the sum of squared second differences of one coordinate."""
        rows, columns = self.shape
        index = np.arange(rows * columns).reshape(rows, columns)
        lines = []
        for a, b, c in ((index[:, :-2], index[:, 1:-1], index[:, 2:]), (index[:-2], index[1:-1], index[2:])):
            line = np.zeros((a.size, rows * columns))
            line[np.arange(a.size), a.ravel()] = 1
            line[np.arange(a.size), b.ravel()] = -2
            line[np.arange(a.size), c.ravel()] = 1
            lines.append(line)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
        cross = np.zeros((a.size, rows * columns))
        for part, sign in ((a, 1), (b, -1), (c, -1), (d, 1)):
            cross[np.arange(a.size), part.ravel()] = sign * 2**0.5
        d2 = np.concatenate([*lines, cross])
        return d2.T @ d2


class Aligner:
    """Finds the warp of one frame after another against a template (grey, known where `mask`)."""

    def __init__(
        self, template: Num[np.ndarray, "h w"], mask: Num[np.ndarray, "h w"] | Bool[np.ndarray, "h w"], grid: Grid
    ) -> None:
        self.grid = grid
        self._rough = np.kron(grid.roughness(), np.eye(2))
        self._levels = [_level(template, mask, grid, shrink) for shrink in LEVELS]

    def __call__(
        self,
        image: Num[np.ndarray, "H W"],
        valid: Num[np.ndarray, "H W"],
        start: Float[np.ndarray, "rows columns 2"],
        steps: int = 4,
    ) -> Float[np.ndarray, "rows columns 2"]:
        """The warp that makes `image` (grey, 0-255) look like the template where `valid`, beginning at `start`."""
        warp = start.astype(np.float64).copy()
        frame = np.dstack([image, valid]).astype(np.float32)
        for (rows, shrink), smooth in zip(self._levels, SMOOTH, strict=True):
            source = cv2.blur(frame, (shrink, shrink)) if shrink > 1 else frame
            position, cell, value, columns = rows
            for _ in range(steps):
                hessian, gradient = _normal(position, cell, value, columns, source, warp, HUBER)
                hessian += self._rough * (smooth / shrink**2)
                gradient += self._rough @ warp.ravel() * (smooth / shrink**2)
                hessian[np.diag_indices_from(hessian)] += 1e-2
                change = -solve_positive(hessian, gradient)
                warp += change.reshape(warp.shape)
                if np.abs(change).max() < 0.03:
                    break
        return warp.astype(np.float32)


def _level(template: np.ndarray, mask: np.ndarray, grid: Grid, shrink: int) -> tuple[tuple, int]:
    """The template's pixels at one level: position, grid cell, bilinear weights, value and gradient."""
    soft = cv2.blur(template.astype(np.float32), (shrink, shrink)) if shrink > 1 else template.astype(np.float32)
    gx, gy = (cv2.Sobel(soft, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1)))
    use = cv2.erode(mask.astype(np.uint8), np.ones((3, 3)))
    use[grid_outside(grid, (template.shape[0], template.shape[1]))] = 0
    y, x = np.nonzero(use)
    chosen = (np.hypot(gx, gy)[y, x] > 0.5) & (y % shrink == 0) & (x % shrink == 0)  # flat cloth tells nothing
    y, x = y[chosen], x[chosen]
    u, v = (x - grid.x0) / grid.step, (y - grid.y0) / grid.step
    column = np.clip(np.floor(u).astype(np.int64), 0, grid.shape[1] - 2)
    row = np.clip(np.floor(v).astype(np.int64), 0, grid.shape[0] - 2)
    position = np.stack([x, y, u - column, v - row], -1).astype(np.float32)
    value = np.stack([soft[y, x], gx[y, x], gy[y, x]], -1).astype(np.float32)
    return (position, row * grid.shape[1] + column, value, grid.shape[1]), shrink


def sample(picture: np.ndarray, seen: Float[np.ndarray, "h w 2"], how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """`picture` at the positions `seen`; nothing (0) outside it."""
    return cv2.remap(picture, seen[..., 0], seen[..., 1], how)


def grid_outside(grid: Grid, shape: tuple[int, int]) -> np.ndarray:
    """Canvas pixels that no cell of the grid covers."""
    inside = np.zeros(shape, bool)
    rows, columns = grid.shape
    top, left = max(int(np.ceil(grid.y0)), 0), max(int(np.ceil(grid.x0)), 0)
    inside[top : int(grid.y0 + grid.step * (rows - 1)) + 1, left : int(grid.x0 + grid.step * (columns - 1)) + 1] = True
    return ~inside


@compiled(finite=True)
def solve_positive(matrix, right):
    """x of matrix x = right by Cholesky, destroying both. LAPACK's threads take 20 times as long on a busy machine."""
    n = len(right)
    for i in range(n):
        row = matrix[i]
        for j in range(i + 1):
            other, total = matrix[j], row[j]
            for k in range(j):
                total -= row[k] * other[k]
            row[j] = np.sqrt(max(total, 1e-12)) if i == j else total / other[j]
        total = right[i]
        for k in range(i):
            total -= row[k] * right[k]
        right[i] = total / row[i]
    for i in range(n - 1, -1, -1):
        right[i] /= matrix[i, i]
        for k in range(i):
            right[k] -= matrix[i, k] * right[i]
    return right


@compiled(finite=True)
def _normal(position, cell, value, columns, frame, warp, huber):
    """Normal equations of one Gauss-Newton step: J^T W J and J^T W r."""
    nodes = warp.shape[0] * warp.shape[1]
    flat = warp.reshape(nodes, 2)
    hessian, gradient = np.zeros((2 * nodes, 2 * nodes)), np.zeros(2 * nodes)
    height, width, _ = frame.shape
    node, weight = np.empty(4, np.int64), np.empty(4)
    for i in range(len(cell)):
        a, b = position[i, 2], position[i, 3]
        node[0], node[1], node[2], node[3] = cell[i], cell[i] + 1, cell[i] + columns, cell[i] + columns + 1
        weight[0], weight[1], weight[2], weight[3] = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
        px, py = position[i, 0] + 0.0, position[i, 1] + 0.0
        for k in range(4):
            px += weight[k] * flat[node[k], 0]
            py += weight[k] * flat[node[k], 1]
        if px < 0 or py < 0 or px >= width - 1 or py >= height - 1:
            continue
        x, y = int(px), int(py)
        fx, fy = px - x, py - y
        valid = (1 - fy) * ((1 - fx) * frame[y, x, 1] + fx * frame[y, x + 1, 1])
        valid += fy * ((1 - fx) * frame[y + 1, x, 1] + fx * frame[y + 1, x + 1, 1])
        if valid < 0.99:
            continue
        seen = (1 - fy) * ((1 - fx) * frame[y, x, 0] + fx * frame[y, x + 1, 0])
        seen += fy * ((1 - fx) * frame[y + 1, x, 0] + fx * frame[y + 1, x + 1, 0])
        r = seen - value[i, 0]
        w = 1.0 if abs(r) < huber else huber / abs(r)
        gx, gy = value[i, 1], value[i, 2]
        for k in range(4):
            n, wk = 2 * node[k], w * weight[k]
            gradient[n] += wk * gx * r
            gradient[n + 1] += wk * gy * r
            for j in range(4):
                m, wkj = 2 * node[j], wk * weight[j]
                hessian[n, m] += wkj * gx * gx
                hessian[n, m + 1] += wkj * gx * gy
                hessian[n + 1, m] += wkj * gx * gy
                hessian[n + 1, m + 1] += wkj * gy * gy
    return hessian, gradient
