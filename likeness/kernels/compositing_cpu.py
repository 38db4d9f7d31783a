"""Volume rendering on the CPU (Numba), forward and backward: exponentials in one packed loop, then ray by ray.

Threads take blocks of rays, and write to these rays and their samples alone: results do not depend on their number. The
backward pass goes through a ray once forwards, for the transmittance behind each sample, which the weights tell without any
exponential, and once backwards, adding up what is still to come (the rest): taking that from the whole would lose it to
rounding.
"""

import numpy as np
from numba import prange

from likeness.kernels.compiled import compiled, take
from likeness.kernels.compositing_reference import OPAQUE

RAYS = 256
"""Rays that a thread takes at a time."""

ZERO = np.float32(0.0)
ONE = np.float32(1.0)
TWO = np.float32(2.0)
LEAST = np.float32(OPAQUE)
DENSEST = np.float32(20.0)
"""Optical thickness from which on float32 does not tell alpha from 1."""
SHARE = np.float32(1 / 64)

# (exp(y) - 1) / y for y in [-20 / 64, 0], to 2e-7.
E1 = np.float32(1 / 2)
E2 = np.float32(1 / 6)
E3 = np.float32(1 / 24)
E4 = np.float32(1 / 120)
E5 = np.float32(1 / 720)


@compiled(inline=True)
def _alpha(thickness):
    """1 - exp(-thickness), to 4e-7 of itself however thin: exp(2 y) - 1 is m (m + 2) for m = exp(y) - 1, six times over."""
    y = -SHARE * min(thickness, DENSEST)
    m = y * (ONE + y * (E1 + y * (E2 + y * (E3 + y * (E4 + y * E5)))))
    m *= m + TWO
    m *= m + TWO
    m *= m + TWO
    m *= m + TWO
    m *= m + TWO
    return -m * (m + TWO)


@compiled()
def absorb(density, width, alphas, n):
    """alpha of n samples that are all as wide."""
    for i in range(n):
        alphas[i] = _alpha(density[i] * width)


@compiled()
def absorb_each(density, widths, alphas, n):
    for i in range(n):
        alphas[i] = _alpha(density[i] * widths[i])


@compiled()
def _look(weights, values, t, value):
    """Goes along one ray, whose weights come in as alphas. Returns transmittance, depth and how many samples it took."""
    samples, channels = values.shape
    transmittance, depth, taken = ONE, ZERO, samples
    r = g = b = ZERO
    value[:] = ZERO
    for k in range(samples):
        if transmittance < LEAST:
            weights[k:] = ZERO
            taken = k
            break
        weight = transmittance * weights[k]
        weights[k] = weight
        transmittance -= weight
        if t.shape[0] > 0:
            depth += weight * t[k]
        if channels == 3:
            r += weight * values[k, 0]
            g += weight * values[k, 1]
            b += weight * values[k, 2]
        else:
            for channel in range(channels):
                value[channel] += weight * values[k, channel]
    if channels == 3:
        value[0], value[1], value[2] = r, g, b
    return transmittance, depth, taken


@compiled(parallel=True)
def composite_forward(density, values, widths, starts, t, workers):
    """Returns value [N C], alpha [N], depth [N] (zeros where t is empty), weights [M] and taken [N]."""
    n = starts.shape[0] - 1
    value = np.empty((n, values.shape[1]), np.float32)
    alpha, depth, taken = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.int32)
    weights = np.empty(density.shape[0], np.float32)
    counter = np.zeros(1, np.int64)
    for _worker in prange(workers):
        for _ in range(n):
            block = take(counter) * RAYS
            if block >= n:
                break
            end = min(block + RAYS, n)
            first, last = starts[block], starts[end]
            if widths.shape[0] == 1:
                absorb(density[first:], widths[0], weights[first:], last - first)
            else:
                absorb_each(density[first:], widths[first:], weights[first:], last - first)
            for i in range(block, end):
                a, b = starts[i], starts[i + 1]
                transmittance, depth[i], taken[i] = _look(weights[a:b], values[a:b], t[a:b], value[i])
                alpha[i] = ONE - transmittance
    return value, alpha, depth, weights, taken


@compiled()
def _look_back(values, widths, t, weights, taken, v_value, v_alpha, v_depth, v_weights, v_density, v_values):
    """Backward of `_look` for one ray; `widths`, `t` and `v_weights` may be empty or, `widths`, have one number for all."""
    channels = values.shape[1]
    v_density[taken:] = ZERO
    v_values[taken:] = ZERO
    transmittance, rest = ONE, ZERO
    for k in range(taken):
        transmittance -= weights[k]
        v_density[k] = transmittance
    for k in range(taken - 1, -1, -1):
        weight, v = weights[k], v_alpha
        if t.shape[0] > 0:
            v += v_depth * t[k]
        if v_weights.shape[0] > 0:
            v += v_weights[k]
        if channels == 3:
            v += v_value[0] * values[k, 0] + v_value[1] * values[k, 1] + v_value[2] * values[k, 2]
            v_values[k, 0], v_values[k, 1], v_values[k, 2] = weight * v_value[0], weight * v_value[1], weight * v_value[2]
        else:
            for channel in range(channels):
                v += v_value[channel] * values[k, channel]
                v_values[k, channel] = weight * v_value[channel]
        width = widths[0] if widths.shape[0] == 1 else widths[k]
        v_density[k] = width * (v_density[k] * v - rest)
        rest += weight * v


@compiled(parallel=True)
def composite_backward(values, widths, starts, t, weights, taken, v_value, v_alpha, v_depth, v_weights, workers):
    """Gradients of density [M] and values [M C]; v_weights may be empty."""
    n = starts.shape[0] - 1
    v_density, v_values = np.empty(values.shape[0], np.float32), np.empty(values.shape, np.float32)
    counter = np.zeros(1, np.int64)
    for _worker in prange(workers):
        for _ in range(n):
            block = take(counter) * RAYS
            if block >= n:
                break
            for i in range(block, min(block + RAYS, n)):
                a, b = starts[i], starts[i + 1]
                wide = widths if widths.shape[0] == 1 else widths[a:b]
                upstream = v_value[i], v_alpha[i], v_depth[i], v_weights[a:b]
                _look_back(values[a:b], wide, t[a:b], weights[a:b], taken[i], *upstream, v_density[a:b], v_values[a:b])
    return v_density, v_values
