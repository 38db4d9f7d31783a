"""Taking a motion back on the CPU (Numba). Threads take blocks of places: results do not depend on their number."""

import numpy as np
from numba import prange

from likeness.kernels.compiled import compiled, take

PLACES = 2048
"""Places that a thread takes at a time."""

ZERO = np.float32(0.0)
ONE = np.float32(1.0)


@compiled(inline=True)
def _row(motion, at, wx, wy, wz, a, b, c):
    weight = wx * wy * wz
    return a - weight * motion[at], b - weight * motion[at + 1], c - weight * motion[at + 2]


@compiled()
def _undo(x, y, z, motion, sides, box, turns):
    """Where place x, y, z was; `motion` is flat."""
    nx, ny, nz = sides
    p, q, r = x, y, z
    across, down = 3 * nx, 3 * nx * ny
    for _ in range(turns):
        u, v, w = (p - box[0, 0]) * box[1, 0], (q - box[0, 1]) * box[1, 1], (r - box[0, 2]) * box[1, 2]
        p, q, r = x, y, z
        if (u >= ZERO) & (v >= ZERO) & (w >= ZERO) & (u < nx - 1) & (v < ny - 1) & (w < nz - 1):
            i, j, k = np.int64(u), np.int64(v), np.int64(w)
            u1, v1, w1 = u - np.float32(i), v - np.float32(j), w - np.float32(k)
            u0, v0, w0 = ONE - u1, ONE - v1, ONE - w1
            at = np.uint64(i * 3 + j * across + k * down)
            a, d = np.uint64(across), np.uint64(down)
            p, q, r = _row(motion, at, u0, v0, w0, p, q, r)
            p, q, r = _row(motion, at + np.uint64(3), u1, v0, w0, p, q, r)
            p, q, r = _row(motion, at + a, u0, v1, w0, p, q, r)
            p, q, r = _row(motion, at + a + np.uint64(3), u1, v1, w0, p, q, r)
            at += d
            p, q, r = _row(motion, at, u0, v0, w1, p, q, r)
            p, q, r = _row(motion, at + np.uint64(3), u1, v0, w1, p, q, r)
            p, q, r = _row(motion, at + a, u0, v1, w1, p, q, r)
            p, q, r = _row(motion, at + a + np.uint64(3), u1, v1, w1, p, q, r)
    return p, q, r


@compiled(parallel=True)
def unwarp_places(xyz, motion, box, turns, workers):
    """Where places [N 3] were, by `motion` [z y x 3]; `box` holds its first corner and how many points there are per unit."""
    n, found = xyz.shape[0], np.empty_like(xyz)
    sides, flat = (motion.shape[2], motion.shape[1], motion.shape[0]), motion.reshape(-1)
    counter = np.zeros(1, np.int64)
    for _worker in prange(workers):
        for _ in range(n):
            first = take(counter) * PLACES
            if first >= n:
                break
            for i in range(first, min(first + PLACES, n)):
                found[i, 0], found[i, 1], found[i, 2] = _undo(xyz[i, 0], xyz[i, 1], xyz[i, 2], flat, sides, box, turns)
    return found
