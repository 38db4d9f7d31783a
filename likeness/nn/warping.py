"""Drawing a texture that a grid of control points bends: the warp inverted on a lattice, then one pass."""

from __future__ import annotations

import numpy as np

from likeness.kernels.compiled import compiled

CELLS = 32  # lattice cells a side: the warp is smooth, an 8 px lattice at 256² is within 0.02 px of the exact inverse
ROUNDS = 5  # fixed-point steps; displacements change by under a fifth of a pixel per pixel, so 0.2^5 remains


@compiled()
def invert(warp, x0, y0, step, side):
    """Canvas position of (CELLS + 1)² lattice points of a picture `side` pixels wide: u with u + D(u) = x.

    `warp` [rows columns 2] are displacements D at (x0 + step i, y0 + step j), beyond the grid as on its border.
    """
    rows, columns, _ = warp.shape
    out = np.empty((CELLS + 1, CELLS + 1, 2), np.float32)
    for j in range(CELLS + 1):
        for i in range(CELLS + 1):
            x, y = i * side / CELLS - 0.5, j * side / CELLS - 0.5
            u, v = x - warp[rows // 2, columns // 2, 0], y - warp[rows // 2, columns // 2, 1]
            for _ in range(ROUNDS):
                a = min(max((u - x0) / step, 0.0), columns - 1.000001)
                b = min(max((v - y0) / step, 0.0), rows - 1.000001)
                c, r = int(a), int(b)
                fa, fb = a - c, b - r
                w00, w01, w10, w11 = (1 - fa) * (1 - fb), fa * (1 - fb), (1 - fa) * fb, fa * fb
                dx = w00 * warp[r, c, 0] + w01 * warp[r, c + 1, 0] + w10 * warp[r + 1, c, 0] + w11 * warp[r + 1, c + 1, 0]
                dy = w00 * warp[r, c, 1] + w01 * warp[r, c + 1, 1] + w10 * warp[r + 1, c, 1] + w11 * warp[r + 1, c + 1, 1]
                u, v = x - dx, y - dy
            out[j, i, 0], out[j, i, 1] = u, v
    return out


def draw_over(texture: np.ndarray, lattice: np.ndarray, place: tuple[float, float], under: np.ndarray) -> np.ndarray:
    """Premultiplied RGBA `texture` over `under` ([H W 3] uint8 or float32 0..1, or [H W 4] float32 premultiplied).

    `place`: texture pixels per canvas pixel, and the canvas row where the texture begins.
    """
    out = np.empty_like(under)
    factor, bias = (255.0, 0.5) if under.dtype == np.uint8 else (1.0, 0.0)
    _over(texture, lattice, float(place[0]), float(place[1]), under, out, np.float32(factor), np.float32(bias))
    return out


@compiled(finite=True)
def _over(texture, lattice, scale, top, under, out, factor, bias):
    height, width, channels = under.shape
    rows, columns, _ = texture.shape
    one = np.float32(1)
    for y in range(height):
        b = (y + 0.5) / height * CELLS
        r = min(int(b), CELLS - 1)
        fb = np.float32(b - r)
        for cell in range(CELLS):
            first, last = cell * width // CELLS, (cell + 1) * width // CELLS
            left_u = lattice[r, cell, 0] * (one - fb) + lattice[r + 1, cell, 0] * fb
            right_u = lattice[r, cell + 1, 0] * (one - fb) + lattice[r + 1, cell + 1, 0] * fb
            left_v = lattice[r, cell, 1] * (one - fb) + lattice[r + 1, cell, 1] * fb
            right_v = lattice[r, cell + 1, 1] * (one - fb) + lattice[r + 1, cell + 1, 1] * fb
            lowest = (max(left_v, right_v) + 0.5 - top) * scale - 0.5
            if lowest < 0:  # above the texture
                out[y, first:last] = under[y, first:last]
                continue
            for x in range(first, last):
                fa = np.float32((x + 0.5) / width * CELLS - cell)
                tx = (left_u + (right_u - left_u) * fa + 0.5) * scale - 0.5
                ty = (left_v + (right_v - left_v) * fa + 0.5 - top) * scale - 0.5
                tx = min(max(tx, 0.0), columns - 1.001)
                ty = min(max(ty, 0.0), rows - 1.001)
                c, q = int(tx), int(ty)
                fx, fy = np.float32(tx - c), np.float32(ty - q)
                w00, w01, w10, w11 = (one - fx) * (one - fy), fx * (one - fy), (one - fx) * fy, fx * fy
                t00, t01, t10, t11 = texture[q, c], texture[q, c + 1], texture[q + 1, c], texture[q + 1, c + 1]
                through = one - (w00 * t00[3] + w01 * t01[3] + w10 * t10[3] + w11 * t11[3])
                for k in range(channels):
                    colour = w00 * t00[k] + w01 * t01[k] + w10 * t10[k] + w11 * t11[k]
                    out[y, x, k] = colour * factor + through * under[y, x, k] + bias
