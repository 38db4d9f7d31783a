"""The actor's paint box: one square sRGB texture per material, made with noise and a few brushes from the traits."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray as Array
from scipy.spatial import Delaunay

from likeness.actor.body import hairline
from likeness.actor.face import AROUND, LID_AROUND, Face, bump, smoothstep
from likeness.actor.paint import spread
from likeness.actor.shape import CENTRE, MOUTH
from likeness.actor.traits import Traits

SIDE = 1024


def noise(rng: np.random.Generator, shape: tuple[int, int], sigma: tuple[float | int, float | int]) -> Float32[Array, "h w"]:
    """Smooth noise of variance 1 that repeats at its borders; `sigma` in pixels along y and x."""
    white = rng.standard_normal(shape).astype(np.float32)
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    gain = np.exp(-2 * np.pi**2 * ((fy * sigma[0]) ** 2 + (fx * sigma[1]) ** 2))
    out = np.fft.irfft2(np.fft.rfft2(white) * gain, shape)
    return (out / out.std()).astype(np.float32)


def mix(a: Array, b: Array | tuple[float | int, ...], t: Array) -> Array:
    """Blend picture a towards colour or picture b by t."""
    return a + (np.asarray(b, np.float32) - a) * np.asarray(t, np.float32)[..., None]


def byte(picture: Array) -> UInt8[Array, "h w 3"]:
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)


def paint_all(traits: Traits, face: Face, seed: int) -> UInt8[Array, "m s s 3"]:
    """All textures, in the order of the pages named in `paint.MATERIALS`."""
    rng = np.random.default_rng([65537, seed])
    pages = [
        skin(traits, face, rng),
        plain_skin(traits, rng),
        hair(traits, rng),
        eye(traits, rng),
        teeth(rng),
        flesh(rng, (0.72, 0.36, 0.36)),
        flesh(rng, (0.22, 0.06, 0.065)),
        cloth(traits, rng),
        np.broadcast_to(np.array(traits.hair, np.float32) * 0.35, (SIDE, SIDE, 3)),
    ]
    return np.stack([byte(page) for page in pages])


def _positions(face: Face) -> dict[str, Float32[Array, "s s"]]:
    """Where on the resting face each texel lies, and the hints there."""
    count = len(face.rest) - AROUND  # the lips' inner sides share their texels with the edge
    crease = np.zeros(count)
    crease[:AROUND] = 1.0
    upper_lash = np.zeros(count)
    for name in ("eye_left", "eye_right"):
        upper_lash[face.groups[name][LID_AROUND // 2 :]] = 1.0
    values = np.column_stack([face.rest[:count], face.hints["lip"][:count], face.hints["lash"][:count], crease, upper_lash])
    # mouth and eyes are filled too: a texel beside their rims must not be empty
    maps = spread(face.uv[:count], Delaunay(face.uv[:count]).simplices.astype(np.int32), values, SIDE)
    return dict(zip(("x", "y", "z", "lip", "lash", "crease", "upper_lash"), np.moveaxis(maps, -1, 0), strict=True))


def skin(traits: Traits, face: Face, rng: np.random.Generator) -> Float[Array, "s s 3"]:
    """The head's skin: mottling, blush, shadows in creases, lips, brows, lash lines, nostrils, the scalp's shade."""
    m = _positions(face)
    y, z, ax = m["y"], m["z"], np.abs(m["x"])
    tone = np.array(traits.skin, np.float32)
    fine, broad = noise(rng, (SIDE, SIDE), (1.2, 1.2)), noise(rng, (SIDE, SIDE), (30, 30))
    picture = tone * (1 + 0.018 * fine + 0.018 * broad)[..., None]
    rosy = tone * (1.0, 0.76, 0.74)
    blush = 0.42 * bump(np.hypot((ax - 0.043) / 1.2, y - 0.036), 0.020) + 0.38 * bump(np.hypot(ax, y - 0.040), 0.013)
    blush += 0.22 * bump(np.hypot(ax, (y - 0.103)), 0.013)
    picture = mix(picture, rosy, np.clip(blush * (1 + 0.2 * broad), 0, 1))
    if not traits.long_hair:  # a shaven beard
        beard = smoothstep(0.040, 0.062, y + 0.35 * np.maximum(ax - 0.02, 0)) * (z < 0.095) * (1 - m["lip"])
        beard *= smoothstep(0.0, 0.012, np.hypot(ax / 1.1, y - 0.046) - 0.012)
        picture = mix(picture, tone * (0.72, 0.72, 0.74), 0.30 * beard * (1 + 0.25 * noise(rng, (SIDE, SIDE), (0.9, 0.9))))
    dark = tone * (0.62, 0.42, 0.38)
    crease = 0.42 * bump(np.hypot((ax - 0.0165) / 0.8, y - 0.003), 0.0065)  # beside the bridge of the nose
    crease += 0.25 * bump((y + 0.0105) / 0.0026, 1) * bump((ax - 0.032) / 0.015, 1)  # fold of the upper lid
    crease += 0.16 * bump(np.hypot((ax - 0.030) / 2.0, y - 0.0135), 0.0060)  # under the eye
    crease += 0.55 * bump(np.hypot((ax - 0.0195) / 0.6, y - 0.0435), 0.0048)  # behind the wing of the nose
    crease += 0.26 * bump((y - 0.0535) / 0.0040, 1) * bump(ax / 0.013, 1)  # under the nose
    crease += 0.30 * bump((y - 0.0845) / 0.0036, 1) * bump(ax / 0.017, 1)  # under the lower lip
    fold = 0.0215 + 0.45 * (y - 0.043)
    crease += 0.16 * bump((ax - fold) / 0.0026, 1) * smoothstep(0.040, 0.048, y) * (1 - smoothstep(0.058, 0.070, y))
    crease += 0.14 * bump((ax - 0.0022) / 0.0022, 1) * smoothstep(0.050, 0.053, y) * (1 - smoothstep(0.056, 0.060, y))
    picture = mix(picture, dark, np.clip(crease, 0, 0.85) * (z < 0.05))
    nostril = bump(np.hypot((ax - 0.0066 * traits.nose) / 1.25, (y - 0.0500) / 0.60), 0.0028)
    picture = mix(picture, tone * (0.25, 0.12, 0.10), np.clip(1.25 * nostril, 0, 0.92) * (y > 0.045))
    picture = _lips(picture, traits, m, rng)
    picture = _brows(picture, traits, m, rng)
    lash = smoothstep(0.25, 0.85, m["lash"])
    picture = mix(picture, tone * (0.72, 0.48, 0.45), 0.55 * lash)
    picture = mix(picture, np.array(traits.hair) * 0.4, 0.85 * smoothstep(0.45, 0.9, m["upper_lash"]))
    return _scalp(picture, traits, m)


def _lips(picture: Array, traits: Traits, m: dict[str, Array], rng: np.random.Generator) -> Array:
    lip = smoothstep(0.22, 0.72, m["lip"])
    furrows = noise(rng, (SIDE, SIDE), (9.0, 1.3))
    colour = np.array(traits.lips, np.float32) * (1 + 0.035 * furrows)[..., None]
    colour = mix(colour, colour * (0.80, 0.72, 0.74), (m["y"] < MOUTH[1]).astype(np.float32) * 0.55)
    colour = mix(colour, np.minimum(colour * 1.14, 1.0), bump(np.hypot(m["x"] / 2.2, m["y"] - 0.0745), 0.0040))
    picture = mix(picture, colour, 0.92 * lip)
    return mix(picture, np.array(traits.lips) * (0.42, 0.30, 0.32), 0.9 * smoothstep(0.55, 1.0, m["crease"]))


def _brows(picture: Array, traits: Traits, m: dict[str, Array], rng: np.random.Generator) -> Array:
    ax = np.abs(m["x"])
    t = np.clip((ax - 0.0125) / 0.0415, 0, 1)
    spine = -0.0185 - 0.0062 * np.sin(np.pi * t**0.95 * 0.78)
    half = 0.0033 * traits.brow_weight * (0.62 + 0.55 * np.sin(np.pi * np.clip(t * 1.1 + 0.12, 0, 1))) * (1 - 0.5 * t**2)
    # strokes: noise sheared so that hairs rise outwards
    strokes = noise(rng, (SIDE, SIDE), (2.6, 0.9))
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    lean = np.where(m["x"] > 0, 0.9, -0.9).astype(np.float32)
    strokes = cv2.remap(strokes, columns + lean * (rows - SIDE * 0.4), rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    body = 1 - smoothstep(0.45, 1.15, np.abs(m["y"] - spine) / half + 0.14 * strokes)
    body *= smoothstep(0.0105, 0.0175, ax + 0.0007 * strokes) * (1 - smoothstep(0.0500, 0.0560, ax)) * (m["z"] < 0.06)
    colour = np.array(traits.hair) * 0.72
    return mix(picture, colour, np.clip(body * (0.80 + 0.12 * strokes), 0, 0.94))


def _scalp(picture: Array, traits: Traits, m: dict[str, Array]) -> Array:
    """Hair's shadow on the skin, and its colour where a gap might show."""
    d = np.stack([m["x"], m["y"], m["z"]], -1) - CENTRE
    azimuth = np.arctan2(d[..., 0], -d[..., 2])
    above = np.degrees(np.arctan2(-d[..., 1], np.hypot(d[..., 0], d[..., 2]))) - hairline(azimuth, traits)
    picture = mix(picture, picture * (0.70, 0.60, 0.56), 0.75 * smoothstep(-7.0, 0.5, above))
    return mix(picture, np.array(traits.hair) * 0.75, smoothstep(-0.5, 3.0, above))


