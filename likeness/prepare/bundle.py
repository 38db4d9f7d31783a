"""A personal face shape and a pose for every frame from landmarks alone: bundle adjustment without a morphable model.

The face in frame t is `mean + coefficients[t] @ directions`, moved into the camera by a rotation and a shift and
projected by a pinhole camera. Mean, directions, focal length, poses and coefficients all come from the landmarks of
the clip itself (non-rigid structure from motion; Bregler et al. 2000, Torresani et al. 2008). Here poses are *world
to camera*, `x = rotation @ X + shift`; `tracking` turns them round at its door.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from likeness.camera import Camera
from likeness.mesh import (
    BROWS,
    CHEEKS,
    CHIN,
    FACE_OVAL,
    IRIS,
    JAW,
    LEFT_EYE,
    LIPS,
    OUTER_EYE_CORNERS,
    POINTS,
    RIGHT_EYE,
    SKULL,
)
from likeness.prepare.generic_face import generic_face

OUTER_EYE_CORNERS_M = 0.089
"""Distance between the outer eye corners: sets the scale of every head. Adults' mean of biocular breadth (91 mm in men,
87 mm in women; Farkas, Anthropometry of the Head and Face, 1994). One camera cannot know a head's true size."""

DIRECTIONS = 10
SHAPE_SIGMA_M = 0.004  # how far a person's points lie from the generic face
FOCAL_SIGMA = 0.15  # of the focal length's logarithm: the prior's range of 1.1-1.6 frame widths is about two of these
NOISE_FRAMES = 20.0  # landmark errors last: so many frames, and so many neighbouring points,
NOISE_POINTS = 8.0  # count as one when weighed against a prior
KEYFRAMES = 200
ROUNDS = 10
POSE_POINTS = np.array(sorted({*BROWS, *CHEEKS, *CHIN, *FACE_OVAL, *IRIS, *JAW, *LEFT_EYE, *LIPS, *RIGHT_EYE, *SKULL}))
"""Points that poses and coefficients are solved from: neighbours err together, all 478 cost 2.5 times as much in
vain."""


@dataclass(frozen=True)
class Shape:
    """A person's face in the head frame, metres. Coefficients have unit variance over the clip."""

    mean: Float[np.ndarray, "k 3"]
    directions: Float[np.ndarray, "d k 3"]

    def at(self, coefficients: Float[np.ndarray, "t d"]) -> Float[np.ndarray, "t k 3"]:
        """The face of every frame."""
        return self.mean + np.tensordot(coefficients, self.directions, 1)


@dataclass(frozen=True)
class View:
    """Where the head is in the camera: `x = rotation @ X + shift`."""

    rotation: Float[np.ndarray, "t 3 3"]
    shift: Float[np.ndarray, "t 3"]

    def __len__(self) -> int:
        return len(self.shift)

    def __getitem__(self, index: slice | np.ndarray | list[int]) -> View:
        return View(self.rotation[index], self.shift[index])

    def moved(self, step: Float[np.ndarray, "t 6"]) -> View:
        """Turned about the head's origin by a rotation vector, then shifted, both in camera axes."""
        return View(rotation_matrix(step[:, :3]) @ self.rotation, self.shift + step[:, 3:])


def rotation_matrix(vector: Float[np.ndarray, "*t 3"]) -> Float[np.ndarray, "*t 3 3"]:
    """Rodrigues' formula."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    k = cross_matrix(vector)
    # sinc keeps both quotients finite at angle 0
    return np.eye(3) + np.sinc(angle / np.pi) * k + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * (k @ k)


def cross_matrix(v: Float[np.ndarray, "*t 3"]) -> Float[np.ndarray, "*t 3 3"]:
    """[v]x, so that [v]x w = v x w."""
    out = np.zeros((*v.shape, 3))
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    return out - np.swapaxes(out, -1, -2)


def projection(
    points: Float[np.ndarray, "*n 3"], camera: Camera
) -> tuple[Float[np.ndarray, "*n 2"], Float[np.ndarray, "*n 2 3"]]:
    """Pixels of points in camera axes, and their derivative."""
    z = np.maximum(points[..., 2], 1e-3)
    pixels = points[..., :2] / z[..., None] * camera.focal + np.asarray(camera.centre)
    jacobian = np.zeros((*points.shape[:-1], 2, 3))
    jacobian[..., 0, 0] = jacobian[..., 1, 1] = camera.focal / z
    jacobian[..., :, 2] = -camera.focal * points[..., :2] / z[..., None] ** 2
    return pixels, jacobian


def huber(residual: Float[np.ndarray, "*n 2"], scale: float | Float[np.ndarray, "*#n"]) -> Float[np.ndarray, "*n"]:
    """Weights that make least squares Huber's robust loss: 1 inside `scale`, falling as 1/r outside."""
    return np.minimum(1.0, scale / np.maximum(np.linalg.norm(residual, axis=-1), 1e-9))


