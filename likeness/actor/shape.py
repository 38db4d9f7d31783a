"""The head as a solid: a signed distance made of smoothly blended ellipsoids, spheres and capsules.

Design axes are those of the head frame (x right in the picture, y down, z into the head, metres) with the origin on the
nose bridge, level with the eyes. The skull's front is near z = 0. Meshes are made by casting rays at it from inside.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from likeness.actor.traits import Traits

CENTRE = np.array([0.0, 0.012, 0.085])
"""Every ray of a mesh starts here: the head, nose included, is star-shaped around it."""
EYE = np.array([0.0320, 0.0, 0.0225])
"""Centre of the eyeball at positive x."""
EYE_RADIUS = 0.0180
MOUTH = np.array([0.0, 0.0675])
"""x and y of the middle of the closed mouth."""


def ellipsoid(p: Float[Array, "n 3"], centre: tuple, radii: tuple) -> Float[Array, " n"]:
    """Approximate distance to an ellipsoid (Quilez): exact on the surface, smooth elsewhere."""
    q = (p - np.array(centre)) / np.array(radii)
    k0 = np.sqrt((q * q).sum(-1))
    k1 = np.sqrt(((q / np.array(radii)) ** 2).sum(-1)) + 1e-9
    return k0 * (k0 - 1) / k1


def capsule(p: Float[Array, "n 3"], a: tuple, b: tuple, ra: float | int, rb: float | int) -> Float[Array, " n"]:
    """Distance to a stick from a to b whose radius runs from ra to rb."""
    a_, ba = np.array(a), np.array(b) - np.array(a)
    pa = p - a_
    h = np.clip(pa @ ba / (ba @ ba), 0, 1)
    return np.linalg.norm(pa - h[:, None] * ba, axis=-1) - (ra + (rb - ra) * h)


def join(a: Float[Array, " n"], b: Float[Array, " n"], k: float) -> Float[Array, " n"]:
    """Union of two solids with a fillet of about k metres."""
    h = np.clip(0.5 + 0.5 * (b - a) / k, 0, 1)
    return b + (a - b) * h - k * h * (1 - h)


def carve(a: Float[Array, " n"], b: Float[Array, " n"], k: float) -> Float[Array, " n"]:
    """What remains of a when b is scooped out of it, with a soft rim."""
    return -join(-a, b, k)


def skull(p: Float[Array, "n 3"]) -> Float[Array, " n"]:
    """Cranium alone, what hair grows on."""
    return ellipsoid(p, (0, -0.036, 0.086), (0.0765, 0.0900, 0.0970))


def head(p: Float[Array, "n 3"], traits: Traits) -> Float[Array, " n"]:
    """Signed distance to the skin (without ears), negative inside. The face is symmetric: only |x| matters."""
    p = p * np.array([1.0, 1.0, 1.0])
    p[:, 0] = np.abs(p[:, 0])
    j, n = traits.jaw, traits.nose
    d = skull(p)
    d = join(d, ellipsoid(p, (0, 0.022, 0.070), (0.0700 * (0.5 + 0.5 * j), 0.088, 0.0690)), 0.022)
    d = join(d, capsule(p, (0.048 * j * j, 0.052, 0.078), (0.014, 0.094, 0.022), 0.0190, 0.0140), 0.030)
    d = join(d, ellipsoid(p, (0, 0.0975, 0.0185), (0.0185 * j, 0.0155, 0.0165)), 0.016)
    d = join(d, ellipsoid(p, (0.038, 0.033, 0.0245), (0.022, 0.0190, 0.0195)), 0.026)
    d = join(d, ellipsoid(p, (0, 0.067, 0.0260), (0.0300, 0.0230, 0.0265)), 0.018)
    d = join(d, capsule(p, (0.010, -0.0200, 0.0065), (0.043, -0.0160, 0.0190), 0.0085, 0.0075), 0.016)
    d = carve(d, ellipsoid(p, (0.0320, 0.003, -0.0075), (0.0215, 0.0135, 0.0125)), 0.014)
    d = carve(d, ellipsoid(p, (0, 0.0850, -0.0075), (0.0200, 0.0045, 0.0085)), 0.008)
    d = join(d, ellipsoid(p, tuple(EYE), (EYE_RADIUS + 0.0006,) * 3), 0.007)
    d = join(d, capsule(p, (0, -0.004, 0.0045), (0, 0.036, -0.0135 * n), 0.0075, 0.0085 * n), 0.013)
    d = join(d, ellipsoid(p, (0, 0.0405, -0.0160 * n), (0.0105 * n, 0.0092, 0.0100)), 0.008)
    d = join(d, ellipsoid(p, (0.0108 * n, 0.0440, -0.0045), (0.0072, 0.0066, 0.0090)), 0.008)
    return d


def cast(direction: Float[Array, "n 3"], traits: Traits) -> Float[Array, "n 3"]:
    """Where rays from CENTRE along unit `direction` leave the head; the *outermost* surface, found by bisection."""
    inner, outer = np.full(len(direction), 0.02), np.full(len(direction), 0.19)
    for _ in range(18):
        mid = 0.5 * (inner + outer)
        inside = head(CENTRE + direction * mid[:, None], traits) < 0
        inner, outer = np.where(inside, mid, inner), np.where(inside, outer, mid)
    return CENTRE + direction * (0.5 * (inner + outer))[:, None]


def front(xy: Float[Array, "n 2"], traits: Traits) -> Float[Array, "n 3"]:
    """The point of the face that is seen at x, y from straight ahead. Points that lie beyond the silhouette end up
    on it."""
    z = np.full(len(xy), 0.005)
    for _ in range(8):
        direction = np.column_stack([xy - CENTRE[:2], z - CENTRE[2]])
        z = cast(direction / np.linalg.norm(direction, axis=-1, keepdims=True), traits)[:, 2]
    direction = np.column_stack([xy - CENTRE[:2], z - CENTRE[2]])
    return cast(direction / np.linalg.norm(direction, axis=-1, keepdims=True), traits)