def plain_skin(traits: Traits, rng: np.random.Generator) -> Float[Array, "s s 3"]:
    shape = (SIDE, SIDE)
    tone = np.array(traits.skin, np.float32) * (1.0, 0.965, 0.955)
    return tone * (1 + 0.015 * noise(rng, shape, (1.5, 1.5)) + 0.02 * noise(rng, shape, (40, 40)))[..., None]


def hair(traits: Traits, rng: np.random.Generator) -> Float[Array, "s s 3"]:
    """Strands along v."""
    shape = (SIDE, SIDE)
    strands = 0.10 * noise(rng, shape, (120, 1.2)) + 0.13 * noise(rng, shape, (160, 5)) + 0.09 * noise(rng, shape, (200, 18))
    colour = np.array(traits.hair, np.float32) * (1.12 + strands)[..., None]
    return mix(colour, colour * (1.25, 1.12, 0.95), 0.5 + 0.2 * noise(rng, shape, (220, 30)))


def eye(traits: Traits, rng: np.random.Generator) -> Float[Array, "s s 3"]:
    """Eyeball seen from the front: u, v are 0.48 times the direction's x, y about the middle."""
    v, u = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE - 0.5
    r, angle = np.hypot(u, v) / 0.48, np.arctan2(v, u)
    white = np.array([0.95, 0.935, 0.92], np.float32) * np.ones((SIDE, SIDE, 1), np.float32)
    white = mix(white, (0.90, 0.70, 0.66), 0.75 * smoothstep(0.52, 0.95, r))
    polar = noise(rng, (SIDE, SIDE), (60, 2.5)) + 0.6 * noise(rng, (SIDE, SIDE), (90, 9))
    fibres = cv2.remap(
        polar,
        ((angle / (2 * np.pi) + 0.5) * (SIDE - 1)).astype(np.float32),
        np.clip(r * 2 * SIDE, 0, SIDE - 1).astype(np.float32),
        cv2.INTER_LINEAR,
    )
    iris = np.array(traits.iris, np.float32) * (1.0 + 0.16 * fibres)[..., None]
    iris = mix(iris, np.minimum(np.array(traits.iris) * 1.5 + (0.10, 0.07, 0.0), 1), 0.65 * bump(r - 0.215, 0.060))
    iris = mix(iris, iris * 0.55, smoothstep(0.0, 0.35, -v / 0.17))  # the lid's shadow
    iris = mix(iris, np.minimum(iris * 1.45, 1), bump(np.hypot(u, v - 0.10), 0.075))  # light gathered opposite it
    iris = mix(iris, np.array(traits.iris) * 0.28, smoothstep(0.350, 0.405, r))
    iris = mix(iris, (0.02, 0.02, 0.025), 1 - smoothstep(0.145, 0.170, r))
    return mix(white, iris, 1 - smoothstep(0.395, 0.430, r))


