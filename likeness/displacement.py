"""Expression as displacement: where each landmark of a face is, against the person's own mean face.

GeneFace (Ye et al. 2023) learns motion of many people as `idexp_lm3d`: 68 landmarks of a licensed face model, ten times
their displacement from its mean, which is centimetres. Here it is the tracker's own landmarks in the head frame, in the same
unit, against one mean face a person; nothing is licensed. Axes are those of the head frame (`likeness.camera`): x to the
right of the picture, y down, z into the head. Every head has its outer eye corners EYES_CM apart, so that people compare.

One identity a person: the mean of all frames' landmarks, each frame laid onto it by the points on the skull alone
(an open jaw does not turn the head), robustly: frames in which a point is far from where it usually is count for less.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from likeness import mesh
from likeness.errors import BadInput

CM = 100.0
"""Centimetres in a metre: what landmarks of `Motion` are multiplied by."""
EYES_CM = 8.9
"""Between the outer eye corners, as in the tracker (`OUTER_EYE_CORNERS_M`)."""

# fmt: off
POINTS_68 = (
    127, 234, 93, 132, 58, 136, 149, 176, 152, 400, 378, 365, 288, 361, 323, 454, 356,  # jaw, from the right ear
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows, upper edge, from the right one's outer end
    168, 197, 5, 4, 98, 97, 2, 326, 327,  # nose: bridge downwards, base from the right
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes: rings from the corner on the right, over the top
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,  # outer lips, ring from the right corner over the top
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips, likewise
)
# fmt: on
"""Landmarks of MediaPipe's mesh in the order of the usual 68 (iBUG 300-W). "Right" is the person's own. The jaw is nine
points a side at even distances on the mesh's oval, the face's outline in the picture: it slides when the head turns."""
JAW, BROWS, NOSE, EYES, MOUTH = slice(0, 17), slice(17, 27), slice(27, 36), slice(36, 48), slice(48, 68)
"""Of the 68."""
# fmt: off
MIRROR_68 = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)
# fmt: on
"""The landmark of the other side for each of the 68."""
UPPER_INNER_LIP, LOWER_INNER_LIP = 62, 66
OUTER_EYE_CORNERS = (36, 45)

ROUNDS = 4
HUBER = 2.0  # times the median distance: frames beyond count less
MOST_CM = 10.0  # of a plausible idexp_lm3d; z-scored or raw vertices are far larger or have no spread
CHUNK = 1024  # frames at a time


@dataclass(frozen=True)
class Displacement:
    """A person's face and how it moves; 478 points of the mesh or the 68."""

    shape: Float[np.ndarray, "points 3"]
    """The person's mean face, centimetres, head frame."""
    moves: Float[np.ndarray, "time points 3"]
    """What each frame's face is away from it, centimetres."""

    def __len__(self) -> int:
        return len(self.moves)

    @property
    def landmarks(self) -> Float[np.ndarray, "time points 3"]:
        """The faces themselves, centimetres."""
        return self.shape + self.moves

    def of_68(self) -> Displacement:
        """Of the 478 the usual 68."""
        return Displacement(pick_68(self.shape), pick_68(self.moves))

    def against(self, shape: Float[np.ndarray, "points 3"]) -> Displacement:
        """The same faces as displacement from another mean, such as the person's over many clips."""
        return Displacement(shape, (self.landmarks - shape).astype(self.moves.dtype))


def displacement(landmarks: Float[np.ndarray, "time 478 3"], shape: Float[np.ndarray, "478 3"] | None = None) -> Displacement:
    """Landmarks in the head frame in metres (`Motion.landmarks`, frames in which the face was seen) as displacement.

    shape: the person's mean face in centimetres, where it is known; else it comes from these frames.
    """
    faces = landmarks * np.float32(CM)
    shape = mean_face(faces) if shape is None else shape
    return Displacement(shape.astype(np.float32), (laid_onto(shape, faces) - shape).astype(np.float32))


def mean_face(faces: Float[np.ndarray, "time 478 3"]) -> Float[np.ndarray, "478 3"]:
    """One mean face of one person, see the module docstring; its eyes are EYES_CM apart whatever the unit of `faces`.

    Alternates between laying every frame onto the mean and taking the mean by Huber weights, point by point.
    """
    mean = np.median(faces[np.linspace(0, len(faces) - 1, min(len(faces), 200)).astype(int)], 0).astype(np.float64)
    for _ in range(ROUNDS):
        mean = scaled(robust_mean(laid_onto(mean, faces)))
    return mean


