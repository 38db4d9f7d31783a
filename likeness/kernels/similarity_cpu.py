"""Structural similarity on the CPU (Numba): blur, compare and differentiate in one walk down the picture.

The work is cut into units: one channel, STRIP rows, BLOCK columns. A unit walks down its rows, keeping the last 11 rows,
blurred sideways, in a ring; the ring never turns, only the weights of its slots do. Units are the same for any number
of threads, and so is the result.
"""

import numpy as np
from numba import prange

from likeness.kernels.compiled import compiled, take

TAPS = 11
REACH = 5
BLOCK = 128
STRIDE = 160
"""Floats between scratch planes: BLOCK + 2 REACH, and some, so that planes do not share cache sets."""
STRIP = 64

C1 = np.float32(0.01**2)
C2 = np.float32(0.03**2)
ONE = np.float32(1.0)
TWO = np.float32(2.0)
ZERO = np.float32(0.0)
_curve = np.exp(-(np.arange(-REACH, REACH + 1) ** 2) / (2 * 1.5**2))
WEIGHTS = (_curve / _curve.sum()).astype(np.float32)
W0, W1, W2, W3, W4, W5 = (WEIGHTS[REACH + k] for k in range(6))
RING_WEIGHTS = np.concatenate([WEIGHTS, WEIGHTS])


@compiled()
def blur_along(source, target, n):
    """target[i] = the blur of source around i + REACH."""
    for i in range(n):
        near = W1 * (source[i + 4] + source[i + 6]) + W2 * (source[i + 3] + source[i + 7])
        far = W3 * (source[i + 2] + source[i + 8]) + W4 * (source[i + 1] + source[i + 9])
        target[i] = W0 * source[i + 5] + near + far + W5 * (source[i] + source[i + 10])


@compiled()
def blur_across(ring, target, n, weights):
    """target = the weighted sum of the 11 slots of one ring."""
    w0, w1, w2, w3, w4, w5 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
    w6, w7, w8, w9, w10 = weights[6], weights[7], weights[8], weights[9], weights[10]
    for i in range(n):
        first = w0 * ring[i] + w1 * ring[i + STRIDE] + w2 * ring[i + 2 * STRIDE] + w3 * ring[i + 3 * STRIDE]
        middle = w4 * ring[i + 4 * STRIDE] + w5 * ring[i + 5 * STRIDE] + w6 * ring[i + 6 * STRIDE]
        last = w7 * ring[i + 7 * STRIDE] + w8 * ring[i + 8 * STRIDE] + w9 * ring[i + 9 * STRIDE]
        target[i] = first + middle + last + w10 * ring[i + 10 * STRIDE]


@compiled()
def _multiply(s, n):
    """Planes a, b -> planes a, b, a a, b b, a b."""
    for i in range(n):
        a = s[i]
        b = s[i + STRIDE]
        s[i + 2 * STRIDE] = a * a
        s[i + 3 * STRIDE] = b * b
        s[i + 4 * STRIDE] = a * b


@compiled()
def compare(s, n):
    """Blurred planes a, b, a a, b b, a b -> similarity and its derivatives by the blurred a, a a and a b (planes 0 to 3)."""
    for i in range(n):
        mean_a = s[i]
        mean_b = s[i + STRIDE]
        both = mean_a * mean_b
        square_a = mean_a * mean_a
        square_b = mean_b * mean_b
        light = TWO * both + C1
        shape = TWO * (s[i + 4 * STRIDE] - both) + C2
        inverse_c = ONE / (square_a + square_b + C1)
        inverse_d = ONE / (s[i + 2 * STRIDE] - square_a + s[i + 3 * STRIDE] - square_b + C2)
        inverse = inverse_c * inverse_d
        similarity = light * shape * inverse
        by_mean = mean_b * (shape - light) * inverse + similarity * mean_a * (inverse_d - inverse_c)
        s[i] = similarity
        s[i + STRIDE] = TWO * by_mean
        s[i + 2 * STRIDE] = -similarity * inverse_d
        s[i + 3 * STRIDE] = TWO * light * inverse


@compiled()
def _load(target, row, x0, channel):
    """One row of one channel, from REACH before x0 to REACH after the block, zero outside the picture."""
    width = row.shape[0]
    for i in range(BLOCK + 2 * REACH):
        x = x0 - REACH + i
        target[i] = row[x, channel] if 0 <= x < width else ZERO


@compiled(inline=True)
def _unit(index, strips, blocks, channels, height, width):
    """Picture, channel, first row, end row, first column and number of columns of one unit."""
    block = index % blocks
    strip = index // blocks % strips
    channel = index // (blocks * strips) % channels
    picture = index // (blocks * strips * channels)
    y0, x0 = strip * STRIP, block * BLOCK
    return picture, channel, y0, min(y0 + STRIP, height), x0, min(BLOCK, width - x0)


