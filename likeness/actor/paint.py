"""The actor's rasteriser: triangles into a z-buffer of 2 x 2 samples a pixel, then one shading per visible surface
and pixel.

Work is split into bands of rows, each painted by one thread from start to end, so that pictures do not depend on the
number of threads. Light is linear; textures are sRGB and are squared on the way in, the sum is square-rooted on the
way out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8
from numba import prange
from numpy import ndarray as Array

from likeness.kernels.compiled import compiled

BAND = 32
SKIN, NECK, HAIR, EYE, TEETH, TONGUE, CAVITY, CLOTH, LASH, EAR, INNER_LIP = range(11)
# label (likeness.clip.PARTS), texture, specular strength, exponent, bleed of red light past the terminator, rim light
MATERIALS = np.array(
    [
        [3, 0, 0.16, 22.0, 1.0, 0.25],
        [2, 1, 0.07, 14.0, 1.0, 0.15],
        [4, 2, 0.50, 60.0, 0.25, 0.35],
        [3, 3, 2.20, 170.0, 0.7, 0.0],
        [5, 4, 0.35, 60.0, 0.6, 0.0],
        [5, 5, 0.40, 30.0, 0.8, 0.0],
        [5, 6, 0.0, 10.0, 0.0, 0.0],
        [1, 7, 0.02, 8.0, 0.1, 0.22],
        [3, 8, 0.0, 8.0, 0.0, 0.0],
        [3, 1, 0.12, 18.0, 1.0, 0.25],
        [5, 0, 0.16, 22.0, 1.0, 0.0],
    ],
    np.float32,
)
_KEY = np.array([-0.48, -0.58, -0.66], np.float32)
_FILL = np.array([0.75, -0.12, -0.65], np.float32)
_BACK = np.array([0.62, -0.45, 0.64], np.float32)
LIGHTS = np.stack([v / np.linalg.norm(v) for v in (_KEY, _FILL, _BACK)]).astype(np.float32)


@compiled()
def vertex_normals(vertices: Array, triangles: Array, merge: Array) -> Array:
    """Area-weighted normals; `merge[v]` names the vertex whose normal v shares (seams)."""
    normals = np.zeros_like(vertices)
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux, uy, uz = (vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2])
        vx, vy, vz = (vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2])
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            m = merge[v]
            normals[m, 0] += nx
            normals[m, 1] += ny
            normals[m, 2] += nz
    for v in range(vertices.shape[0]):
        m = merge[v]
        if m != v:
            normals[v] = normals[m]
    for v in range(vertices.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + np.float32(1e-20)
        normals[v] /= length
    return normals


@compiled(finite=True)
def _light(normals, surface, view, kinds, materials, lights, shading):
    """Light at every vertex: what multiplies the texture (shading 0-2) and what is added to it (3-5), linear RGB.

    Warm key light from the upper left, weak fill, a cool light from behind, sky and floor. On skin, red light bleeds
    past the terminator. Vertices are dense enough (3 mm) that light need not be computed per pixel.
    """
    warm_key = np.array([1.02, 0.96, 0.86], np.float32)
    cool = np.array([0.85, 0.95, 1.10], np.float32)
    floor = np.array([1.05, 0.90, 0.80], np.float32)
    flesh = np.array([0.38, 0.17, 0.12], np.float32)
    one, zero = np.float32(1), np.float32(0)
    for i in range(normals.shape[0]):
        m = kinds[i]
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        vx, vy, vz = -view[i, 0], -view[i, 1], -view[i, 2]
        v = one / np.sqrt(vx * vx + vy * vy + vz * vz)
        vx, vy, vz = vx * v, vy * v, vz * v
        facing = nx * vx + ny * vy + nz * vz
        if facing < 0:  # surfaces are two-sided
            nx, ny, nz, facing = -nx, -ny, -nz, -facing
        occlusion = surface[i, 5]
        key = nx * lights[0, 0] + ny * lights[0, 1] + nz * lights[0, 2]
        fill = max((nx * lights[1, 0] + ny * lights[1, 1] + nz * lights[1, 2]) * np.float32(0.7) + np.float32(0.3), zero)
        back = max(nx * lights[2, 0] + ny * lights[2, 1] + nz * lights[2, 2], zero)
        sky = np.float32(0.5) - np.float32(0.5) * ny
        hx, hy, hz = lights[0, 0] + vx, lights[0, 1] + vy, lights[0, 2] + vz
        h = one / np.sqrt(hx * hx + hy * hy + hz * hz)
        strength, exponent, bleed = materials[m, 2], materials[m, 3], materials[m, 4]
        if m == HAIR:  # highlights across the strand (Kajiya and Kay 1989)
            tx, ty, tz = surface[i, 0], surface[i, 1], surface[i, 2]
            t = h / np.sqrt(tx * tx + ty * ty + tz * tz + np.float32(1e-12))
            along = (tx * hx + ty * hy + tz * hz) * t
            shine = max(one - along * along, zero) ** (np.float32(0.5) * exponent) * max(key + np.float32(0.3), zero)
            shine *= strength * occlusion
            added, multiplied = np.float32(0.06) * shine, np.float32(2.2) * shine
        else:
            shine = max((nx * hx + ny * hy + nz * hz) * h, zero) ** exponent
            shine *= min(max(key * np.float32(4), zero), one)
            added, multiplied = np.float32(0.55) * strength * shine * occlusion, zero
        grazing = one - facing
        rim = materials[m, 5] * grazing * grazing * (np.float32(0.25) + back * np.float32(2)) * occlusion
        for k in range(3):
            wrap = bleed * flesh[k]
            lit = max((key + wrap) / (one + wrap), zero)
            light = np.float32(1.02) * warm_key[k] * lit + np.float32(0.20) * cool[k] * fill + np.float32(0.25) * back * cool[k]
            light += (np.float32(0.13) + np.float32(0.24) * sky) * (cool[k] * sky + floor[k] * (one - sky))
            # creases in skin are red: light that leaves them has been through flesh
            shut = occlusion + (one - occlusion) * occlusion * bleed * (np.float32(0.35) if k == 0 else zero)
            shading[i, k] = light * shut + rim * cool[k] + multiplied
            shading[i, 3 + k] = added * warm_key[k] + np.float32(0.15) * rim * cool[k]


@compiled()
def _sort_into_bands(screen, triangles, single, height2, bands, heads, following):
    """Linked lists of triangles per band: heads[band] -> f -> following[band, f]. Leaves out what faces away or is
    outside.

    `single` is the sign that a triangle's area has when its outer side is seen; 0 for two-sided ones.
    """
    rows = 2 * BAND
    for f in range(triangles.shape[0] - 1, -1, -1):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        area = (screen[b, 0] - screen[a, 0]) * (screen[c, 1] - screen[a, 1])
        area -= (screen[b, 1] - screen[a, 1]) * (screen[c, 0] - screen[a, 0])
        if area * single[f] < 0 or abs(area) < np.float32(1e-3):
            continue
        top = min(screen[a, 1], screen[b, 1], screen[c, 1])
        bottom = max(screen[a, 1], screen[b, 1], screen[c, 1])
        if bottom < 0 or top > height2:
            continue
        for band in range(max(0, int(top) // rows), min(bands - 1, int(bottom) // rows) + 1):
            following[band, f] = heads[band]
            heads[band] = f


@compiled(finite=True)
def _depths(screen, triangles, head, following, y0, y1, depth, owner):
    """Fill one band's z-buffer: `screen` holds x, y in samples and 1/z; larger is nearer."""
    half = np.float32(0.5)
    slack = np.float32(-2e-3)  # neighbours overlap by a hair rather than leave one sample to neither
    f = head
    while f >= 0:
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, bx, by, cx, cy = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        inv = np.float32(1.0) / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
        left = max(0, int(np.ceil(min(ax, bx, cx) - half)))
        right = min(depth.shape[1] - 1, int(np.floor(max(ax, bx, cx) - half)))
        first = max(y0, int(np.ceil(min(ay, by, cy) - half)))
        last = min(y1 - 1, int(np.floor(max(ay, by, cy) - half)))
        za, zb, zc = screen[a, 2], screen[b, 2] - screen[a, 2], screen[c, 2] - screen[a, 2]
        step_b, step_c = (cy - ay) * inv, -(by - ay) * inv
        px = np.float32(left) + half - ax
        for y in range(first, last + 1):
            py = np.float32(y) + half - ay
            wb, wc = (px * (cy - ay) - py * (cx - ax)) * inv, ((bx - ax) * py - (by - ay) * px) * inv
            for x in range(left, right + 1):
                if wb >= slack and wc >= slack and wb + wc <= np.float32(1.002):
                    z = za + wb * zb + wc * zc
                    if z > depth[y - y0, x]:
                        depth[y - y0, x] = z
                        owner[y - y0, x] = f
                wb += step_b
                wc += step_c
        f = following[f]


