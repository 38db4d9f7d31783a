"""Where Gaussians start: on the face mesh, on an ellipsoid for hair, ears and neck, and inside the mouth.

Lengths are UNIT = 0.1 m, the head frame's x right, y down, z into the head.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree

from likeness import mesh
from likeness.camera import from_camera, to_camera
from likeness.clip import HEAD, Clip, Index

UNIT = 10.0  # per metre


def on_mesh(
    nodes: np.ndarray, triangles: np.ndarray, density: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points on the face by area, and more on triangles near lips and eyes: position, node indices, barycentric weights."""
    corners = nodes[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    fine = cKDTree(nodes[list(mesh.LIPS + mesh.RIGHT_EYE + mesh.LEFT_EYE)])
    near = fine.query(corners.mean(1))[0] < 0.12
    chosen = [
        rng.choice(len(triangles), int(8500 * density), p=area / area.sum()),
        rng.choice(len(triangles), int(2500 * density), p=area * near / (area * near).sum()),
    ]
    face = np.concatenate(chosen)
    weights = rng.dirichlet((1, 1, 1), len(face))
    return (corners[face] * weights[..., None]).sum(1), triangles[face], weights


def on_ellipsoid(clip: Clip, nodes: np.ndarray, views: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Head-mask pixels outside the face oval, back-projected to an ellipsoid that fits the skull."""
    eye_line = nodes[list(mesh.RIGHT_EYE_CORNERS + mesh.LEFT_EYE_CORNERS), 1].mean()
    centre = np.array([nodes[:, 0].mean(), eye_line - 0.15, nodes[list(mesh.TEMPLES), 2].mean() + 0.25])
    pixels = clip.pixels.numpy()
    picked, half_widths, tops = [], [], []
    for t in views:
        parts = clip.parts(t)
        head = np.isin(parts, HEAD)
        oval = cv2.convexHull(pixels[t, list(mesh.FACE_OVAL)].astype(np.int32))
        face = cv2.fillConvexPoly(np.zeros(parts.shape, np.uint8), oval, (1,))
        face = cv2.erode(face, np.ones((7, 7), np.uint8), iterations=max(1, parts.shape[0] // 256))
        ys, xs = np.nonzero(head & (face == 0))
        scale = float(clip.motion.pose[t, :3, 3].norm()) * UNIT / clip.camera.focal  # model units per pixel
        brow_row = pixels[t, list(mesh.RIGHT_BROW + mesh.LEFT_BROW), 1].min()
        rows, columns = np.nonzero(head[: int(max(brow_row, 1))])
        if len(rows):
            half_widths.append((columns.max() - columns.min()) / 2 * scale)
            tops.append((pixels[t, list(mesh.RIGHT_EYE + mesh.LEFT_EYE), 1].mean() - rows.min()) * scale)
        take = rng.integers(0, len(ys), min(len(ys), 4 * count // len(views) + 1)) if len(ys) else []
        picked.append((t, np.stack([xs[take], ys[take]], 1) + rng.random((len(take), 2)) if len(ys) else np.zeros((0, 2))))
    width, top = (float(np.median(half_widths)), float(np.median(tops))) if half_widths else (0.8, 1.2)
    radii = np.maximum([0.97 * width, top - 0.15, 0.97 * width], 0.6)
    points = [_meet_ellipsoid(clip, t, xy, centre, radii) for t, xy in picked]
    points = np.concatenate(points)
    return points[rng.permutation(len(points))[:count]]


def _meet_ellipsoid(clip: Clip, t: Index, pixels: np.ndarray, centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Where rays meet the ellipsoid's front; rays that miss are set at its centre's depth."""
    pose = clip.motion.pose[t].double()
    ends = from_camera(clip.camera.unproject(torch.from_numpy(pixels), torch.ones(len(pixels)).double()), pose).numpy() * UNIT
    origin = pose[:3, 3].numpy() * UNIT
    direction = ends - origin
    o, d = (origin - centre) / radii, direction / radii
    a, b, c = (d * d).sum(1), (d * o).sum(1), (o * o).sum() - 1
    root = b * b - a * c
    near = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, -b / a)
    return origin + near[:, None] * direction


def in_mouth(nodes: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A curved sheet behind the lips; the lower half moves with the jaw."""
    lips = nodes[list(mesh.LIPS)]
    x = rng.uniform(-0.27, 0.27, count)
    y = rng.uniform(-0.10, 0.16, count)
    z = lips[:, 2].mean() + 0.10 + x * x
    return np.stack([lips[:, 0].mean() + x, lips[:, 1].mean() + y, z], axis=1), y > 0.03


def median_colors(clip: Clip, points: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Colour of each point: median over the views, nearest pixel. Points in metres."""
    size = clip.camera.size
    seen = []
    for t in views:
        xy = clip.camera.project(to_camera(torch.from_numpy(points).float(), clip.motion.pose[t])).numpy()
        x, y = np.clip(xy[:, 0], 0, size[0] - 1).astype(int), np.clip(xy[:, 1], 0, size[1] - 1).astype(int)
        seen.append(clip.image(t)[y, x])
    return np.median(np.stack(seen), axis=0) / 255.0


def mouth_color(clip: Clip, frames: np.ndarray) -> np.ndarray:
    """Mean colour inside the lips over the 40 widest-open frames."""
    landmarks = clip.motion.landmarks[torch.from_numpy(frames)]
    opening = (landmarks[:, mesh.UPPER_INNER_LIP] - landmarks[:, mesh.LOWER_INNER_LIP]).norm(dim=-1)
    colors = []
    for t in frames[opening.argsort(descending=True)[:40].numpy()]:
        ring = clip.pixels[t, list(mesh.INNER_LIPS)].numpy().astype(np.int32)
        inside = cv2.fillPoly(np.zeros(clip.camera.size[::-1], np.uint8), [ring], (1,))
        if inside.any():
            colors.append(clip.image(t)[inside > 0].mean(0))
    return np.mean(colors, axis=0) / 255.0 if colors else np.full(3, 0.2)


def log_scales(points: np.ndarray, most: float = 0.06) -> np.ndarray:
    """log(0.8 × root-mean-square distance to the 3 nearest, within .006 to `most`), the same in all directions."""
    distance = cKDTree(points).query(points, k=4)[0][:, 1:]
    scale = 0.8 * np.clip(np.sqrt((distance**2).mean(1)), 0.006, most)
    return np.repeat(np.log(scale)[:, None], 3, axis=1)
