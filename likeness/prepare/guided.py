"""Colour guided filter for a few score maps, in its fast form: coefficients at a low size, applied at the full one.

He, Sun, Tang: Guided Image Filtering, PAMI 2013, equations 19-21; He, Sun: Fast Guided Filter, 2015. OpenCV's
`ximgproc.guidedFilter` took 37 of 51 ms a frame at 512²; sharing the guide's covariance between classes and working on
a quarter of the size takes about 3.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from likeness.kernels.compiled import compiled

COARSE = 128  # coefficients are made at this size
RADIUS = 3  # of the filter, at COARSE
EPS = 1e-3  # variance of colour (0 to 1) below which an edge is not followed


def guided_labels(
    image: UInt8[np.ndarray, "height width 3"], scores: Float[np.ndarray, "coarse coarse classes"]
) -> UInt8[np.ndarray, "height width"]:
    """The class with the highest score at every pixel of `image`, after filtering the scores with `image` as guide."""
    size = (COARSE, COARSE)
    window = (2 * RADIUS + 1, 2 * RADIUS + 1)
    guide = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    products = np.empty((COARSE, COARSE, 6), np.float32)  # rr gg bb rg gb br
    products[..., :3] = guide * guide
    products[..., 3:] = guide * guide[..., [1, 2, 0]]
    mean, second = cv2.blur(guide, window), cv2.blur(products, window)
    classes = scores.shape[-1]
    planes = np.empty((classes, COARSE, COARSE, 4), np.float32)
    joint = np.empty((COARSE, COARSE, 4), np.float32)
    for c in range(classes):
        p = scores[..., c]
        joint[..., :3] = guide * p[..., None]
        joint[..., 3] = p
        planes[c] = cv2.blur(_solve(mean, second, cv2.blur(joint, window)), window)
    return _best(np.ascontiguousarray(image), planes, _certain(winners(scores), scores))


def _certain(best: np.ndarray, scores: np.ndarray) -> UInt8[np.ndarray, "coarse coarse"]:
    """The class where all neighbours agree on it strongly, else 255: no edge can pass there, no filter is needed."""
    top = np.take_along_axis(scores, best[..., None].astype(np.intp), -1)[..., 0]
    strong = np.where(top > 0.9 * scores.sum(-1), best, 254).astype(np.uint8)
    kernel = np.ones((5, 5), np.uint8)
    low, high = cv2.erode(strong, kernel), cv2.dilate(strong, kernel)
    return np.where((low == high) & (low < 254), low, 255).astype(np.uint8)


@compiled(finite=True)
def winners(scores):
    """Index of the highest score along the last axis, uint8."""
    height, width, classes = scores.shape
    out = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            best = 0
            for c in range(1, classes):
                if scores[y, x, c] > scores[y, x, best]:
                    best = c
            out[y, x] = best
    return out


@compiled(finite=True)
def posterior(prior, colours, bins, person, face):
    """Probability of (background, skin, hair, clothes) at each pixel: prior x colour likelihood x person mask.

    `face` (0 to 1) is certain skin, whatever its colour: brows, eyes, beards and glasses are face.
    """
    height, width = bins.shape
    out = np.empty((height, width, 4), np.float32)
    for y in range(height):
        for x in range(width):
            m = min(max(person[y, x], np.float32(0.01)), np.float32(0.99))
            inside, outside = m * m, (np.float32(1) - m) * (np.float32(1) - m)
            free = np.float32(1) - face[y, x]
            colour = colours[bins[y, x]]
            b = prior[y, x, 0] * (colour[0] * outside * free + np.float32(1e-9))
            s = prior[y, x, 1] * (colour[1] * inside * free + np.float32(1e-9)) + face[y, x] * np.float32(1e-3)
            h = prior[y, x, 2] * (colour[2] * inside * free + np.float32(1e-9))
            k = prior[y, x, 3] * (colour[3] * inside * free + np.float32(1e-9))
            scale = np.float32(1) / (b + s + h + k)
            out[y, x, 0], out[y, x, 1], out[y, x, 2], out[y, x, 3] = b * scale, s * scale, h * scale, k * scale
    return out


@compiled(finite=True)
def _solve(mean, second, joint):
    """Equation 19: a = (covariance of the guide + eps)^-1 covariance with p, b = mean p - a . mean guide."""
    height, width, _ = mean.shape
    out = np.empty((height, width, 4), np.float32)
    for y in range(height):
        for x in range(width):
            m0, m1, m2 = mean[y, x, 0], mean[y, x, 1], mean[y, x, 2]
            p = joint[y, x, 3]
            c0, c1, c2 = joint[y, x, 0] - m0 * p, joint[y, x, 1] - m1 * p, joint[y, x, 2] - m2 * p
            rr, gg, bb = (
                second[y, x, 0] - m0 * m0 + EPS,
                second[y, x, 1] - m1 * m1 + EPS,
                second[y, x, 2] - m2 * m2 + EPS,
            )
            rg, gb, br = second[y, x, 3] - m0 * m1, second[y, x, 4] - m1 * m2, second[y, x, 5] - m2 * m0
            i00, i01, i02 = gg * bb - gb * gb, br * gb - rg * bb, rg * gb - br * gg
            i11, i12, i22 = rr * bb - br * br, br * rg - rr * gb, rr * gg - rg * rg
            scale = np.float32(1.0) / (rr * i00 + rg * i01 + br * i02)
            a0 = (i00 * c0 + i01 * c1 + i02 * c2) * scale
            a1 = (i01 * c0 + i11 * c1 + i12 * c2) * scale
            a2 = (i02 * c0 + i12 * c1 + i22 * c2) * scale
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = a0, a1, a2
            out[y, x, 3] = p - a0 * m0 - a1 * m1 - a2 * m2
    return out


@compiled(finite=True)
def _best(image, planes, certain):
    """argmax of a . colour + b with the coefficients between their cells (bilinear); `certain` where not 255."""
    height, width, _ = image.shape
    classes, rows, columns, _ = planes.shape
    out = np.empty((height, width), np.uint8)
    step_y, step_x, scale = np.float32(rows / height), np.float32(columns / width), np.float32(1 / 255)
    for y in range(height):
        fy = min(max((y + np.float32(0.5)) * step_y - np.float32(0.5), np.float32(0)), np.float32(rows - 1))
        y0 = int(fy)
        y1, wy = min(y0 + 1, rows - 1), fy - y0
        for x in range(width):
            fx = min(max((x + np.float32(0.5)) * step_x - np.float32(0.5), np.float32(0)), np.float32(columns - 1))
            x0 = int(fx)
            if certain[y0, x0] != 255:
                out[y, x] = certain[y0, x0]
                continue
            x1, wx = min(x0 + 1, columns - 1), fx - x0
            w00, w01, w10, w11 = (1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx
            r, g, b = image[y, x, 0] * scale, image[y, x, 1] * scale, image[y, x, 2] * scale
            best, value = 0, np.float32(-1e9)
            for c in range(classes):
                p, q, s, t = planes[c, y0, x0], planes[c, y0, x1], planes[c, y1, x0], planes[c, y1, x1]
                score = w00 * (p[0] * r + p[1] * g + p[2] * b + p[3]) + w01 * (q[0] * r + q[1] * g + q[2] * b + q[3])
                score += w10 * (s[0] * r + s[1] * g + s[2] * b + s[3]) + w11 * (t[0] * r + t[1] * g + t[2] * b + t[3])
                if score > value:
                    best, value = c, score
            out[y, x] = best
    return out