@compiled(finite=True)
def _shade(x, y, f, page, screen, triangles, surface, shading, textures, weight, out):
    """Add `weight` times the linear colour of triangle f at sample position (x, y) to out[0:3]."""
    a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
    ax, ay = screen[a, 0], screen[a, 1]
    bx, by, cx, cy = screen[b, 0] - ax, screen[b, 1] - ay, screen[c, 0] - ax, screen[c, 1] - ay
    inv = np.float32(1.0) / (bx * cy - by * cx)
    x, y = x - ax, y - ay
    # a middle of samples may lie just outside its first one's triangle
    wb = min(max((x * cy - y * cx) * inv, np.float32(0)), np.float32(1))
    wc = min(max((bx * y - by * x) * inv, np.float32(0)), np.float32(1))
    total = np.float32(1) / max(wb + wc, np.float32(1))
    wb, wc = wb * total, wc * total
    wa = np.float32(1) - wb - wc
    side = textures.shape[1]
    u = (wa * surface[a, 3] + wb * surface[b, 3] + wc * surface[c, 3]) * np.float32(side) - np.float32(0.5)
    v = (wa * surface[a, 4] + wb * surface[b, 4] + wc * surface[c, 4]) * np.float32(side) - np.float32(0.5)
    iu, iv = int(np.floor(u)), int(np.floor(v))
    fu, fv = u - np.float32(iu), v - np.float32(iv)
    mask = side - 1  # sides are powers of two: textures repeat
    u0, u1, v0, v1 = iu & mask, (iu + 1) & mask, iv & mask, (iv + 1) & mask
    for k in range(3):
        upper = np.float32(textures[page, v0, u0, k]) * (np.float32(1) - fu) + np.float32(textures[page, v0, u1, k]) * fu
        lower = np.float32(textures[page, v1, u0, k]) * (np.float32(1) - fu) + np.float32(textures[page, v1, u1, k]) * fu
        albedo = (upper + (lower - upper) * fv) * np.float32(1 / 255)
        light = wa * shading[a, k] + wb * shading[b, k] + wc * shading[c, k]
        added = wa * shading[a, 3 + k] + wb * shading[b, 3 + k] + wc * shading[c, 3 + k]
        out[k] += weight * (albedo * albedo * light + added)


