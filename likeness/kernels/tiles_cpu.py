"""Which Gaussians touch which 16x16 tile, front to back: packing, exact tile-ellipse culling, sorting (CPU, Numba).

A Gaussian reaches as far as its alpha is at least 1/255, which is the ellipse sigma <= log(255 opacity). Every strip of
16 rows is cut with that ellipse, so only tiles that the ellipse really enters are listed (as in Speedy-Splat, Hanson et
al. 2025). Gaussians are sorted by depth once, then dealt to the tiles by a stable counting sort.
"""

import numpy as np
from numba import prange

from likeness.kernels.compiled import compiled

TILE = 16
PACK = 16
"""Floats per packed Gaussian: one cache line of 64 bytes."""
X, Y, XX, XY, YY, FLOOR, OPACITY, RED, GREEN, BLUE, DEPTH, TOP, BOTTOM = range(13)
"""Columns of a packed row. `XX XY YY FLOOR` hold -sigma/8: exp(8 x) is cheaper to approximate than exp(x)."""

ZERO = np.float32(0.0)
ONE = np.float32(1.0)
HALF = np.float32(0.5)
TWO = np.float32(2.0)
EIGHTH = np.float32(0.125)
LEVELS = np.float32(255.0)
MARGIN = np.float32(1.0001)
HUGE = np.float32(1e30)
DIGITS = 4096
LAST_DIGIT = np.uint32(DIGITS - 1)


@compiled(inline=True)
def _span(low, high, size):
    """First and last pixel whose centre lies in [low, high], clipped to the picture; empty when first > last."""
    first = np.ceil(max(low - HALF, ZERO))
    last = np.floor(min(high - HALF, np.float32(size - 1)))
    return np.int64(min(first, np.float32(size))), np.int64(max(last, np.float32(-1.0)))


@compiled()
def _strip(x, y, edge, strip, width):
    """First and last tile column that one ellipse, given by its `edge`, enters in one strip of tiles.

    At height dy the ellipse spans -edge[0] dy +- sqrt(edge[1] - edge[2] dy^2); it is widest at dy = +- edge[3].
    """
    top = np.float32(strip * TILE) + HALF - y
    bottom = top + np.float32(TILE - 1)
    right_y = min(max(edge[3], top), bottom)
    left_y = min(max(-edge[3], top), bottom)
    right = np.sqrt(max(edge[1] - edge[2] * right_y * right_y, ZERO)) - edge[0] * right_y
    left = -np.sqrt(max(edge[1] - edge[2] * left_y * left_y, ZERO)) - edge[0] * left_y
    first, last = _span(x + left, x + right, width)
    if first > last:
        return 1, 0
    return first // TILE, last // TILE


@compiled()
def _pack(row, edge, x, y, a, b, c, opacity, width, height):
    """Fills one packed row and its `edge`; returns the first and last strip, first > last if nothing is visible."""
    determinant = a * c - b * b
    if not (opacity * LEVELS > ONE and opacity <= ONE and a > ZERO and c > ZERO and determinant > ZERO):
        return 1, 0
    if not (abs(x) < HUGE and abs(y) < HUGE and a < HUGE and c < HUGE):
        return 1, 0
    sigma = np.log(LEVELS * opacity)
    reach = TWO * sigma * MARGIN / determinant
    extent_y = np.sqrt(reach * a)
    extent_x = np.sqrt(reach * c)
    if not (extent_x < HUGE and extent_y < HUGE):
        return 1, 0
    top, bottom = _span(y - extent_y, y + extent_y, height)
    left, right = _span(x - extent_x, x + extent_x, width)
    if top > bottom or left > right:
        return 1, 0
    row[X], row[Y] = x, y
    row[XX], row[XY], row[YY] = -HALF * EIGHTH * a, -EIGHTH * b, -HALF * EIGHTH * c
    row[FLOOR] = -EIGHTH * sigma
    row[OPACITY] = opacity
    row[TOP], row[BOTTOM] = np.float32(top), np.float32(bottom + 1)
    inverse = ONE / a
    edge[0] = b * inverse
    edge[1] = reach * determinant * inverse
    edge[2] = determinant * inverse * inverse
    edge[3] = -b / c * extent_x
    return top // TILE, bottom // TILE


@compiled()
def _sort_by_depth(keys, order):
    """Stable radix sort of `order` by `keys` (unsigned 32 bit), 12 bits at a time, as many as the largest key has."""
    n = order.shape[0]
    most = np.uint32(0)
    for i in range(n):
        most = max(most, keys[i])
    other, other_keys = np.empty(n, np.int32), np.empty(n, np.uint32)
    start = np.empty(DIGITS + 1, np.int32)
    shift = np.uint32(0)
    while shift < 32 and (most >> shift) > 0:
        start[:] = 0
        for i in range(n):
            start[((keys[i] >> shift) & LAST_DIGIT) + np.uint32(1)] += 1
        for i in range(DIGITS):
            start[i + 1] += start[i]
        for i in range(n):
            key = keys[i]
            digit = (key >> shift) & LAST_DIGIT
            place = start[digit]
            start[digit] = place + 1
            other[place] = order[i]
            other_keys[place] = key
        order, other = other, order
        keys, other_keys = other_keys, keys
        shift += np.uint32(12)
    return order


