"""Looking up bricks on the CPU (Numba): ray by ray, from near to far, as long as anything can be seen.

Threads take blocks of rays, and write to these rays' samples alone: results do not depend on their number.
"""

import numpy as np
from numba import prange

from likeness.kernels.bricks_reference import ABSENT, CHANNELS, EMPTY
from likeness.kernels.compiled import compiled, take

RAYS = 64
"""Rays that a thread takes at a time."""

ZERO = np.float32(0.0)
HALF = np.float32(0.5)
ONE = np.float32(1.0)
LOG2E = np.float32(1.4426950408889634)
FARTHEST = np.float32(126.0)
SIGN, FRACTION = np.int32(127), np.int32(23)
# 2^f for f in [-1/2, 1/2], to 3e-7 of itself.
E1 = np.float32(0.6931471805599453)
E2 = np.float32(0.2402265069591007)
E3 = np.float32(0.0555041086648216)
E4 = np.float32(0.0096181291076285)
E5 = np.float32(0.0013333558146428)
E6 = np.float32(0.0001540353039338)


@compiled(inline=True)
def _exp(x):
    y = min(max(x * LOG2E, -FARTHEST), FARTHEST)
    whole = np.floor(y + HALF)
    f = y - whole
    part = ONE + f * (E1 + f * (E2 + f * (E3 + f * (E4 + f * (E5 + f * E6)))))
    # A power of two is its exponent alone.
    return part * np.int32((np.int32(whole) + SIGN) << FRACTION).view(np.float32)


@compiled()
def _blend(nodes, u, v, w, found):
    """Between one brick's nodes [z y x channels]; u, v, w are in nodes from its first."""
    last = nodes.shape[0] - 2
    i, j, k = min(np.int64(u), last), min(np.int64(v), last), min(np.int64(w), last)
    u1, v1, w1 = u - np.float32(i), v - np.float32(j), w - np.float32(k)
    u0, v0, w0 = ONE - u1, ONE - v1, ONE - w1
    a, b, c, d = u0 * v0 * w0, u1 * v0 * w0, u0 * v1 * w0, u1 * v1 * w0
    e, f, g, h = u0 * v0 * w1, u1 * v0 * w1, u0 * v1 * w1, u1 * v1 * w1
    near, far = nodes[k], nodes[k + 1]
    near0, near1, near2, near3 = near[j, i], near[j, i + 1], near[j + 1, i], near[j + 1, i + 1]
    far0, far1, far2, far3 = far[j, i], far[j, i + 1], far[j + 1, i], far[j + 1, i + 1]
    for n in range(CHANNELS):
        front = a * near0[n] + b * near1[n] + c * near2[n] + d * near3[n]
        found[n] = front + (e * far0[n] + f * far1[n] + g * far2[n] + h * far3[n])


@compiled()
def _along(first, last, xyz, x, y, apart, index, nodes, step, hidden, values, density, color, brick):
    """Samples first to last of a ray whose direction begins with x and y."""
    cells, sides = index.shape[0], np.float32(nodes.shape[1] - 1)
    scale, end = np.float32(cells) * HALF, np.float32(cells)
    depth = ZERO
    for s in range(first, last):
        density[s] = color[s, 0] = color[s, 1] = color[s, 2] = ZERO
        brick[s] = EMPTY
        if depth > hidden:
            continue
        u, v, w = (xyz[s, 0] + ONE) * scale, (xyz[s, 1] + ONE) * scale, (xyz[s, 2] + ONE) * scale
        inside = (u >= ZERO) & (v >= ZERO) & (w >= ZERO) & (u < end) & (v < end) & (w < end)
        if apart[s] != 0 or not inside:
            brick[s] = ABSENT
            continue
        i, j, k = np.int64(u), np.int64(v), np.int64(w)
        number = index[i, j, k]
        brick[s] = number
        if number < 0:
            continue
        _blend(nodes[number], (u - np.float32(i)) * sides, (v - np.float32(j)) * sides, (w - np.float32(k)) * sides, values)
        density[s] = _exp(values[0])
        depth += density[s] * step
        for c in range(3):
            color[s, c] = values[1 + c] + x * values[4 + c] + y * values[7 + c]


@compiled(parallel=True)
def look_up(xyz, starts, directions, apart, index, nodes, step, hidden, workers):
    """Density [M], color [M 3] and brick [M]."""
    n, m = starts.shape[0] - 1, xyz.shape[0]
    density, color, brick = np.empty(m, np.float32), np.empty((m, 3), np.float32), np.empty(m, np.int32)
    counter = np.zeros(1, np.int64)
    for _worker in prange(workers):
        values = np.empty(CHANNELS, np.float32)
        for _ in range(n):
            block = take(counter) * RAYS
            if block >= n:
                break
            for r in range(block, min(block + RAYS, n)):
                x, y = directions[r, 0], directions[r, 1]
                kept = density, color, brick
                _along(starts[r], starts[r + 1], xyz, x, y, apart, index, nodes, step, hidden, values, *kept)
    return density, color, brick