def robust_mean(
    rows: Float[np.ndarray, "n points 3"], weights: Float[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, "points 3"]:
    """The mean of each point, where rows far from it count less (Huber)."""
    rows = rows.astype(np.float64)
    share = np.ones(len(rows)) if weights is None else np.asarray(weights, np.float64)
    mean = np.median(rows, 0)
    for _ in range(ROUNDS):
        distance = np.linalg.norm(rows - mean, axis=-1)
        limit = np.maximum(HUBER * np.median(distance, 0), 1e-9)
        weight = share[:, None] * np.minimum(1.0, limit / np.maximum(distance, 1e-9))
        mean = (weight[..., None] * rows).sum(0) / weight.sum(0)[:, None]
    return mean


def laid_onto(shape: Float[np.ndarray, "478 3"], faces: Float[np.ndarray, "time 478 3"]) -> Float[np.ndarray, "time 478 3"]:
    """Every face turned, shifted and scaled onto `shape` by the points on the skull (Umeyama 1991), in `shape`'s unit.

    Exact for any rigid motion and scale of a face: what is left is what the skull did not do.
    """
    skull = list(mesh.SKULL)
    origin = shape[skull].mean(0)
    goal = shape[skull] - origin
    out = np.empty(faces.shape, np.float64)
    for i in range(0, len(faces), CHUNK):
        part = faces[i : i + CHUNK].astype(np.float64)
        middle = part[:, skull].mean(1, keepdims=True)
        have = part[:, skull] - middle
        u, size, vt = np.linalg.svd(np.einsum("ka,tkb->tab", goal, have))
        proper = np.ones((len(part), 3))
        proper[:, 2] = np.linalg.det(u @ vt)  # a mirror image is no turn
        turn = (u * proper[:, None]) @ vt
        scale = (size * proper).sum(1) / np.maximum(np.square(have).sum((1, 2)), 1e-12)
        out[i : i + CHUNK] = scale[:, None, None] * (part - middle) @ np.swapaxes(turn, 1, 2) + origin
    return out


def scaled(shape: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "478 3"]:
    """The same face with its outer eye corners EYES_CM apart."""
    right, left = mesh.OUTER_EYE_CORNERS
    return shape * (EYES_CM / np.linalg.norm(shape[right] - shape[left]))


def pick_68(points: Float[np.ndarray, "*time points 3"]) -> Float[np.ndarray, "*time 68 3"]:
    """The usual 68 of the mesh's 478; 68 stay as they are. Raises BadInput for another number."""
    count = points.shape[-2]
    if count not in (len(POINTS_68), mesh.POINTS):
        raise BadInput(f"{count} landmarks: there is a map to the usual 68 from the mesh's {mesh.POINTS} only.")
    return points if count == len(POINTS_68) else points[..., POINTS_68, :]


def mirrored(points: Float[np.ndarray, "*time 68 3"]) -> Float[np.ndarray, "*time 68 3"]:
    """A face, or its displacement, as in a mirror."""
    return points[..., MIRROR_68, :] * np.array([-1, 1, 1], points.dtype)


def lip_opening(points: Float[np.ndarray, "time points 3"]) -> Float[np.ndarray, " time"]:
    """Distance between the middles of the inner lips, in the unit of the landmarks (68 or 478 of them)."""
    lips = pick_68(points)
    return np.linalg.norm(lips[:, UPPER_INNER_LIP] - lips[:, LOWER_INNER_LIP], axis=-1)


def read_idexp(path: str | Path) -> Displacement:
    """GeneFace's `idexp_lm3d` of one person ([T, 204] or [T, 68, 3] in .npy, or in .npz under that name) as displacement.

    The face model's axes (x to the right of the picture, y up, z out of the face) become ours. What does not change over
    time is the person's identity: it goes into `shape`, as far as the file tells it, which is without the model's own mean
    face: `shape` is the identity's offset from it. Raises BadInput for anything else, damaged, z-scored or empty.
    """
    path = Path(path)
    rows = _read_rows(path).astype(np.float64)
    rows = rows.reshape(-1, len(POINTS_68), 3) * np.array([1.0, -1.0, -1.0])
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all((1, 2)))[0])
        raise BadInput(f"{path}: frame {bad} holds no numbers (NaN or infinity). Extract the landmarks again.")
    if np.abs(rows).max() < 1e-6:
        raise BadInput(
            f"{path}: all landmarks are zero: the face model's files were not found when it was made. Extract again."
        )
    if np.abs(rows).max() > MOST_CM or np.median(rows[:, EYES].std(0)) > 0.5:
        raise BadInput(
            f"{path}: these are no displacements of a face in centimetres, as idexp_lm3d holds them. If they are "
            "idexp_lm3d_normalized, undo that first: times the person's standard deviation, plus the mean."
        )
    shape = robust_mean(rows)
    right, left = OUTER_EYE_CORNERS
    scale = EYES_CM / (EYES_CM + float(shape[left, 0] - shape[right, 0]))  # the model's mean face is taken to have our eyes
    return Displacement((scale * shape).astype(np.float32), (scale * (rows - shape)).astype(np.float32))


def _read_rows(path: Path) -> np.ndarray:
    """The array of an idexp file: [T, 204]."""
    flat = 3 * len(POINTS_68)
    try:
        with open(path, "rb") as file:
            held = np.load(file, allow_pickle=False)
            rows = held if isinstance(held, np.ndarray) else held["idexp_lm3d"]
    except KeyError as error:
        raise BadInput(f"{path}: it holds no idexp_lm3d. Name the .npz or .npy in which GeneFace wrote it.") from error
    except (OSError, ValueError, EOFError) as error:
        why = "it is pickled, which could run anything" if "pickle" in str(error) else str(error)
        raise BadInput(
            f"{path}: cannot be read ({why}). From GeneFace's own dataset take the array alone: "
            "numpy.save('idexp.npy', item['idexp_lm3d'])."
        ) from error
    if rows.ndim == 3 and rows.shape[0] == 1 and rows.shape[-1] == flat:  # as its motion generator writes it
        rows = rows[0]
    rows = rows.reshape(len(rows), -1) if rows.ndim == 3 and rows.shape[1:] == (len(POINTS_68), 3) else rows
    if rows.ndim != 2 or rows.shape[1] != flat or len(rows) < 2 or rows.dtype.kind != "f":
        raise BadInput(
            f"{path}: holds {rows.dtype} {list(rows.shape)}; idexp_lm3d is [frames, {flat}] of floating point numbers."
        )
    return rows