def teeth(rng: np.random.Generator) -> Float[Array, "s s 3"]:
    """Upper row in the upper half (v from gum to edge), lower row below."""
    v, u = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
    upper = v < 0.5
    t = np.where(upper, (v - 0.02) / 0.46, (v - 0.52) / 0.46)
    count = np.where(upper, 10, 12)
    # frontal teeth are wider: warp u a little
    s = 2 * ((u - 0.01) / 0.98) - 1
    gap = np.abs(np.sin(np.pi * count / 2 * s))
    enamel = np.array([0.93, 0.905, 0.85], np.float32) * np.ones((SIDE, SIDE, 1), np.float32)
    enamel = mix(enamel, (0.88, 0.82, 0.72), 1 - smoothstep(0.40, 0.75, t))
    enamel = mix(enamel, (0.52, 0.40, 0.36), (1 - smoothstep(0.0, 0.30, gap)) * 0.55)
    enamel = mix(enamel, (0.84, 0.86, 0.86), 0.5 * smoothstep(0.92, 1.0, t))
    gum = np.array([0.70, 0.36, 0.36], np.float32) * (1 + 0.03 * noise(rng, (SIDE, SIDE), (8, 8)))[..., None]
    return mix(gum, enamel, smoothstep(0.30, 0.36, t - 0.07 * (1 - gap)))


def flesh(rng: np.random.Generator, colour: tuple[float, float, float]) -> Float[Array, "s s 3"]:
    shape = (SIDE, SIDE)
    return np.array(colour, np.float32) * (1 + 0.05 * noise(rng, shape, (4, 4)) + 0.04 * noise(rng, shape, (25, 25)))[..., None]


