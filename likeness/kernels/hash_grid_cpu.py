"""The multiresolution grid on the CPU (Numba): arithmetic on planes of a chunk of points, then loads and stores alone.

Where a point is, its weights and its row numbers are loops over a chunk of points that LLVM vectorises; the loops that
go to the table do nothing else. Where the number of features is even, the table, the features and their gradients come
as float64 that stand for pairs of float32, and a `unit` below is one of these; else it is one float32.

Forward, threads share blocks of points; backward they share levels, so that each row's gradient is added up by one
thread, in the order of the points: results do not depend on the number of threads.
"""

import numpy as np
from numba import prange

from likeness.kernels.compiled import compiled, multiply_add, multiply_sum, take

CHUNK = 128
S = 144
"""Numbers between scratch planes: CHUNK, and some, so that planes do not share cache sets."""
BLOCK = 16384
"""Points that forward takes through all levels: their features stay in the cache until whole lines are written."""
STRETCH = 65536
"""Points that backward takes through all levels, so that what it keeps of them is small; each level's table comes into the
cache anew."""

ZERO = np.float32(0.0)
HALF = np.float32(0.5)
ONE = np.float32(1.0)


@compiled(parallel=True)
def _planes(x):
    """Coordinates [D N], zero for points outside [0, 1], and in one more row whether a point is inside (1 or 0)."""
    n, dims = x.shape
    planes = np.empty((dims + 1, n), np.float32)
    for i in prange(n):
        inside = True
        for axis in range(dims):
            inside &= (x[i, axis] >= ZERO) & (x[i, axis] <= ONE)
        for axis in range(dims):
            planes[axis, i] = x[i, axis] if inside else ZERO
        planes[dims, i] = ONE if inside else ZERO
    return planes


@compiled()
def locate(position, scale, cells, fractions, n):
    """Along one axis: the node below each point, and how far beyond it the point is."""
    for i in range(n):
        p = position[i] * scale + HALF
        cell = np.floor(p)
        cells[i] = np.uint32(np.int32(cell))
        fractions[i] = p - cell


@compiled()
def weigh_2d(f, inside, weights, n):
    """Weight of each corner: planes 00, 10, 01, 11 (x y). `f` has one plane per axis."""
    for i in range(n):
        x1, y1 = f[i], f[i + S]
        x0, y0 = ONE - x1, inside[i] * (ONE - y1)
        y1 *= inside[i]
        weights[i] = x0 * y0
        weights[i + S] = x1 * y0
        weights[i + 2 * S] = x0 * y1
        weights[i + 3 * S] = x1 * y1


@compiled()
def weigh_3d(f, inside, weights, n):
    """Weight of each corner: planes 000, 100, 010, 110, 001, 101, 011, 111 (x y z)."""
    for i in range(n):
        x1, y1, z1 = f[i], f[i + S], f[i + 2 * S]
        x0, y0, z0 = ONE - x1, ONE - y1, inside[i] * (ONE - z1)
        z1 *= inside[i]
        a, b, c, d = x0 * y0, x1 * y0, x0 * y1, x1 * y1
        weights[i] = a * z0
        weights[i + S] = b * z0
        weights[i + 2 * S] = c * z0
        weights[i + 3 * S] = d * z0
        weights[i + 4 * S] = a * z1
        weights[i + 5 * S] = b * z1
        weights[i + 6 * S] = c * z1
        weights[i + 7 * S] = d * z1


@compiled(inline=True)
def _join(a, b, hashed):
    return a ^ b if hashed else a + b


@compiled()
def number_2d(cells, strides, mask, units, hashed, at, n):
    """Where the units of each corner begin in the level's table. `cells` has one plane per axis."""
    stride_x, stride_y = strides[0], strides[1]
    for i in range(n):
        x0, y0 = np.uint32(cells[i] * stride_x), np.uint32(cells[i + S] * stride_y)
        x1, y1 = np.uint32(x0 + stride_x), np.uint32(y0 + stride_y)
        at[i] = (_join(x0, y0, hashed) & mask) * units
        at[i + S] = (_join(x1, y0, hashed) & mask) * units
        at[i + 2 * S] = (_join(x0, y1, hashed) & mask) * units
        at[i + 3 * S] = (_join(x1, y1, hashed) & mask) * units