@compiled(parallel=True, finite=True)
def _paint(screen, triangles, single, surface, shading, material, materials, textures, backdrop, image, parts):
    height, width = parts.shape
    bands = (height + BAND - 1) // BAND
    heads = np.full(bands, -1, np.int32)
    following = np.empty((bands, triangles.shape[0]), np.int32)
    _sort_into_bands(screen, triangles, single, 2 * height, bands, heads, following)
    for band in prange(bands):
        y0, y1 = band * BAND, min((band + 1) * BAND, height)
        depth = np.zeros((2 * (y1 - y0), 2 * width), np.float32)
        owner = np.full((2 * (y1 - y0), 2 * width), -1, np.int32)
        _depths(screen, triangles, heads[band], following[band], 2 * y0, 2 * y1, depth, owner)
        colour = np.zeros(3, np.float32)
        count = np.zeros(6, np.int32)
        for y in range(y0, y1):
            for x in range(width):
                ry, rx = 2 * (y - y0), 2 * x
                if owner[ry, rx] < 0 and owner[ry, rx + 1] < 0 and owner[ry + 1, rx] < 0 and owner[ry + 1, rx + 1] < 0:
                    for k in range(3):
                        image[y, x, k] = int(np.sqrt(backdrop[y, x, k]) * np.float32(255) + np.float32(0.5))
                    parts[y, x] = 0
                    continue
                count[:] = 0
                colour[:] = 0
                done = 0  # a bit per sample
                for s in range(4):
                    if done >> s & 1:
                        continue
                    f = owner[ry + (s >> 1), rx + (s & 1)]
                    if f < 0:
                        count[0] += 1
                        for k in range(3):
                            colour[k] += backdrop[y, x, k]
                        continue
                    # samples on one surface (same material, nearly the same depth) share one shading, at their middle
                    z, m = depth[ry + (s >> 1), rx + (s & 1)], material[f]
                    weight, mx, my = np.float32(0), np.float32(0), np.float32(0)
                    for k in range(s, 4):
                        g = owner[ry + (k >> 1), rx + (k & 1)]
                        if g < 0 or done >> k & 1:
                            continue
                        near = depth[ry + (k >> 1), rx + (k & 1)]
                        if material[g] == m and abs(near - z) < np.float32(0.008) * z:
                            done |= 1 << k
                            weight += np.float32(1)
                            mx += np.float32(rx + (k & 1)) + np.float32(0.5)
                            my += np.float32(2 * y + (k >> 1)) + np.float32(0.5)
                    page = int(materials[m, 1])
                    _shade(mx / weight, my / weight, f, page, screen, triangles, surface, shading, textures, weight, colour)
                    count[int(materials[m, 0])] += int(weight)
                best = 0
                for k in range(1, 6):
                    if count[k] > count[best]:
                        best = k
                parts[y, x] = best
                for k in range(3):
                    value = np.sqrt(colour[k] * np.float32(0.25)) * np.float32(255) + np.float32(0.5)
                    image[y, x, k] = int(min(value, np.float32(255)))


