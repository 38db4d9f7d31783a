"""What belongs to the actor besides the face: eyes, teeth, tongue, ears, hair, neck and torso, as simple meshes.

Everything is in the design axes of `shape`; how each part moves is decided in `figure`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int32
from numpy import ndarray as Array

from likeness.actor import shape
from likeness.actor.face import smoothstep
from likeness.actor.shape import CENTRE, EYE_RADIUS
from likeness.actor.traits import Traits

SHOULDER = np.array([0.0, 0.20, 0.10])
"""The torso turns about this point."""
COLLAR_ROWS = 6
"""Rows of the torso that make its collar."""


@dataclass(frozen=True)
class Part:
    """A piece of surface at rest."""

    vertices: Float[Array, "v 3"]
    triangles: Int32[Array, "f 3"]
    uv: Float[Array, "v 2"]
    shade: Float[Array, " v"]
    """Ambient occlusion, 1 = open to the light."""
    tangent: Float[Array, "v 3"] | None = None
    closed: bool = False
    """Whether the last column repeats the first (a seam whose normals must agree)."""
    columns: int = 0


def sheet(
    vertices: Float[Array, "r c 3"],
    uv: Float[Array, "r c 2"],
    shade: Array,
    tangent: Array | None = None,
    closed: bool = False,
) -> Part:
    """A grid of vertices, row by row, as a Part."""
    rows, columns = vertices.shape[:2]
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    quads = np.concatenate([np.column_stack([a, a + columns, a + 1]), np.column_stack([a + 1, a + columns, a + columns + 1])])
    shade = np.broadcast_to(shade, (rows, columns)).reshape(-1).astype(float)
    flat = None if tangent is None else tangent.reshape(-1, 3)
    return Part(vertices.reshape(-1, 3), quads.astype(np.int32), uv.reshape(-1, 2), shade, flat, closed, columns)


def waves(rng: np.random.Generator, x: Array, count: int, low: float | int, high: float | int) -> Array:
    """A random sum of sines of x with whole frequencies between low and high: noise that closes on a circle.
    Variance 1."""
    total = np.zeros_like(x)
    for _ in range(count):
        total = total + np.sin(round(rng.uniform(low, high)) * x + rng.uniform(0, 2 * np.pi))
    return total * np.sqrt(2 / count)


def eyeball(side: float | int) -> Part:
    """Front of an eyeball looking ahead, around its own centre (the origin); the cornea bulges a little."""
    r = np.linspace(0, 1, 36)[:, None] * np.radians(88)
    a = np.linspace(0, 2 * np.pi, 41)[None]
    radius = EYE_RADIUS * (1 + 0.020 * np.exp(-((r / 0.30) ** 4)))
    v = np.stack(np.broadcast_arrays(np.sin(r) * np.cos(a), np.sin(r) * np.sin(a), -np.cos(r)), -1)
    uv = 0.5 + 0.48 * v[..., :2]
    return sheet(v * np.broadcast_to(radius, v.shape[:2])[..., None], uv, np.ones(1), closed=True)


def teeth(upper: bool) -> Part:
    """A row of teeth with its gum on an arc behind the lips; u runs along the arc, v from gum (0) to edge (1)."""
    s = np.linspace(-1, 1, 61)
    count = 10 if upper else 12
    v = np.linspace(0, 1, 6)[:, None]
    scallop = np.abs(np.sin(np.pi * count / 2 * s)) ** 0.4
    x = 0.0215 * s * (1 - 0.12 * s**2)
    z = 0.0050 + 0.0190 * np.abs(s) ** 2.2 + (0.0 if upper else 0.0022) - 0.0005 * scallop
    if upper:
        y = 0.0560 + v * (0.0700 - 0.0008 * s**2 + 0.0006 * scallop - 0.0560)
    else:
        y = 0.0860 + v * (0.0702 + 0.0004 * s**2 - 0.0004 * scallop - 0.0860)
    vertices = np.stack(np.broadcast_arrays(x[None], y, z[None] - 0.0012 * np.sin(np.pi * v)), -1)
    uv = np.stack(np.broadcast_arrays((0.5 + 0.5 * s)[None] * 0.98 + 0.01, v * 0.46 + (0.02 if upper else 0.52)), -1)
    shade = (0.95 - 0.60 * s**2)[None] * (0.60 + 0.40 * v)
    return sheet(vertices, uv, shade * (1.0 if upper else 0.75))


def tongue() -> Part:
    """A flattened ellipsoid lying behind the lower teeth."""
    a, b = np.linspace(0, 2 * np.pi, 25)[None], np.linspace(0.02, np.pi - 0.02, 13)[:, None]
    v = np.stack(np.broadcast_arrays(np.sin(b) * np.cos(a), np.cos(b) * np.ones_like(a), np.sin(b) * np.sin(a)), -1)
    groove = 0.0022 * np.exp(-((v[..., 0] / 0.18) ** 2)) * (v[..., 1] < 0)
    p = v * (0.0165, 0.0080, 0.0200) + (0, 0.0772, 0.0300)
    p[..., 1] += groove
    uv = np.stack([0.5 + 0.45 * v[..., 0], 0.5 + 0.45 * v[..., 2]], -1)
    return sheet(p, uv, 0.9 - 0.5 * smoothstep(-0.7, 0.6, v[..., 2]), closed=True)


def ear(side: float | int) -> Part:
    """An auricle with a rim and a hollow, on the side of the head."""
    a = np.linspace(0, 2 * np.pi, 41)[None]
    r = np.array([0, 0.2, 0.36, 0.5, 0.62, 0.74, 0.84, 0.93, 1.0, 1.02, 0.9])[:, None]
    lobe = 1 - 0.18 * np.sin(a)  # a = 90 degrees points down: lobe narrower
    back = 0.0175 * r * np.cos(a) * lobe
    down = 0.0320 * r * np.sin(a)
    lift = np.array([-2.0, -2.0, -1.2, 1.0, 1.8, 1.4, 2.6, 4.0, 3.0, 1.0, -3.0])[:, None] * 0.001
    lift = lift * (0.65 + 0.35 * np.cos(a - 0.5)) + 0.36 * (back + 0.0175) + 0.0006 * np.sin(3 * a) * (r < 0.8)
    x = side * (0.0725 + lift)
    vertices = np.stack(np.broadcast_arrays(x, 0.014 + down + 0.10 * back, 0.090 + 0.94 * back + 0.14 * down), -1)
    shade = np.interp(r, [0, 0.3, 0.5, 0.74, 0.9], [0.42, 0.50, 0.85, 0.66, 1.0]) * np.ones_like(a)
    uv = np.stack(np.broadcast_arrays(0.3 + 0.1 * r * np.cos(a), 0.3 + 0.1 * r * np.sin(a)), -1)
    return sheet(vertices, uv, shade, closed=True)


def hairline(azimuth: Array, traits: Traits, long: bool | None = None) -> Array:
    """Elevation (degrees above CENTRE) at which hair begins, over the azimuth (radians, 0 = front, positive to +x)."""
    degrees = np.degrees(np.abs(azimuth))
    if traits.long_hair if long is None else long:
        base = np.interp(degrees, [0, 20, 42, 60, 70, 180], [46, 45, 39, 12, -12, -22])
        sweep = -7.0
    else:
        base = np.interp(
            degrees,
            [0, 20, 40, 58, 72, 80, 88, 97, 108, 122, 150, 180],
            [48, 48, 46, 36, 20, -3, 2, 20, 16, -14, -28, -34],
        )
        sweep = -3.0
    signed = np.degrees(azimuth) * traits.parting
    return base + sweep * np.exp(-(((signed + 16) / 22) ** 2)) + 3 * np.exp(-(((signed - 24) / 10) ** 2))


def hair(traits: Traits, seed: int) -> Part:
    """Hair as one sculpted shell with locks: from the parting over the skull to the hairline (or hanging down, when
    long)."""
    rng = np.random.default_rng([104729, seed])
    columns, rows = 193, 40
    a = np.linspace(-np.pi, np.pi, columns)[None]
    b = np.linspace(0, 1, rows)[:, None]
    ragged = 0.6 if traits.long_hair else 0.5
    low = hairline(a, traits) + ragged * (1.1 * waves(rng, a, 5, 8, 20) + 0.7 * waves(rng, a, 5, 25, 60))
    curtain = smoothstep(44, 64, np.degrees(np.abs(a))) * traits.long_hair
    e = np.radians(90 - (90 - low) * b**0.92)
    # locks are swept away from the parting: the same strand is found at another azimuth further down
    front = np.cos(a) * 0.5 + 0.5
    strand = a + 0.75 * traits.parting * front * (1 - b) * np.sin(np.pi * np.clip(b + 0.35, 0, 1))
    locks = waves(np.random.default_rng([1, seed]), strand, 6, 9, 24)
    fine = waves(np.random.default_rng([2, seed]), strand, 8, 40, 90)
    d = np.stack(np.broadcast_arrays(np.cos(e) * np.sin(a), -np.sin(e), -np.cos(e) * np.cos(a)), -1)
    skin = shape.cast(d.reshape(-1, 3), traits).reshape(d.shape)
    part_line = np.exp(-(((np.degrees(a) * traits.parting - 26) / 5.5) ** 2)) * (np.cos(a) > 0) * smoothstep(0.05, 0.4, b)
    top = 0.0180 + 0.0150 * np.exp(-(((np.degrees(a) * traits.parting + 12) / 38) ** 2)) * np.sin(np.pi * b**0.8)
    thick = np.where(
        traits.long_hair,
        0.0155 + 0.004 * np.sin(np.pi * b),
        top - 0.0070 * smoothstep(40, 85, np.degrees(np.abs(a))) * b,
    )
    blunt = np.where(traits.long_hair, 1 - b**7, (1 - b**2.3) ** 0.85)  # short hair rises from the hairline, a fringe hangs
    edge = blunt * (1 - curtain) + curtain
    thick = (
        thick * (1 + np.where(traits.long_hair, 0.11, 0.17) * locks + 0.035 * fine) * edge
        - 0.0012 * (1 - edge)
        - 0.0065 * part_line * (1 - b**4)
    )
    p = skin + d * thick[..., None]
    drop = curtain * smoothstep(0.50, 1.0, b) * (0.075 + 0.004 * waves(rng, a, 4, 10, 30))
    wide = 1 + 0.16 * np.sin(np.pi * np.clip(drop / 0.085, 0, 1)) * curtain
    p[..., 0] *= wide
    p[..., 2] = CENTRE[2] + (p[..., 2] - CENTRE[2]) * (1 + 0.05 * curtain)
    p[..., 1] += drop
    along = np.gradient(p, axis=0)
    across = np.gradient(p, axis=1)
    along /= np.linalg.norm(along, axis=-1, keepdims=True) + 1e-12
    across /= np.linalg.norm(across, axis=-1, keepdims=True) + 1e-12
    tangent = along + across * (0.8 * traits.parting * front * (1 - b) * (1 - curtain))[..., None]
    shade = np.clip(0.88 + 0.12 * locks + 0.05 * fine - 0.35 * part_line, 0.35, 1.0) * (
        1 - 0.30 * curtain * smoothstep(0.6, 1, b)
    )
    uv = np.stack(np.broadcast_arrays(strand * (6 / (2 * np.pi)), 0.6 * b), -1)
    part = sheet(p, uv, shade, tangent, closed=True)
    return part


def neck(traits: Traits) -> Part:
    """A slightly leaning column from under the jaw into the collar."""
    a = np.linspace(-np.pi, np.pi, 49)[None]
    b = np.linspace(0, 1, 14)[:, None]
    y = 0.055 + 0.155 * b
    size = (0.90 if traits.long_hair else 1.0) * (0.0540 + 0.0030 * b + 0.014 * smoothstep(0.65, 1, b))
    cord = 0.0018 * np.exp(-(((np.abs(a) - 0.55 + 0.25 * b) / 0.16) ** 2)) - 0.0020 * np.exp(-((a / 0.14) ** 2)) * smoothstep(
        0.6, 0.85, b
    )
    throat = 0.0025 * np.exp(-((a / 0.2) ** 2) - ((b - 0.45) / 0.12) ** 2) * (0.3 if traits.long_hair else 1.0)
    r = size + cord + throat
    front = np.cos(a) * 0.5 + 0.5
    behind = 0.036 * front * (1 - smoothstep(0.15, 0.45, b))  # its hidden top stays out of the mouth
    vertices = np.stack(np.broadcast_arrays(r * np.sin(a), y, 0.086 + 0.012 * b - 0.98 * r * np.cos(a) + behind), -1)
    shade = 1 - (0.72 * (1 - smoothstep(0.18, 0.62, b)) + 0.1) * (0.35 + 0.65 * front)
    shade = shade * (1 - 0.35 * smoothstep(0.70, 0.86, b) * (1 - front * 0.6))
    uv = np.stack(np.broadcast_arrays(0.5 + 0.4 * a / np.pi, 0.1 + 0.5 * b), -1)
    return sheet(vertices, uv, shade, closed=True)


def torso(traits: Traits) -> Part:
    """Shoulders and chest in a pullover; the first rows roll over into the collar."""
    table = np.array(
        [  # y, half width, half depth, z of the middle
            [0.172, 0.0590, 0.0600, 0.098],
            [0.160, 0.0610, 0.0625, 0.098],
            [0.1545, 0.0650, 0.0665, 0.098],
            [0.1560, 0.0690, 0.0705, 0.098],
            [0.1635, 0.0715, 0.0725, 0.098],
            [0.1660, 0.0730, 0.0735, 0.098],
            [0.1715, 0.0880, 0.0770, 0.099],
            [0.1790, 0.1120, 0.0810, 0.100],
            [0.1880, 0.1380, 0.0850, 0.101],
            [0.2000, 0.1620, 0.0890, 0.102],
            [0.2170, 0.1810, 0.0950, 0.103],
            [0.2450, 0.1960, 0.1020, 0.104],
            [0.2900, 0.2060, 0.1090, 0.104],
            [0.3500, 0.2130, 0.1130, 0.104],
            [0.4300, 0.2160, 0.1130, 0.104],
            [0.6000, 0.2150, 0.1100, 0.104],
        ]
    )
    table[:, 0] -= 0.008
    table[5:, 1] = 0.073 + (table[5:, 1] - 0.073) * (0.86 if traits.long_hair else 1.0)
    a = np.linspace(-np.pi, np.pi, 97)[None]
    y, w, depth, z = (table[:, k : k + 1] for k in range(4))
    power = 0.86
    cx = np.sign(np.sin(a)) * np.abs(np.sin(a)) ** power
    cz = np.sign(np.cos(a)) * np.abs(np.cos(a)) ** power
    dip = np.where(np.arange(len(table))[:, None] < 9, 0.012, 0.012) * np.maximum(np.cos(a), 0) ** 2
    dip = dip * (1 - smoothstep(0.19, 0.26, y))
    fold = 0.0022 * np.sin(7 * a + 22 * y) * smoothstep(0.20, 0.3, y) + 0.0016 * np.sin(15 * a - 31 * y) * smoothstep(
        0.2, 0.3, y
    )
    vertices = np.stack(np.broadcast_arrays((w + fold) * cx, y + dip, z - (depth + fold) * cz), -1)
    length = np.cumsum(np.r_[0, np.hypot(np.diff(table[:, 1]), np.diff(table[:, 0]))])[:, None]
    uv = np.stack(np.broadcast_arrays(a / np.pi * 3.0, length * 8.0 + 0.0), -1).copy()
    collar = (np.arange(len(table)) < COLLAR_ROWS)[:, None] & np.ones_like(a, bool)
    uv[..., 1] = np.where(collar, 0.0, uv[..., 1])
    shade = np.where(np.arange(len(table))[:, None] < 2, 0.35, np.where(np.arange(len(table))[:, None] == 5, 0.72, 1.0))
    shade = shade * (1 - 0.30 * np.exp(-(((y - 0.176) / 0.013) ** 2)) * np.maximum(np.cos(a), 0))
    return sheet(vertices, uv, shade, closed=True)