@compiled()
def number_3d(cells, strides, mask, units, hashed, at, n):
    """Where the units of each corner begin in the level's table. `cells` has one plane per axis."""
    stride_x, stride_y, stride_z = strides[0], strides[1], strides[2]
    for i in range(n):
        x0, y0 = np.uint32(cells[i] * stride_x), np.uint32(cells[i + S] * stride_y)
        x1, y1 = np.uint32(x0 + stride_x), np.uint32(y0 + stride_y)
        z0 = np.uint32(cells[i + 2 * S] * stride_z)
        z1 = np.uint32(z0 + stride_z)
        a, b = _join(x0, y0, hashed), _join(x1, y0, hashed)
        c, d = _join(x0, y1, hashed), _join(x1, y1, hashed)
        at[i] = (_join(a, z0, hashed) & mask) * units
        at[i + S] = (_join(b, z0, hashed) & mask) * units
        at[i + 2 * S] = (_join(c, z0, hashed) & mask) * units
        at[i + 3 * S] = (_join(d, z0, hashed) & mask) * units
        at[i + 4 * S] = (_join(a, z1, hashed) & mask) * units
        at[i + 5 * S] = (_join(b, z1, hashed) & mask) * units
        at[i + 6 * S] = (_join(c, z1, hashed) & mask) * units
        at[i + 7 * S] = (_join(d, z1, hashed) & mask) * units


@compiled(inline=True)
def _blend_four(table, at, weights, i, total):
    total = multiply_add(weights[i], table[np.uint64(at[i])], total)
    total = multiply_add(weights[i + S], table[np.uint64(at[i + S])], total)
    total = multiply_add(weights[i + 2 * S], table[np.uint64(at[i + 2 * S])], total)
    return multiply_add(weights[i + 3 * S], table[np.uint64(at[i + 3 * S])], total)


@compiled()
def blend(table, at, weights, corners, width, out, n):
    """One unit of n points: the weighted sum over 4 or 8 corners. `table` and `out` begin at that unit."""
    zero = table.dtype.type(0)
    if corners == 4:
        for i in range(n):
            out[np.uint64(i * width)] = _blend_four(table, at, weights, i, zero)
    else:
        for i in range(n):
            total = _blend_four(table, at, weights, i, zero)
            out[np.uint64(i * width)] = _blend_four(table, at, weights, i + 4 * S, total)


@compiled()
def _find(planes, start, n, level, units, scales, hashed, strides, masks, cells, fractions, at):
    """Fractions [D planes] of n points on one level, and where the units of their corners begin [2^D planes]."""
    dims = planes.shape[0] - 1
    for axis in range(dims):
        locate(planes[axis, start:], scales[level], cells[axis * S :], fractions[axis * S :], n)
    if dims == 2:
        number_2d(cells, strides[level], masks[level], np.uint32(units), hashed[level], at, n)
    else:
        number_3d(cells, strides[level], masks[level], np.uint32(units), hashed[level], at, n)


@compiled()
def _weigh(planes, start, n, fractions, weights):
    dims = planes.shape[0] - 1
    if dims == 2:
        weigh_2d(fractions, planes[dims, start:], weights, n)
    else:
        weigh_3d(fractions, planes[dims, start:], weights, n)


@compiled(parallel=True)
def grid_forward(x, table, units, scales, hashed, strides, masks, starts, workers):
    """Features of points x [N D], flat as the table is; `starts` are where the levels begin in it, all in units."""
    planes = _planes(x)
    dims, n = planes.shape[0] - 1, planes.shape[1]
    levels = scales.shape[0]
    width = levels * units
    encoded = np.empty(n * width, table.dtype)
    blocks = (n + BLOCK - 1) // BLOCK
    counter = np.zeros(1, np.int64)
    for _worker in prange(workers):
        cells, fractions = np.empty(3 * S, np.uint32), np.empty(3 * S, np.float32)
        at, weights = np.empty(8 * S, np.uint32), np.empty(8 * S, np.float32)
        for _ in range(blocks):
            block = take(counter)
            if block >= blocks:
                break
            for level in range(levels):
                rows = table[starts[level] : starts[level + 1]]
                for start in range(block * BLOCK, min((block + 1) * BLOCK, n), CHUNK):
                    m = min(CHUNK, min((block + 1) * BLOCK, n) - start)
                    _find(planes, start, m, level, units, scales, hashed, strides, masks, cells, fractions, at)
                    _weigh(planes, start, m, fractions, weights)
                    out = encoded[start * width + level * units :]
                    for unit in range(units):
                        blend(rows[unit:], at, weights, 1 << dims, width, out[unit:], m)
    return encoded