def first_view(pixels: Float[np.ndarray, "t k 2"], shape: Shape, camera: Camera) -> View:
    """Poses to start from: scaled orthography, solved in closed form (POS; DeMenthon and Davis 1995)."""
    mean = shape.mean - shape.mean.mean(0)
    affine = np.swapaxes(pixels - pixels.mean(1, keepdims=True), 1, 2) @ np.linalg.pinv(mean).T  # [T 2 3]
    third = np.cross(affine[:, 0], affine[:, 1])
    scale = np.sqrt(np.maximum(np.linalg.norm(third, axis=1), 1e-9))
    u, _, vt = np.linalg.svd(np.concatenate([affine / scale[:, None, None], (third / scale[:, None] ** 2)[:, None]], 1))
    rotation = u @ vt
    depth = camera.focal / scale
    middle = np.concatenate([(pixels.mean(1) - np.asarray(camera.centre)) / camera.focal * depth[:, None], depth[:, None]], 1)
    return View(rotation, middle - rotation @ shape.mean.mean(0))


@dataclass(frozen=True)
class Fit:
    """What `solve_frames` found."""

    view: View
    coefficients: Float[np.ndarray, "t d"]
    precision: Float[np.ndarray, "t 6 6"]
    """Of turn and shift in camera axes, coefficients marginalised; for landmark errors of one pixel, independent."""
    error: Float[np.ndarray, " t"]
    """Root-mean-square distance of model and landmarks, all of them, pixels."""
    focal_pull: tuple[float, float]
    """Curvature and slope of the squared error over the logarithm of the focal length, everything else following."""


def solve_frames(
    pixels: Float[np.ndarray, "t k 2"],
    shape: Shape,
    camera: Camera,
    view: View,
    coefficients: Float[np.ndarray, "t d"],
    steps: int = 4,
    pose_free: bool = True,
) -> Fit:
    """Pose and coefficients of every frame by itself, by Gauss-Newton with Huber weights; 256 frames at a time."""
    parts = [
        _solve_chunk(pixels[part], shape, camera, view[part], coefficients[part], steps, pose_free)
        for part in (slice(i, i + 256) for i in range(0, len(view), 256))
    ]
    pull = np.sum([p.focal_pull for p in parts], 0)
    return Fit(
        View(np.concatenate([p.view.rotation for p in parts]), np.concatenate([p.view.shift for p in parts])),
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("coefficients", "precision", "error")),
        focal_pull=(float(pull[0]), float(pull[1])),
    )