@dataclass(frozen=True)
class Scene:
    """What stays the same from frame to frame."""

    triangles: Int32[Array, "f 3"]
    material: Int32[Array, " f"]
    """SKIN, NECK, ..."""
    vertex_material: Int32[Array, " v"]
    single: Float32[Array, " f"]
    """Sign of a triangle's area in the picture when its outer side is seen; 0 if both sides are to be drawn."""
    merge: Int32[Array, " v"]
    """The vertex whose normal each vertex shares, itself but at seams."""
    textures: UInt8[Array, "pages side side 3"]
    """Sides are powers of two."""


def paint(
    scene: Scene,
    view: Float32[Array, "v 3"],
    surface: Float32[Array, "v 6"],
    backdrop: Float32[Array, "height width 3"],
    camera: tuple[float, tuple[float, float]],
) -> tuple[UInt8[Array, "height width 3"], UInt8[Array, "height width"]]:
    """Draw a mesh given in camera axes (metres) over `backdrop` (linear light).

    `surface` holds per vertex the strand's tangent (hair only), texture u v and occlusion (1 = open to the light);
    `camera` is focal length and centre in pixels. Returns the picture and what most samples of each pixel show
    (likeness.clip.PARTS).
    """
    height, width = backdrop.shape[:2]
    focal, centre = camera
    inverse = 1.0 / view[:, 2:]
    screen = np.empty_like(view)
    screen[:, :2] = 2 * (view[:, :2] * inverse * np.float32(focal) + np.array(centre, np.float32))
    screen[:, 2:] = inverse
    shading = np.empty((len(view), 6), np.float32)
    normals = vertex_normals(view, scene.triangles, scene.merge)
    _light(normals, surface, view, scene.vertex_material, MATERIALS, LIGHTS, shading)
    image, parts = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.uint8)
    _paint(
        screen,
        scene.triangles,
        scene.single,
        surface,
        shading,
        scene.material,
        MATERIALS,
        scene.textures,
        backdrop,
        image,
        parts,
    )
    return image, parts


def spread(
    uv: Float[Array, "v 2"], triangles: Int32[Array, "f 3"], values: Float[Array, "v k"], side: int
) -> Float32[Array, "side side k"]:
    """Values at the vertices of a chart, interpolated over its triangles into a picture (0 where there is none)."""
    out = np.zeros((side, side, values.shape[1]), np.float32)
    screen = np.column_stack([uv * side, np.ones(len(uv))]).astype(np.float32)
    _spread(screen, triangles, np.ascontiguousarray(values, np.float32), out)
    return out


@compiled()
def _spread(screen, triangles, values, out):
    side = out.shape[0]
    depth = np.zeros((side, side), np.float32)
    owner = np.full((side, side), -1, np.int32)
    following = np.arange(triangles.shape[0]).astype(np.int32) - 1
    _depths(screen, triangles, triangles.shape[0] - 1, following, 0, side, depth, owner)
    for y in range(side):
        for x in range(side):
            f = owner[y, x]
            if f < 0:
                continue
            a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
            bx, by = screen[b, 0] - screen[a, 0], screen[b, 1] - screen[a, 1]
            cx, cy = screen[c, 0] - screen[a, 0], screen[c, 1] - screen[a, 1]
            px, py = np.float32(x) + np.float32(0.5) - screen[a, 0], np.float32(y) + np.float32(0.5) - screen[a, 1]
            inv = np.float32(1) / (bx * cy - by * cx)
            wb, wc = min(max((px * cy - py * cx) * inv, 0), 1), min(max((bx * py - by * px) * inv, 0), 1)
            for k in range(out.shape[2]):
                out[y, x, k] = values[a, k] + wb * (values[b, k] - values[a, k]) + wc * (values[c, k] - values[a, k])