@compiled(inline=True)
def _spread_four(v_table, at, weights, i, v):
    for plane in range(4):
        k = np.uint64(at[i + plane * S])
        v_table[k] = multiply_add(weights[i + plane * S], v, v_table[k])


@compiled()
def spread(v_table, at, weights, corners, v, n):
    """Backward of `blend`: adds the gradient `v` of each point's unit to its corners' rows."""
    if corners == 4:
        for i in range(n):
            _spread_four(v_table, at, weights, i, v[i])
    else:
        for i in range(n):
            _spread_four(v_table, at, weights, i, v[i])
            _spread_four(v_table, at, weights, i + 4 * S, v[i])


@compiled(inline=True)
def _dot_four(table, at, i, v, v_weights, anew):
    for plane in range(4):
        j = i + plane * S
        product = multiply_sum(v, table[np.uint64(at[j])])
        v_weights[j] = product if anew else v_weights[j] + product


@compiled()
def dot(table, at, corners, v, v_weights, anew, n):
    """Gradient of each corner's weight that comes through one unit: written `anew`, or added."""
    if corners == 4:
        for i in range(n):
            _dot_four(table, at, i, v[i], v_weights, anew)
    else:
        for i in range(n):
            _dot_four(table, at, i, v[i], v_weights, anew)
            _dot_four(table, at, i + 4 * S, v[i], v_weights, anew)


@compiled(inline=True)
def _spread_and_dot_four(table, v_table, at, weights, i, v, v_weights, anew):
    for plane in range(4):
        j = i + plane * S
        k = np.uint64(at[j])
        product = multiply_sum(v, table[k])
        v_weights[j] = product if anew else v_weights[j] + product
        v_table[k] = multiply_add(weights[j], v, v_table[k])


@compiled()
def spread_and_dot(table, v_table, at, weights, corners, v, v_weights, anew, n):
    """`spread` and `dot` in one: while the one waits for its row, the other has work (10.9 ns a point and level, not 13)."""
    if corners == 4:
        for i in range(n):
            _spread_and_dot_four(table, v_table, at, weights, i, v[i], v_weights, anew)
    else:
        for i in range(n):
            _spread_and_dot_four(table, v_table, at, weights, i, v[i], v_weights, anew)
            _spread_and_dot_four(table, v_table, at, weights, i + 4 * S, v[i], v_weights, anew)


@compiled()
def slope_2d(f, inside, scale, v, slopes, stride, n):
    """Gradient of x [2 planes, `stride` apart] from that of the weights, whose planes are those of `weigh_2d`."""
    v_x, v_y = slopes, slopes[stride:]
    for i in range(n):
        x, y = f[i], f[i + S]
        a, b, c, d = v[i], v[i + S], v[i + 2 * S], v[i + 3 * S]
        s = scale * inside[i]
        v_x[i] = s * ((b - a) + y * ((d - c) - (b - a)))
        v_y[i] = s * ((c - a) + x * ((d - b) - (c - a)))


@compiled()
def slope_3d(f, inside, scale, v, slopes, stride, n):
    """Gradient of x [3 planes, `stride` apart] from that of the weights, whose planes are those of `weigh_3d`."""
    v_x, v_y, v_z = slopes, slopes[stride:], slopes[2 * stride :]
    for i in range(n):
        x1, y1, z1 = f[i], f[i + S], f[i + 2 * S]
        x0, y0, z0 = ONE - x1, ONE - y1, ONE - z1
        s = scale * inside[i]
        # a b c d: the four corners in front and the four behind, brought together along z.
        a, b = z0 * v[i] + z1 * v[i + 4 * S], z0 * v[i + S] + z1 * v[i + 5 * S]
        c, d = z0 * v[i + 2 * S] + z1 * v[i + 6 * S], z0 * v[i + 3 * S] + z1 * v[i + 7 * S]
        v_x[i] = s * (y0 * (b - a) + y1 * (d - c))
        v_y[i] = s * (x0 * (c - a) + x1 * (d - b))
        front = y0 * (x0 * v[i] + x1 * v[i + S]) + y1 * (x0 * v[i + 2 * S] + x1 * v[i + 3 * S])
        behind = y0 * (x0 * v[i + 4 * S] + x1 * v[i + 5 * S]) + y1 * (x0 * v[i + 6 * S] + x1 * v[i + 7 * S])
        v_z[i] = s * (behind - front)