def _solve_chunk(
    pixels: Float[np.ndarray, "t k 2"],
    shape: Shape,
    camera: Camera,
    view: View,
    coefficients: Float[np.ndarray, "t d"],
    steps: int,
    pose_free: bool,
) -> Fit:
    """`solve_frames` of a few frames. Columns of the normal equations: turn 3, shift 3, coefficients, log focal."""
    length, d = len(view), coefficients.shape[1]
    some = Shape(shape.mean[POSE_POINTS], shape.directions[:, POSE_POINTS])
    target = pixels[:, POSE_POINTS].astype(np.float64)
    for step in range(steps + 1):
        turned = some.at(coefficients) @ np.swapaxes(view.rotation, 1, 2)
        seen, slope = projection(turned + view.shift[:, None], camera)
        residual = target - seen
        length_px = np.linalg.norm(residual, axis=-1)
        weight = np.sqrt(huber(residual, 2.0 * np.median(length_px, axis=1, keepdims=True)))[..., None]
        around = slope @ -cross_matrix(turned)
        bent = (slope @ view.rotation[:, None]) @ np.moveaxis(some.directions, 0, 2)
        columns = np.concatenate([around, slope, bent, (seen - np.asarray(camera.centre))[..., None]], -1)
        columns = (columns * weight[..., None]).reshape(length, -1, 7 + d)
        transposed = np.swapaxes(columns, 1, 2)
        normal = transposed @ columns
        right = (transposed @ (residual * weight).reshape(length, -1, 1))[..., 0]
        index = np.arange(6, 6 + d)
        normal[:, index, index] += NOISE_POINTS
        right[:, 6 : 6 + d] -= NOISE_POINTS * coefficients
        if step == steps:
            break
        if pose_free:
            move = np.linalg.solve(normal[:, :-1, :-1], right[:, :-1, None])[..., 0]
            view = view.moved(move[:, :6])
            coefficients = coefficients + move[:, 6:]
        elif d:
            inner = normal[:, 6:-1, 6:-1]
            coefficients = coefficients + np.linalg.solve(inner, right[:, 6:-1, None])[..., 0]
    cross = normal[:, :6, 6:-1]
    precision = normal[:, :6, :6] - cross @ np.linalg.solve(normal[:, 6:-1, 6:-1], np.swapaxes(cross, 1, 2))
    last = np.linalg.solve(normal[:, :-1, :-1], np.stack([normal[:, :-1, -1], right[:, :-1]], -1))
    curvature = normal[:, -1, -1] - (normal[:, -1, :-1] * last[..., 0]).sum(-1)
    pull = right[:, -1] - (normal[:, -1, :-1] * last[..., 1]).sum(-1)
    points = shape.at(coefficients) @ np.swapaxes(view.rotation, 1, 2) + view.shift[:, None]
    error = np.sqrt(((pixels - projection(points, camera)[0]) ** 2).sum(-1).mean(1))
    return Fit(view, coefficients, precision, error, (float(curvature.sum()), float(pull.sum())))


def rigid_modes(mean: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "6 k 3"]:
    """The six ways in which a shape moves without changing."""
    shifts = np.broadcast_to(np.eye(3)[:, None], (3, *mean.shape))
    return np.concatenate([shifts, np.cross(np.eye(3)[:, None], mean[None])])


def without_rigid(moves: Float[np.ndarray, "n k 3"], mean: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "n k 3"]:
    """Displacements less the rigid motion of the points on the skull: an opening jaw shall not turn the head."""
    modes = rigid_modes(mean)
    on_skull = modes[:, list(SKULL)].reshape(6, -1)
    share = np.linalg.lstsq(on_skull.T, moves[:, list(SKULL)].reshape(len(moves), -1).T, rcond=None)[0]
    return moves - np.tensordot(share.T, modes, 1)


def keyframes(seen: Bool[np.ndarray, " t"], count: int = KEYFRAMES) -> np.ndarray:
    """Up to `count` seen frames, evenly over the clip."""
    frames = np.flatnonzero(seen)
    return frames[np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))]


def adjust(pixels: Float[np.ndarray, "t k 2"], camera: Camera, rounds: int = ROUNDS) -> tuple[Shape, Camera]:
    """A person's shape and the camera, whose focal length given is the prior, from the landmarks of some keyframes.

    Bundle adjustment by turns. Each round solves poses and coefficients, then the focal length, then the mean point by
    point, then the directions (principal components of what is left, expectation-maximisation style: unseen depth is
    filled in by the model).
    """
    pixels = pixels.astype(np.float64)
    shape = Shape(generic_face(), np.zeros((0, POINTS, 3)))
    prior = camera.focal
    view = first_view(pixels, shape, camera)
    coefficients = np.zeros((len(pixels), 0))
    for turn in range(rounds):
        fit = solve_frames(pixels, shape, camera, view, coefficients, steps=4 if turn == 0 else 2)
        view, coefficients = fit.view, fit.coefficients
        if turn >= 2:
            camera, view = _refocus(fit, camera, prior)
        shape, view = _reshape(pixels, shape, camera, view, coefficients)
        shape, coefficients = _redirect(pixels, shape, camera, view, coefficients)
    return shape, camera