def cloth(traits: Traits, rng: np.random.Generator) -> Float[Array, "s s 3"]:
    """Knitwear: the traits' pattern with a visible stitch."""
    v, u = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
    if traits.pattern == 0:
        pattern = smoothstep(0.62, 0.66, v % 0.5 * 2) * (1 - smoothstep(0.90, 0.94, v % 0.5 * 2))
    elif traits.pattern == 1:
        zigzag = (v * 2 + 0.5 * np.abs((u * 4) % 1 - 0.5)) % 1
        pattern = smoothstep(0.50, 0.54, zigzag) * (1 - smoothstep(0.80, 0.84, zigzag))
    else:
        bars = [smoothstep(0.5, 0.53, t * 2 % 1) * (1 - smoothstep(0.82, 0.85, t * 2 % 1)) for t in (u * 2, v)]
        pattern = 0.5 * bars[0] + 0.5 * bars[1]
    picture = mix(
        np.array(traits.cloth, np.float32) * np.ones((SIDE, SIDE, 1), np.float32), traits.cloth_second, 0.85 * pattern
    )
    stitch = np.sin(2 * np.pi * (48 * v + 0.22 * np.abs(np.sin(np.pi * 40 * u)) * 2)) * 0.5
    rib = np.abs(np.sin(np.pi * 40 * u))
    return picture * (1 + 0.07 * stitch + 0.07 * (rib - 0.6) + 0.03 * noise(rng, (SIDE, SIDE), (2, 2)))[..., None]


def backdrop(traits: Traits, seed: int, size: tuple[int, int]) -> Float32[Array, "h w 3"]:
    """A room out of focus behind the actor, in linear light: wall, window, shelf with books, a plant, a picture."""
    rng = np.random.default_rng([31337, seed])
    width, height = 512, round(512 * size[1] / size[0])
    v, u = np.mgrid[0:height, 0:width].astype(np.float32) / 512
    wall = np.array(traits.room, np.float32) * (0.80 - 0.30 * (u - 0.3) ** 2 - 0.18 * v)[..., None]
    picture = wall * (1 + 0.012 * noise(rng, (height, width), (1.5, 1.5)))[..., None]
    canvas = np.ascontiguousarray(picture)
    flip = rng.random() < 0.5

    def box(x0: float, y0: float, x1: float, y1: float, colour: Array) -> None:
        if flip:
            x0, x1 = 1 - x1, 1 - x0
        cv2.rectangle(canvas, (int(x0 * 512), int(y0 * 512)), (int(x1 * 512), int(y1 * 512)), [float(c) for c in colour], -1)

    box(-0.05, 0.05, 0.20, 0.56, np.array([0.90, 0.93, 0.95]))  # window
    for x in (-0.01, 0.095, 0.20):
        box(x - 0.009, 0.04, x + 0.009, 0.57, np.array([0.93, 0.91, 0.87]) * 0.8)
    box(-0.05, 0.295, 0.21, 0.308, np.array([0.9, 0.88, 0.84]) * 0.8)
    box(-0.05, 0.56, 0.23, 0.585, np.array([0.85, 0.82, 0.76]) * 0.75)
    wood = np.array([0.42, 0.29, 0.19])
    for shelf in (0.30, 0.52):
        x = 0.74
        while x < 1.0:
            w, h = rng.uniform(0.014, 0.034), rng.uniform(0.10, 0.17)
            colour = np.array(
                rng.choice(
                    np.array([[0.6, 0.24, 0.2], [0.2, 0.33, 0.42], [0.78, 0.7, 0.5], [0.26, 0.36, 0.28], [0.5, 0.45, 0.5]])
                )
            )
            if rng.random() < 0.85:
                box(x, shelf - h, x + w, shelf, colour * rng.uniform(0.7, 1.1))
            x += w + 0.003
        box(0.72, shelf, 1.05, shelf + 0.018, wood)
    box(0.76, 0.05, 0.90, 0.10, np.array([0.80, 0.60, 0.35]))
    cv2.circle(canvas, (int((0.16 if flip else 0.84) * 512), int(0.66 * 512)), 30, (0.22, 0.36, 0.22), -1)
    for _ in range(26):
        centre = np.array([0.84, 0.64]) + rng.normal(0, 0.045, 2)
        cx = int((1 - centre[0] if flip else centre[0]) * 512)
        shade = rng.uniform(0.6, 1.3)
        cv2.ellipse(
            canvas,
            (cx, int(centre[1] * 512)),
            (16, 5),
            rng.uniform(0, 360),
            0,
            360,
            (0.20 * shade, 0.38 * shade, 0.2 * shade),
            -1,
        )
    canvas = cv2.GaussianBlur(canvas, (0, 0), 4.5)
    canvas *= (1 + 0.008 * noise(rng, (height, width), (0.8, 0.8)))[..., None]
    canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA if size[0] < 512 else cv2.INTER_CUBIC)
    return np.ascontiguousarray(np.clip(canvas, 0, 1) ** 2, dtype=np.float32)
