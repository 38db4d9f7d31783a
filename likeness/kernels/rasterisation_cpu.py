"""Compositing Gaussians tile by tile on the CPU (Numba), forward and backward.

All rows of one Gaussian inside a tile are one contiguous stretch of a tile-sized scratch buffer, so that the inner loop
is one plain loop over pixels, which LLVM turns into packed fused multiply-adds. The backward pass composites front to
back once more, keeping what is still to come (the rest), and writes its ten sums to the slot of the (Gaussian, tile)
pair; slots are added up per Gaussian afterwards. Tiles go to whichever thread is free, but nothing is ever added by two
threads in turn: results do not depend on the number of threads.
"""

import numpy as np
from numba import prange

from likeness.kernels.compiled import compiled, take
from likeness.kernels.tiles_cpu import (
    BLUE,
    BOTTOM,
    DEPTH,
    FLOOR,
    GREEN,
    OPACITY,
    RED,
    TILE,
    TOP,
    XX,
    XY,
    YY,
    X,
    Y,
)

PIXELS = TILE * TILE
SUMS = 10
"""Sums per slot: red, green, blue, depth, h, h dx, h dy, h dx^2, h dx dy, h dy^2, with h = d loss/d opacity."""

ZERO = np.float32(0.0)
ONE = np.float32(1.0)
HALF = np.float32(0.5)
TWO = np.float32(2.0)
EIGHT = np.float32(8.0)
MOST = np.float32(0.999)
OPAQUE = np.float32(1e-4)
CHECK = 8
"""How often (in Gaussians) to ask whether a tile is opaque: the question costs about an eighth of a Gaussian."""

# exp(y) on [-0.7, 0] with exp(0) = 1, minimax to 9e-8; three squarings give exp(8 y), y >= -log(255)/8.
E1 = np.float32(0.9999947625855432)
E2 = np.float32(0.49989977816332215)
E3 = np.float32(0.1660284034347132)
E4 = np.float32(0.03984830801240851)
E5 = np.float32(0.005885252081581772)


@compiled(inline=True)
def _exp8(y):
    """exp(8 y) for y in [-0.7, 0]; finite rubbish below."""
    e = ONE + y * (E1 + y * (E2 + y * (E3 + y * (E4 + y * E5))))
    e = e * e
    e = e * e
    return e * e


@compiled()
def composite(s, n, x, y, xx, xy, yy, floor, opacity, red, green, blue, depth):
    """One Gaussian over n pixels. Planes of `s`, PIXELS apart: transmittance, red, green, blue, depth, pixel x, pixel y."""
    for i in range(n):
        dx = s[i + 5 * PIXELS] - x
        dy = s[i + 6 * PIXELS] - y
        power = dx * (xx * dx + xy * dy) + yy * dy * dy
        alpha = min(opacity * _exp8(power), MOST)
        transmittance = s[i]
        alpha = alpha if (power >= floor) & (transmittance >= OPAQUE) else ZERO
        weight = alpha * transmittance
        s[i] = transmittance - weight
        s[i + PIXELS] += weight * red
        s[i + 2 * PIXELS] += weight * green
        s[i + 3 * PIXELS] += weight * blue
        s[i + 4 * PIXELS] += weight * depth


@compiled(finite=True)
def _is_opaque(s):
    """Whether no pixel of the tile lets enough light through; `s` starts with the transmittances."""
    most = ZERO
    for i in range(PIXELS):
        most = max(most, s[i])
    return most < OPAQUE