def _refocus(fit: Fit, camera: Camera, prior: float) -> tuple[Camera, View]:
    """A step of the focal length against its prior; depth follows, so that the picture stays."""
    curvature, pull = np.asarray(fit.focal_pull) / (NOISE_FRAMES * NOISE_POINTS)
    step = (pull - np.log(camera.focal / prior) / FOCAL_SIGMA**2) / (curvature + FOCAL_SIGMA**-2)
    factor = float(np.exp(np.clip(step, -0.1, 0.1)))
    return replace(camera, focal=camera.focal * factor), replace(fit.view, shift=fit.view.shift * np.array([1, 1, factor]))


def _reshape(
    pixels: Float[np.ndarray, "t k 2"], shape: Shape, camera: Camera, view: View, coefficients: Float[np.ndarray, "t d"]
) -> tuple[Shape, View]:
    """The mean, point by point, near the generic face; then brought to the head frame that `camera` promises."""
    points = shape.at(coefficients) @ np.swapaxes(view.rotation, 1, 2) + view.shift[:, None]
    seen, slope = projection(points, camera)
    residual = pixels - seen
    weight = huber(residual, 2.0 * np.median(np.linalg.norm(residual, axis=-1)))
    slope = slope @ view.rotation[:, None]
    normal = np.einsum("tkia,tkib,tk->kab", slope, slope, weight, optimize=True)
    right = np.einsum("tkia,tki,tk->ka", slope, residual, weight, optimize=True)
    hold = len(pixels) / NOISE_FRAMES / SHAPE_SIGMA_M**2
    right += hold * (generic_face() - shape.mean)
    mean = shape.mean + np.linalg.solve(normal + hold * np.eye(3), right[..., None])[..., 0]
    turn, scale, origin = _to_head_frame(mean)
    directions = scale * shape.directions @ turn.T
    rotation = view.rotation @ turn.T
    shift = scale * (view.shift + (view.rotation @ origin[:, None])[..., 0])
    return Shape(scale * (mean - origin) @ turn.T, directions), View(rotation, shift)


def _to_head_frame(
    mean: Float[np.ndarray, "k 3"],
) -> tuple[Float[np.ndarray, "3 3"], float, Float[np.ndarray, "3"]]:
    """Turn, scale and origin that lay a face onto the generic one: looking straight ahead, eyes at their distance."""
    rigid = list(SKULL)
    origin = mean[rigid].mean(0)
    model = generic_face()[rigid] - generic_face()[rigid].mean(0)
    u, _, vt = np.linalg.svd(model.T @ (mean[rigid] - origin))
    turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    right, left = OUTER_EYE_CORNERS
    return turn, OUTER_EYE_CORNERS_M / float(np.linalg.norm(mean[right] - mean[left])), origin


def _redirect(
    pixels: Float[np.ndarray, "t k 2"], shape: Shape, camera: Camera, view: View, coefficients: Float[np.ndarray, "t d"]
) -> tuple[Shape, Float[np.ndarray, "t new"]]:
    """The directions in which the face deforms most, unit variance, without what the skull could do."""
    points = shape.at(coefficients) @ np.swapaxes(view.rotation, 1, 2) + view.shift[:, None]
    residual = pixels - projection(points, camera)[0]
    residual *= huber(residual, 4.0 * np.median(np.linalg.norm(residual, axis=-1)))[..., None]
    lifted = np.concatenate([residual * points[..., 2:] / camera.focal, np.zeros_like(residual[..., :1])], -1)
    moves = np.tensordot(coefficients, shape.directions, 1) + lifted @ view.rotation
    moves = without_rigid(moves - moves.mean(0), shape.mean).reshape(len(pixels), -1)
    count = min(DIRECTIONS, len(pixels) - 1)
    values, vectors = np.linalg.eigh(moves @ moves.T)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    size = np.sqrt(np.maximum(values, 1e-18) / len(pixels))
    coefficients = vectors * np.sqrt(len(pixels))
    directions = (coefficients.T @ moves / len(pixels)).reshape(count, -1, 3)
    keep = size > 1e-6
    return Shape(shape.mean, directions[keep]), coefficients[:, keep]
