"""The face as a mesh that talks: rings of vertices around mouth and eyes, a grid elsewhere, and how each control
moves them.

Deformation is linear in the controls (metres of lip, jaw and brow movement), except for the eyelids, which slide
over the eyeballs. So the opening of the inner lips in their middle is exactly `jaw + upper + lower`, zero when the
lips are shut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32
from numpy import ndarray as Array
from scipy.spatial import Delaunay

from likeness.actor import shape
from likeness.actor.shape import CENTRE, EYE, EYE_RADIUS, MOUTH
from likeness.actor.traits import Traits

AROUND = 48
"""Vertices around the mouth; index 0 is the corner at positive x, 0 to 24 run along the lower lip."""
LIP_RINGS = 9
"""Ring 0 is where the lips meet, ring 4 the border of the red, the rest is skin."""
LID_AROUND, LID_RINGS = 32, 6
HALF_WIDTH = 0.0228
CONTROLS = ("jaw", "upper", "lower", "wide", "round", "smile", "brow")


def smoothstep(a: float | int, b: float | int, x: Array | float) -> Array:
    """0 below a, 1 above b, smooth between."""
    t = np.clip((x - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


def bump(x: Array, width: float | int) -> Array:
    """Gaussian of height 1."""
    return np.exp(-((x / width) ** 2))


@dataclass(frozen=True)
class Face:
    """The skin mesh of one actor, in design axes (see `shape`)."""

    rest: Float[Array, "v 3"]
    deltas: dict[str, Float[Array, "v 3"]]
    """Movement of every vertex per metre of a control."""
    triangles: Int32[Array, "f 3"]
    uv: Float[Array, "v 2"]
    lids: dict[str, Array]
    """index [n], open and closed [n 2] (x, y), radius [n], sphere share [n], centre [n 3]."""
    groups: dict[str, Int32[Array, " n"]]
    """Named vertices: lips_inner, lips_outer, lips_back, eye_left, eye_right (left in the picture is x < 0), …"""
    hints: dict[str, Float[Array, " v"]]
    """Painted per vertex: how much lip (`lip`), how much lid margin (`lash`)."""

    def pose(self, controls: dict[str, float], blink: tuple[float, float]) -> Float32[Array, "v 3"]:
        """Vertices for a set of CONTROLS and how far each lid (left, right) is shut, 0 to 1."""
        vertices = self.rest.copy()
        for name, value in controls.items():
            if value:
                vertices += value * self.deltas[name]
        lids = self.lids
        shut = np.where(lids["centre"][:, 0] < 0, blink[0], blink[1])[:, None] * lids["share"][:, None]
        moved = vertices[lids["index"]] - self.rest[lids["index"]]
        xy = lids["open"] + shut * (lids["closed"] - lids["open"]) + moved[:, :2]
        offset = xy - lids["centre"][:, :2]
        ball = lids["centre"][:, 2] - np.sqrt(np.maximum(lids["radius"] ** 2 - (offset**2).sum(-1), 1e-8))
        z = self.rest[lids["index"], 2]
        z = np.where(lids["ring"] < 2, ball + lids["sink"], np.minimum(z, np.where(lids["ring"] < 4, ball, z)))
        vertices[lids["index"]] = np.column_stack([xy, z])
        return vertices.astype(np.float32)


def mouth_rings(traits: Traits) -> tuple[Array, Array, Array, Array]:
    """x, y closed and x, y open (for the triangulation) of LIP_RINGS x AROUND vertices, their s and their side (1 =
    lower)."""
    angle = 2 * np.pi * np.arange(AROUND) / AROUND
    s, lower = np.cos(angle), np.sin(angle) >= 0
    arch = np.sqrt(np.clip(1 - s * s, 0, 1))
    line = MOUTH[1] - 0.0016 * s**2 + 0.0007 * bump(s, 0.25)
    upper_lip = 0.0072 * traits.lip_fullness * arch**1.3 * (1 - 0.17 * bump(s, 0.12)) * (1 + 0.1 * bump(np.abs(s) - 0.25, 0.15))
    lower_lip = 0.0096 * traits.lip_fullness * arch**1.2
    closed, open_ = np.zeros((LIP_RINGS, AROUND, 2)), np.zeros((LIP_RINGS, AROUND, 2))
    for k in range(LIP_RINGS):
        red, skin = min(k, 4) / 4, max(k - 4, 0)
        y = line + np.where(lower, lower_lip, -upper_lip) * red + np.where(lower, 0.0030, -0.0021) * skin * arch**0.7
        x = s * (HALF_WIDTH + 0.0022 * red + 0.0030 * skin)
        gap = np.where(lower, 0.007, -0.004) * arch * (1 - k / LIP_RINGS)
        closed[k], open_[k] = np.column_stack([x, y]), np.column_stack([x, y + gap])
    return closed, open_, s, lower


def lid_rings() -> tuple[Array, Array, Array]:
    """Open and closed x, y of the lids around an eye at positive x, relative to the eyeball, and their `upper` flag."""
    angle = 2 * np.pi * np.arange(LID_AROUND) / LID_AROUND
    s, upper = np.cos(angle), np.sin(angle) < 0
    arch = np.sqrt(np.clip(1 - s * s, 0, 1))
    tilt = -0.0012 * s  # outer corner (s = 1) higher
    top = -0.0067 * arch**1.15 * (1 - 0.12 * s)
    bottom = 0.0050 * arch**1.3 * (1 + 0.15 * s)
    opened, closed = np.zeros((LID_RINGS, LID_AROUND, 2)), np.zeros((LID_RINGS, LID_AROUND, 2))
    shut = bottom - 0.16 * (bottom - top) + 0.0008 * arch
    for k in range(LID_RINGS):
        x = s * (0.0156 + 0.0017 * k)
        spread = np.where(upper, -0.0021, 0.0019) * k * arch**0.8
        opened[k] = np.column_stack([x, np.where(upper, top, bottom) + spread + tilt])
        closed[k] = np.column_stack([x, shut + spread * np.where(upper, 0.9, 1.0) + tilt])
    return opened, closed, upper


def _grid() -> Float[Array, "n 3"]:
    """Unit directions from CENTRE that cover the head where no ring does: fine on the nose, coarse under the hair."""
    points = []
    for spacing, reach in ((1.35, 28.0), (2.3, 82.0), (5.0, 158.0)):
        count = int(2 * reach / spacing)
        i, j = np.meshgrid(np.arange(-count, count + 1), np.arange(-count, count + 1))
        plane = np.column_stack([(i + 0.5 * (j & 1)).ravel(), j.ravel() * 0.8660]) * spacing
        plane = plane[np.hypot(plane[:, 0], plane[:, 1]) < reach]
        points.append(np.radians(plane))
    rays = [_direction(p) for p in points]
    nose = np.abs(rays[0][:, 0]) < 0.30
    low = (rays[0][:, 1] > -0.10) & (rays[0][:, 1] < 0.48)
    keep = [nose & low, np.hypot(*points[1].T) >= 0, np.hypot(*points[2].T) > np.radians(80)]
    fine = rays[0][keep[0]]
    middle = rays[1]
    inside = (np.abs(middle[:, 0]) < 0.30) & (middle[:, 1] > -0.10) & (middle[:, 1] < 0.48)
    return np.concatenate([fine, middle[~inside], rays[2][keep[2]]])


def _direction(plane: Float[Array, "n 2"]) -> Float[Array, "n 3"]:
    """Azimuthal coordinates around the direction of the nose (radians) to unit vectors."""
    r = np.hypot(plane[:, 0], plane[:, 1]) + 1e-12
    return np.column_stack([plane / r[:, None] * np.sin(r)[:, None], -np.cos(r)])


def to_plane(points: Float[Array, "n 3"]) -> Float[Array, "n 2"]:
    """Equal-area chart of the head around the direction of the nose: texture coordinates before scaling, within a
    disc of 1."""
    d = points - CENTRE
    d = d / np.linalg.norm(d, axis=-1, keepdims=True)
    radius = np.sqrt(np.clip((1 + d[:, 2]) / 2, 0, 1))
    flat = np.hypot(d[:, 0], d[:, 1]) + 1e-12
    return d[:, :2] / flat[:, None] * radius[:, None]


def _outside_rings(points: Float[Array, "n 3"], mouth: Array, lids: Array) -> Array:
    """Grid points that are clear of the outermost rings of mouth and eyes."""
    keep = np.ones(len(points), bool)
    frontal = points[:, 2] < 0.06
    for ring in (mouth, lids, lids * (-1, 1)):
        centre = ring.mean(0)
        grown = centre + (ring - centre) * 1.06
        angle = np.arctan2(grown[:, 1] - centre[1], grown[:, 0] - centre[0])
        order = np.argsort(angle)
        q = points[:, :2] - centre
        limit = np.interp(np.arctan2(q[:, 1], q[:, 0]), angle[order], np.hypot(*(grown - centre).T)[order], period=2 * np.pi)
        keep &= ~(frontal & (np.hypot(*q.T) < limit + 0.0008))
    return keep


def build(traits: Traits) -> Face:
    """Make the face mesh of one actor."""
    closed, open_, s, lower = mouth_rings(traits)
    lid_open, lid_closed, lid_upper = lid_rings()
    eye_right = lid_open + EYE[:2]
    grid = shape.cast(_grid(), traits)
    grid = grid[_outside_rings(grid, open_[-1], eye_right[-1])]

    mouth = shape.front(closed.reshape(-1, 2), traits)
    mouth_flat = shape.front(open_.reshape(-1, 2), traits)
    eyes = [shape.front(eye_right.reshape(-1, 2) * (side, 1), traits) for side in (-1, 1)]
    _bulge_lips(mouth, traits, s, lower)

    inside = _lip_backs(mouth, s, lower)
    n_mouth, n_eye = len(mouth), len(eyes[0])
    flat = np.concatenate([mouth_flat, eyes[0], eyes[1], grid])
    rest = np.concatenate([mouth, eyes[0], eyes[1], grid, inside])
    triangles = _triangulate(to_plane(flat), n_mouth, n_eye)
    ring0 = np.arange(AROUND)
    backs = len(flat) + ring0
    triangles = np.concatenate([triangles, strip(ring0, backs)])
    uv = 0.5 + 0.49 * to_plane(np.concatenate([flat, mouth_flat[:AROUND]]))

    groups = {
        "lips_inner": ring0,
        "lips_outer": ring0 + 4 * AROUND,
        "lips_back": backs,
        "eye_left": n_mouth + np.arange(LID_AROUND),
        "eye_right": n_mouth + n_eye + np.arange(LID_AROUND),
    }
    return Face(
        rest=rest,
        deltas=_deltas(rest, s, lower, backs),
        triangles=triangles.astype(np.int32),
        uv=uv,
        lids=_lids(lid_open, lid_closed, lid_upper, n_mouth),
        groups={k: v.astype(np.int32) for k, v in groups.items()},
        hints=_hints(len(rest), backs, n_mouth),
    )


def strip(a: Array, b: Array, closed: bool = True) -> Int32[Array, "f 3"]:
    """Triangles between two rows of vertices of equal length."""
    n = len(a)
    i = np.arange(n if closed else n - 1)
    j = (i + 1) % n
    return np.concatenate([np.column_stack([a[i], b[i], a[j]]), np.column_stack([a[j], b[i], b[j]])]).astype(np.int32)


def _bulge_lips(mouth: Float[Array, "n 3"], traits: Traits, s: Array, lower: Array) -> None:
    """Give the rings of the red their roundness, in place."""
    arch = np.sqrt(np.clip(1 - s * s, 0, 1))
    profile = np.array([0.0, 0.85, 1.0, 0.72, 0.22, 0.0, -0.05, -0.02, 0.0])
    height = np.where(lower, 0.0048, 0.0040) * traits.lip_fullness * arch**0.7
    height = profile[:, None] * height[None]
    height[0] = 0.0011 * arch**0.7  # the same above and below: shut lips leave no gap
    mouth[:, 2] -= height.ravel()
    corner = 0.0022 * bump(np.abs(s) - 1, 0.08)  # corners lie in a small dimple
    mouth[:, 2] += (np.array([1, 1, 1, 0.9, 0.8, 0.5, 0.2, 0, 0])[:, None] * corner[None]).ravel()


def _lip_backs(mouth: Float[Array, "n 3"], s: Array, lower: Array) -> Float[Array, "around 3"]:
    """The inner side of the lips: from where they meet, back towards the teeth."""
    backs = mouth[:AROUND].copy()
    backs[:, 2] += 0.0075
    backs[:, 1] += np.where(lower, 0.0020, -0.0020) * np.sqrt(np.clip(1 - s * s, 0, 1))
    return backs


def _triangulate(plane: Float[Array, "n 2"], n_mouth: int, n_eye: int) -> Int32[Array, "f 3"]:
    triangles = Delaunay(plane).simplices
    holes = [np.arange(AROUND), n_mouth + np.arange(LID_AROUND), n_mouth + n_eye + np.arange(LID_AROUND)]
    for hole in holes:
        triangles = triangles[~np.isin(triangles, hole).all(-1)]
    return triangles


def _lids(opened: Array, closed: Array, upper: Array, n_mouth: int) -> dict[str, Array]:
    rings = np.repeat(np.arange(LID_RINGS), LID_AROUND)
    share = np.clip(1 - rings / (LID_RINGS - 1), 0, 1) ** 1.1
    parts: dict[str, list[Array]] = {k: [] for k in ("index", "open", "closed", "radius", "share", "centre", "ring", "sink")}
    for which, side in enumerate((-1.0, 1.0)):
        centre = EYE * (side, 1, 1)
        n = LID_RINGS * LID_AROUND
        parts["index"].append(n_mouth + which * n + np.arange(n))
        parts["open"].append(opened.reshape(-1, 2) * (side, 1) + centre[:2])
        parts["closed"].append(closed.reshape(-1, 2) * (side, 1) + centre[:2])
        # the upper lid lies over the lower one; margins stand off the eyeball by the thickness of a lid
        parts["radius"].append(EYE_RADIUS + 0.0010 + 0.0002 * rings)
        parts["share"].append(share)
        parts["centre"].append(np.tile(centre, (n, 1)))
        parts["ring"].append(rings)
        parts["sink"].append(np.where(np.tile(upper, LID_RINGS), -0.0004, 0.0) * (rings == 1))
    return {k: np.concatenate(v) for k, v in parts.items()}


def _deltas(rest: Float[Array, "v 3"], s: Array, lower: Array, backs: Array) -> dict[str, Float[Array, "v 3"]]:
    """How every control moves every vertex, in metres per metre."""
    x, y, z = rest.T
    zero = np.zeros_like(x)
    dy = y - MOUTH[1]
    n_ring = LIP_RINGS * AROUND
    along = np.clip(1 - (x / 0.0255) ** 2, 0, 1) ** 0.6
    below = dy >= 0
    along[:n_ring], along[backs] = np.tile(np.clip(1 - s * s, 0, 1) ** 0.6, LIP_RINGS), np.clip(1 - s * s, 0, 1) ** 0.6
    below[:n_ring], below[backs] = np.tile(lower, LIP_RINGS), lower
    depth = np.abs(dy)
    depth[:AROUND] = depth[backs] = 0.0
    soft = smoothstep(-0.024, 0.034, dy)
    # exactly along() apart where the lips meet, one smooth field elsewhere
    soft[:AROUND] = soft[backs] = smoothstep(-0.024, 0.034, np.zeros(1))
    slit = np.where(below, soft + (1 - soft) * along * bump(depth, 0.045), soft * (1 - along * bump(depth, 0.013)))
    reach = 1 - smoothstep(0.028, 0.088, z)
    jaw = (slit * reach)[:, None] * np.column_stack([zero, np.ones_like(x), 0.22 + 2.5 * np.maximum(dy, 0)])
    rim = np.concatenate([np.arange(AROUND), backs])
    jaw[rim, 1] = slit[rim]
    jaw[rim, 2] = 0.22 * slit[rim]

    fall = np.array([1.0, 0.98, 0.94, 0.88, 0.80, 0.56, 0.34, 0.16, 0.05])
    lip = np.zeros_like(x)
    lip[:n_ring] = (fall[:, None] * (np.clip(1 - s * s, 0, 1) ** 0.6)[None]).ravel()
    lip[backs] = lip[:AROUND]
    upper_ = np.column_stack([zero, np.where(below, 0, -lip), -0.15 * np.where(below, 0, lip)])
    lower_ = np.column_stack([zero, np.where(below, lip, 0), 0.22 * np.where(below, lip, 0)])

    near = np.exp(-((dy / 0.026) ** 2))
    side = np.clip(np.abs(x) / 0.0245, 0, 1) * np.exp(-((np.maximum(np.abs(x) - 0.0245, 0) / 0.018) ** 2)) * (z < 0.07)
    wide = np.column_stack([np.sign(x) * side * near, zero, 0.45 * side * near])
    pout = np.exp(-((x / 0.021) ** 2) - (dy / 0.017) ** 2) * (z < 0.05)
    round_ = np.column_stack([zero, -0.12 * np.sign(dy) * pout * (np.abs(dy) > 0.003), -pout])
    corner = np.exp(-(((np.abs(x) - 0.027) / 0.016) ** 2) - (dy / 0.022) ** 2) * (z < 0.07)
    cheek = np.exp(-(((np.abs(x) - 0.042) / 0.018) ** 2) - ((y - 0.038) / 0.018) ** 2) * (z < 0.08)
    smile = np.column_stack([0.55 * np.clip(x / 0.012, -1, 1) * corner, -corner - 0.25 * cheek, 0.35 * corner - 0.30 * cheek])
    band = np.exp(-(((y + 0.022) / 0.013) ** 2)) * smoothstep(0.070, 0.030, z) * smoothstep(0.0, 0.016, np.abs(x))
    brow = np.column_stack([zero, -band, -0.1 * band])
    return {"jaw": jaw, "upper": upper_, "lower": lower_, "wide": wide, "round": round_, "smile": smile, "brow": brow}


def _hints(count: int, backs: Array, n_mouth: int) -> dict[str, Float[Array, " v"]]:
    lip, lash = np.zeros(count), np.zeros(count)
    lip[: 4 * AROUND] = 1.0
    lip[4 * AROUND : 5 * AROUND] = 0.55
    lip[backs] = 1.0
    n_eye = LID_RINGS * LID_AROUND
    for which in range(2):
        lash[n_mouth + which * n_eye :][:LID_AROUND] = 1.0
    return {"lip": lip, "lash": lash}