@compiled()
def _pixel_centres(s, plane):
    for i in range(PIXELS):
        s[plane * PIXELS + i] = np.float32(i % TILE) + HALF
        s[(plane + 1) * PIXELS + i] = np.float32(i // TILE) + HALF


@compiled(inline=True)
def _rows(row, y0, height):
    """First row and end row, counted inside the tile at y0, of one packed Gaussian."""
    first = max(np.int64(row[TOP]) - y0, 0)
    return first, max(min(min(np.int64(row[BOTTOM]) - y0, TILE), height - y0), first)


@compiled(parallel=True)
def rasterise_forward(packed, starts, members, width, height, workers):
    """Composites every tile. Returns image [H W 3], alpha [H W], depth [H W] and used [tiles]: entries looked at."""
    image = np.empty((height, width, 3), np.float32)
    alpha = np.empty((height, width), np.float32)
    depth = np.empty((height, width), np.float32)
    tiles_x = (width + TILE - 1) // TILE
    tiles = starts.shape[0] - 1
    used = np.zeros(tiles, np.int32)
    counter = np.zeros(1, np.int64)
    for _worker in prange(workers):
        s = np.empty(7 * PIXELS, np.float32)
        _pixel_centres(s, 5)
        for _ in range(tiles):
            tile = take(counter)
            if tile >= tiles:
                break
            x0 = tile % tiles_x * TILE
            y0 = tile // tiles_x * TILE
            s[:PIXELS] = ONE
            s[PIXELS : 5 * PIXELS] = ZERO
            entries = members[starts[tile] : starts[tile + 1]]
            looked = 0
            for k in range(entries.shape[0]):
                if k % CHECK == CHECK - 1 and _is_opaque(s):
                    break
                looked = k + 1
                g = packed[entries[k]]
                first, end = _rows(g, y0, height)
                composite(
                    s[first * TILE :],
                    (end - first) * TILE,
                    g[X] - np.float32(x0),
                    g[Y] - np.float32(y0),
                    g[XX],
                    g[XY],
                    g[YY],
                    g[FLOOR],
                    g[OPACITY],
                    g[RED],
                    g[GREEN],
                    g[BLUE],
                    g[DEPTH],
                )
            used[tile] = looked
            for r in range(min(TILE, height - y0)):
                for c in range(min(TILE, width - x0)):
                    i = r * TILE + c
                    image[y0 + r, x0 + c, 0] = s[i + PIXELS]
                    image[y0 + r, x0 + c, 1] = s[i + 2 * PIXELS]
                    image[y0 + r, x0 + c, 2] = s[i + 3 * PIXELS]
                    depth[y0 + r, x0 + c] = s[i + 4 * PIXELS]
                    alpha[y0 + r, x0 + c] = ONE - s[i]
    return image, alpha, depth, used


@compiled()
def differentiate(s, n, x, y, xx, xy, yy, floor, opacity, red, green, blue, depth, sums):
    """Backward of `composite`. Planes of `s`: transmittance, rest, gradients of red, green, blue, depth, alpha, x, y."""
    s_red = s_green = s_blue = s_depth = s_h = s_x = s_y = s_xx = s_xy = s_yy = ZERO
    for i in range(n):
        dx = s[i + 7 * PIXELS] - x
        dy = s[i + 8 * PIXELS] - y
        power = dx * (xx * dx + xy * dy) + yy * dy * dy
        density = _exp8(power)
        free = opacity * density
        transmittance = s[i]
        live = (power >= floor) & (transmittance >= OPAQUE)
        alpha = min(free, MOST) if live else ZERO
        weight = alpha * transmittance
        v_red = s[i + 2 * PIXELS]
        v_green = s[i + 3 * PIXELS]
        v_blue = s[i + 4 * PIXELS]
        v_depth = s[i + 5 * PIXELS]
        value = red * v_red + green * v_green + blue * v_blue + depth * v_depth + s[i + 6 * PIXELS]
        rest = s[i + PIXELS] - weight * value
        s[i] = transmittance - weight
        s[i + PIXELS] = rest
        h = density * (transmittance * value - rest / (ONE - alpha))
        h = h if live & (free < MOST) else ZERO
        s_red += weight * v_red
        s_green += weight * v_green
        s_blue += weight * v_blue
        s_depth += weight * v_depth
        hx = h * dx
        hy = h * dy
        s_h += h
        s_x += hx
        s_y += hy
        s_xx += hx * dx
        s_xy += hx * dy
        s_yy += hy * dy
    sums[0] = s_red
    sums[1] = s_green
    sums[2] = s_blue
    sums[3] = s_depth
    sums[4] = s_h
    sums[5] = s_x
    sums[6] = s_y
    sums[7] = s_xx
    sums[8] = s_xy
    sums[9] = s_yy


@compiled()
def _load_tile(s, x0, y0, image, alpha, depth, v_image, v_alpha, v_depth):
    """Upstream gradients of one tile, and the rest: what all its Gaussians together contribute to the loss."""
    s[:PIXELS] = ONE
    s[PIXELS : 7 * PIXELS] = ZERO
    for r in range(min(TILE, image.shape[0] - y0)):
        for c in range(min(TILE, image.shape[1] - x0)):
            i = r * TILE + c
            rest = v_alpha[y0 + r, x0 + c] * alpha[y0 + r, x0 + c] + v_depth[y0 + r, x0 + c] * depth[y0 + r, x0 + c]
            for channel in range(3):
                v = v_image[y0 + r, x0 + c, channel]
                rest += v * image[y0 + r, x0 + c, channel]
                s[i + (2 + channel) * PIXELS] = v
            s[i + PIXELS] = rest
            s[i + 5 * PIXELS] = v_depth[y0 + r, x0 + c]
            s[i + 6 * PIXELS] = v_alpha[y0 + r, x0 + c]


@compiled(parallel=True)
def rasterise_backward(packed, starts, members, slots, used, image, alpha, depth, v_image, v_alpha, v_depth, workers):
    """Sums [M SUMS] per slot; `gather_gradients` turns them into gradients."""
    height, width = alpha.shape
    tiles_x = (width + TILE - 1) // TILE
    tiles = starts.shape[0] - 1
    sums = np.empty((members.shape[0], SUMS), np.float32)
    counter = np.zeros(1, np.int64)
    for _worker in prange(workers):
        s = np.empty(9 * PIXELS, np.float32)
        _pixel_centres(s, 7)
        for _ in range(tiles):
            tile = take(counter)
            if tile >= tiles:
                break
            x0 = tile % tiles_x * TILE
            y0 = tile // tiles_x * TILE
            _load_tile(s, x0, y0, image, alpha, depth, v_image, v_alpha, v_depth)
            start = starts[tile]
            for k in range(start, start + used[tile]):
                g = packed[members[k]]
                first, end = _rows(g, y0, height)
                differentiate(
                    s[first * TILE :],
                    (end - first) * TILE,
                    g[X] - np.float32(x0),
                    g[Y] - np.float32(y0),
                    g[XX],
                    g[XY],
                    g[YY],
                    g[FLOOR],
                    g[OPACITY],
                    g[RED],
                    g[GREEN],
                    g[BLUE],
                    g[DEPTH],
                    sums[slots[k]],
                )
            for k in range(start + used[tile], starts[tile + 1]):
                sums[slots[k], :] = ZERO
    return sums


@compiled(parallel=True)
def gather_gradients(packed, offsets, sums):
    """Adds up the slots of each Gaussian. Returns gradients of means2d, conics, colors [N 3], opacities, depths."""
    n = offsets.shape[0] - 1
    v_means = np.zeros((n, 2), np.float32)
    v_conics = np.zeros((n, 3), np.float32)
    v_colors = np.zeros((n, 3), np.float32)
    v_opacities = np.zeros(n, np.float32)
    v_depths = np.zeros(n, np.float32)
    for g in prange(n):
        if offsets[g + 1] > offsets[g]:
            red = green = blue = depth = h = hx = hy = hxx = hxy = hyy = ZERO
            for slot in range(offsets[g], offsets[g + 1]):
                red += sums[slot, 0]
                green += sums[slot, 1]
                blue += sums[slot, 2]
                depth += sums[slot, 3]
                h += sums[slot, 4]
                hx += sums[slot, 5]
                hy += sums[slot, 6]
                hxx += sums[slot, 7]
                hxy += sums[slot, 8]
                hyy += sums[slot, 9]
            row = packed[g]
            opacity = row[OPACITY]
            v_colors[g, 0], v_colors[g, 1], v_colors[g, 2] = red, green, blue
            v_depths[g] = depth
            v_opacities[g] = h
            v_means[g, 0] = -EIGHT * opacity * (TWO * row[XX] * hx + row[XY] * hy)
            v_means[g, 1] = -EIGHT * opacity * (row[XY] * hx + TWO * row[YY] * hy)
            v_conics[g, 0] = -HALF * opacity * hxx
            v_conics[g, 1] = -opacity * hxy
            v_conics[g, 2] = -HALF * opacity * hyy
    return v_means, v_conics, v_colors, v_opacities, v_depths