@compiled()
def _visible_by_depth(depths, counts):
    """Indices of the Gaussians that touch a tile, nearest first, equal depths in index order."""
    n = counts.shape[0]
    order, keys = np.empty(n, np.int32), np.empty(n, np.uint32)
    bits = depths.view(np.uint32)
    sign = np.uint32(0x80000000)
    least = np.uint32(0xFFFFFFFF)
    total = 0
    for g in range(n):
        if counts[g] > 0:
            key = ~bits[g] if bits[g] & sign else bits[g] | sign
            order[total], keys[total] = g, key
            least = min(least, key)
            total += 1
    for k in range(total):
        keys[k] -= least
    return _sort_by_depth(keys[:total], order[:total])


@compiled(parallel=True)
def assign_tiles(means2d, conics, colors, opacities, depths, radii, width, height, workers, keep):
    """Packs the Gaussians and lists, per tile, which of them to composite, front to back.

    Returns packed [N PACK]; offsets [N + 1], where a Gaussian's slots (one per tile it touches) start;
    starts [tiles + 1]; and per entry of the tile lists members [M] (the Gaussian) and slots [M] (its slot; only if
    `keep`, for a backward pass).
    """
    n = means2d.shape[0]
    tiles_x = (width + TILE - 1) // TILE
    tiles = tiles_x * ((height + TILE - 1) // TILE)
    packed = np.empty((n, PACK), np.float32)
    edges = np.empty((n, 4), np.float32)
    strips = np.empty((n, 2), np.int32)
    counts = np.zeros(n, np.int32)
    for g in prange(n):
        first, last = 1, 0
        row = packed[g]
        if radii[g] > 0 and abs(depths[g]) < HUGE:
            x, y, a, b, c = means2d[g, 0], means2d[g, 1], conics[g, 0], conics[g, 1], conics[g, 2]
            first, last = _pack(row, edges[g], x, y, a, b, c, opacities[g], width, height)
        total = 0
        for strip in range(first, last + 1):
            left, right = _strip(row[X], row[Y], edges[g], strip, width)
            total += right - left + 1
        strips[g, 0], strips[g, 1] = first, last
        counts[g] = total
        if total > 0:
            row[RED], row[GREEN], row[BLUE] = colors[g, 0], colors[g, 1], colors[g, 2]
            row[DEPTH] = depths[g]
    offsets = np.zeros(n + 1, np.int32)
    for g in range(n):
        offsets[g + 1] = offsets[g] + counts[g]
    tile_of = np.empty(offsets[n], np.int32)
    for g in prange(n):
        slot = offsets[g]
        if counts[g] > 0:
            for strip in range(strips[g, 0], strips[g, 1] + 1):
                left, right = _strip(packed[g, X], packed[g, Y], edges[g], strip, width)
                for column in range(left, right + 1):
                    tile_of[slot] = strip * tiles_x + column
                    slot += 1
    order = _visible_by_depth(depths, counts)
    starts, members, slots = _deal(order, offsets, tile_of, tiles, workers, keep)
    return packed, offsets, starts, members, slots


@compiled(parallel=True)
def _deal(order, offsets, tile_of, tiles, workers, keep):
    """Stable parallel counting sort of all slots by tile; the result does not depend on `workers`."""
    n = order.shape[0]
    cursor = np.zeros((workers, tiles), np.int32)
    for worker in prange(workers):
        mine = cursor[worker]
        for k in range(worker * n // workers, (worker + 1) * n // workers):
            for slot in range(offsets[order[k]], offsets[order[k] + 1]):
                mine[tile_of[slot]] += 1
    starts = np.zeros(tiles + 1, np.int32)
    total = 0
    for tile in range(tiles):
        starts[tile] = total
        for worker in range(workers):
            count = cursor[worker, tile]
            cursor[worker, tile] = total
            total += count
    starts[tiles] = total
    members = np.empty(total, np.int32)
    slots = np.empty(total if keep else 0, np.int32)
    for worker in prange(workers):
        mine = cursor[worker]
        for k in range(worker * n // workers, (worker + 1) * n // workers):
            for slot in range(offsets[order[k]], offsets[order[k] + 1]):
                place = mine[tile_of[slot]]
                mine[tile_of[slot]] = place + 1
                members[place] = order[k]
                if keep:
                    slots[place] = slot
    return starts, members, slots