@compiled(parallel=True)
def similarity_forward(a, b, keep, workers):
    """Pictures [B H W C]. Returns the mean [1], the map, and (if `keep`) three maps of derivatives [3 B H W C]."""
    batch, height, width, channels = a.shape
    strips, blocks = (height + STRIP - 1) // STRIP, (width + BLOCK - 1) // BLOCK
    units = batch * channels * strips * blocks
    similarities = np.empty(a.shape, np.float32)
    derivatives = np.empty((3 if keep else 0, batch, height, width, channels), np.float32)
    totals = np.zeros(units, np.float64)
    counter = np.zeros(1, np.int64)
    for _worker in prange(workers):
        s = np.zeros(5 * STRIDE, np.float32)
        ring = np.zeros(5 * TAPS * STRIDE, np.float32)
        for _ in range(units):
            index = take(counter)
            if index >= units:
                break
            picture, channel, y0, y1, x0, n = _unit(index, strips, blocks, channels, height, width)
            total = 0.0
            for y in range(y0 - REACH, y1 + REACH):
                slot = (y - y0 + REACH) % TAPS
                if 0 <= y < height:
                    _load(s, a[picture, y], x0, channel)
                    _load(s[STRIDE:], b[picture, y], x0, channel)
                    _multiply(s, BLOCK + 2 * REACH)
                    for plane in range(5):
                        blur_along(s[plane * STRIDE :], ring[(plane * TAPS + slot) * STRIDE :], n)
                else:
                    for plane in range(5):
                        start = (plane * TAPS + slot) * STRIDE
                        ring[start : start + n] = ZERO
                row = y - REACH
                if row < y0:
                    continue
                weights = RING_WEIGHTS[TAPS - 1 - slot :]
                for plane in range(5):
                    blur_across(ring[plane * TAPS * STRIDE :], s[plane * STRIDE :], n, weights)
                compare(s, n)
                for i in range(n):
                    similarities[picture, row, x0 + i, channel] = s[i]
                    total += s[i]
                if keep:
                    for plane in range(3):
                        for i in range(n):
                            derivatives[plane, picture, row, x0 + i, channel] = s[(plane + 1) * STRIDE + i]
            totals[index] = total
    mean = np.empty(1, np.float32)
    mean[0] = np.float32(totals.sum() / max(a.size, 1))
    return mean, similarities, derivatives


@compiled()
def _scale(s, upstream, share, n):
    """Planes 0 to 2 times the gradient of the map, which is its mean's share plus `upstream`."""
    for i in range(n):
        v = share + upstream[i]
        s[i] *= v
        s[i + STRIDE] *= v
        s[i + 2 * STRIDE] *= v


@compiled(parallel=True)
def similarity_backward(a, b, derivatives, share, upstream, workers):
    """Gradient of a. The map's gradient is `share` everywhere plus `upstream` [B H W C], left out when B is 0."""
    batch, height, width, channels = a.shape
    strips, blocks = (height + STRIP - 1) // STRIP, (width + BLOCK - 1) // BLOCK
    units = batch * channels * strips * blocks
    v_a = np.empty(a.shape, np.float32)
    counter = np.zeros(1, np.int64)
    for _worker in prange(workers):
        s = np.zeros(4 * STRIDE, np.float32)
        ring = np.zeros(3 * TAPS * STRIDE, np.float32)
        for _ in range(units):
            index = take(counter)
            if index >= units:
                break
            picture, channel, y0, y1, x0, n = _unit(index, strips, blocks, channels, height, width)
            for y in range(y0 - REACH, y1 + REACH):
                slot = (y - y0 + REACH) % TAPS
                if 0 <= y < height:
                    for plane in range(3):
                        _load(s[plane * STRIDE :], derivatives[plane, picture, y], x0, channel)
                    if upstream.shape[0] > 0:
                        _load(s[3 * STRIDE :], upstream[picture, y], x0, channel)
                    _scale(s, s[3 * STRIDE :], share, BLOCK + 2 * REACH)
                    for plane in range(3):
                        blur_along(s[plane * STRIDE :], ring[(plane * TAPS + slot) * STRIDE :], n)
                else:
                    for plane in range(3):
                        start = (plane * TAPS + slot) * STRIDE
                        ring[start : start + n] = ZERO
                row = y - REACH
                if row < y0:
                    continue
                weights = RING_WEIGHTS[TAPS - 1 - slot :]
                for plane in range(3):
                    blur_across(ring[plane * TAPS * STRIDE :], s[plane * STRIDE :], n, weights)
                for i in range(n):
                    x = x0 + i
                    direct = TWO * a[picture, row, x, channel] * s[i + STRIDE]
                    crossed = b[picture, row, x, channel] * s[i + 2 * STRIDE]
                    v_a[picture, row, x, channel] = s[i] + direct + crossed
    return v_a