@compiled()
def _add(slopes, totals, n):
    for i in range(n):
        totals[i] += slopes[i]


@compiled(parallel=True)
def _gather_slopes(slopes, first, n, v_x):
    """Adds up the levels' gradients of x [levels D STRETCH]."""
    levels, dims, _ = slopes.shape
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        start = chunk * CHUNK
        m = min(CHUNK, n - start)
        totals = np.zeros(3 * S, np.float32)
        for level in range(levels):
            for axis in range(dims):
                _add(slopes[level, axis, start:], totals[axis * S :], m)
        for i in range(m):
            for axis in range(dims):
                v_x[first + start + i, axis] = totals[i + axis * S]


@compiled()
def _pick(rows, width, unit, column, n):
    for i in range(n):
        column[i] = rows[i * width + unit]


@compiled(parallel=True)
def _turn(upstream, first, n, columns):
    """Gradients of n points as columns [width STRETCH]: a level that took its few from rows would load every line anew."""
    width = columns.shape[0]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        start = chunk * CHUNK
        for unit in range(width):
            _pick(upstream[(first + start) * width :], width, unit, columns[unit, start:], min(CHUNK, n - start))


@compiled(parallel=True)
def grid_backward(x, table, upstream, units, scales, hashed, strides, masks, starts, v_x, v_table, workers):
    """Fills v_x [N D] and v_table, which comes in as zeros; either is left out where it is empty. Tables are flat."""
    planes = _planes(x)
    dims, n = planes.shape[0] - 1, planes.shape[1]
    corners = 1 << dims
    levels = scales.shape[0]
    want_x, want_table = v_x.shape[0] > 0, v_table.shape[0] > 0
    room = min(n, STRETCH) + S - CHUNK
    slopes = np.empty((levels if want_x else 0, dims, room), np.float32)
    columns = np.empty((levels * units, room), upstream.dtype)
    for first in range(0, n, STRETCH):
        end = min(first + STRETCH, n)
        _turn(upstream, first, end - first, columns)
        counter = np.zeros(1, np.int64)
        for _worker in prange(workers):
            cells, fractions = np.empty(3 * S, np.uint32), np.empty(3 * S, np.float32)
            at, weights, v_weights = np.empty(8 * S, np.uint32), np.empty(8 * S, np.float32), np.empty(8 * S, np.float32)
            for _ in range(levels):
                level = levels - 1 - take(counter)
                if level < 0:
                    break
                rows = table[starts[level] : starts[level + 1]]
                v_rows = v_table[starts[level] : starts[level + 1]]
                for start in range(first, end, CHUNK):
                    m = min(CHUNK, end - start)
                    _find(planes, start, m, level, units, scales, hashed, strides, masks, cells, fractions, at)
                    if want_table:
                        _weigh(planes, start, m, fractions, weights)
                    for unit in range(units):
                        v, anew = columns[level * units + unit, start - first :], unit == 0
                        if want_table and want_x:
                            spread_and_dot(rows[unit:], v_rows[unit:], at, weights, corners, v, v_weights, anew, m)
                        elif want_table:
                            spread(v_rows[unit:], at, weights, corners, v, m)
                        else:
                            dot(rows[unit:], at, corners, v, v_weights, anew, m)
                    if want_x:
                        inside, target = planes[dims, start:], slopes[level].reshape(-1)[start - first :]
                        if dims == 2:
                            slope_2d(fractions, inside, scales[level], v_weights, target, slopes.shape[2], m)
                        else:
                            slope_3d(fractions, inside, scales[level], v_weights, target, slopes.shape[2], m)
        if want_x:
            _gather_slopes(slopes, first, end - first, v_x)
