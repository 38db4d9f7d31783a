"""What a face does, read off tracked landmarks: eye opening, brows, lips, gaze and signals like facial action units.

Geometry in the head frame, with what head pose explains taken out. The signals resemble FACS action units (Ekman and
Friesen 1978) and are not intensities: AU25, 26, 45 and 18/20 follow the real ones well, AU12 well, AU1/2 moderately,
AU4 and AU10 weakly. Where a real `au.csv` of OpenFace exists, `read_action_units` reads it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from likeness.errors import BadInput
from likeness.mesh import (
    CHIN_TIP,
    INNER_BROWS,
    LEFT_BROW,
    LEFT_EYE_CORNERS,
    LEFT_INNER_BROW,
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LIP_CORNERS,
    LOWER_INNER_LIP,
    OUTER_BROWS,
    RIGHT_BROW,
    RIGHT_EYE_CORNERS,
    RIGHT_INNER_BROW,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_INNER_LIP,
    UPPER_LIP_MIDDLE,
)
from likeness.prepare.bundle import without_rigid

ACTION_UNITS = ("AU01", "AU02", "AU04", "AU10", "AU12", "AU18", "AU20", "AU25", "AU26", "AU45")
NAMES = (*ACTION_UNITS, "brow_right", "brow_left", "frown", "lip_opening", "lip_width", "gaze_x", "gaze_y")
"""Columns of `Motion.expression`. AU..: standard deviations of the clip above rest (AU25, 26, 45: its 5th percentile)
or above the median (the others); 01/02 inner/outer brow raised, 04 frown, 10 upper lip raised, 12 lip corners drawn
up, 18 pucker, 20 stretch, 25 lips part, 26 jaw drops, 45 eyes close. brow_right, brow_left (raised), frown (brows
nearer together): metres from the clip's median. lip_opening (between the inner lips, from the front), lip_width (between
the corners): metres. gaze_x (to the right of the picture), gaze_y (down): iris centre from the middle of the eye
corners, in half eye widths; bridged over blinks."""

RESTING = ("AU25", "AU26", "AU45")
OPEN_PERCENTILE = 80.0
CLOSED_SHARE = 0.2  # a shut eye's lids still lie this share of the opening apart: the mesh has a lid's thickness
BLINK = 0.5  # irises are not seen below this opening


@dataclass(frozen=True)
class Expression:
    """`units` has the columns `NAMES`; `eyes` is the opening, 0 closed to 1 open."""

    units: Float[np.ndarray, "time expression"]
    eyes: Float[np.ndarray, " time"]

    def __getitem__(self, name: str) -> Float[np.ndarray, " time"]:
        return self.units[:, NAMES.index(name)]


def express(
    landmarks: Float[np.ndarray, "time 478 3"], pose: Float[np.ndarray, "time 4 4"], seen: Bool[np.ndarray, " time"]
) -> Expression:
    """Eyes and expression of a clip from landmarks in the head frame (metres) and camera-to-world poses.

    Statistics come from the seen frames only; the others get values by the same rule from interpolated landmarks.
    """
    seen = np.asarray(seen, bool)
    if not seen.any():
        raise BadInput("No frame shows a face: there is no expression to read.")
    face = settled(landmarks, seen)
    turns = head_turns(pose)
    eyes = eye_opening(face, turns, seen)
    width = _distance(face, *LIP_CORNERS)
    # seen from the front: the lower lip stands millimetres behind the upper, also when they touch
    opening = np.linalg.norm(face[:, UPPER_INNER_LIP, :2] - face[:, LOWER_INNER_LIP, :2], axis=1).astype(np.float64)
    inner, outer = -face[:, INNER_BROWS, 1].mean(1), -face[:, OUTER_BROWS, 1].mean(1)
    frown = -0.5 * sum(_distance(face, right, left) for right, left in zip(RIGHT_INNER_BROW, LEFT_INNER_BROW))
    corners = -face[:, LIP_CORNERS, 1].mean(1)
    raw = {
        "AU01": inner,
        "AU02": outer,
        "AU04": frown - inner,
        "AU10": -face[:, UPPER_LIP_MIDDLE, 1].mean(1),
        "AU12": corners + 0.5 * width,
        "AU18": -width - face[:, LIP_CORNERS, 2].mean(1),  # narrow and forward
        "AU20": width,
        "AU25": opening,
        "AU26": face[:, CHIN_TIP, 1].mean(1),
        "brow_right": -face[:, RIGHT_BROW, 1].mean(1),
        "brow_left": -face[:, LEFT_BROW, 1].mean(1),
        "frown": frown,
    }
    found = {name: without_turns(value, turns, seen) for name, value in raw.items()}
    found["AU45"] = 1 - eyes.astype(np.float64)
    for name in ACTION_UNITS:
        value = found[name]
        rest = np.percentile(value[seen], 5) if name in RESTING else np.median(value[seen])
        found[name] = (value - rest) / max(float(value[seen].std()), 1e-6)
    found |= {"lip_opening": opening, "lip_width": width}
    found["gaze_x"], found["gaze_y"] = gaze(face, eyes, seen)
    return Expression(np.stack([found[name] for name in NAMES], 1).astype(np.float32), eyes)


def settled(
    landmarks: Float[np.ndarray, "time 478 3"], seen: Bool[np.ndarray, " time"] | None = None
) -> Float[np.ndarray, "time 478 3"]:
    """Landmarks without what the points on the skull move together.

    Landmarks project exactly to what the tracker saw while poses follow the picture, so the tracker's slow drift (about
    a pixel) is in the landmarks. It is not expression: signals are read from these. (Pictures are better driven by the raw
    ones: at the mouth 0.5 dB on presenter.mp4, since what is left of the pose's own error is in them too.)
    """
    mean = landmarks[slice(None) if seen is None or not seen.any() else seen].mean(0, dtype=np.float64)
    out = np.empty(landmarks.shape, np.float32)
    for i in range(0, len(landmarks), 1024):
        out[i : i + 1024] = mean + without_rigid(landmarks[i : i + 1024] - mean, mean)
    return out


def head_turns(pose: Float[np.ndarray, "time 4 4"]) -> Float[np.ndarray, "time 3"]:
    """Yaw (to the right of the picture), pitch (down) and roll (clockwise) of the head, radians."""
    forward = -np.swapaxes(pose[:, :3, :3], 1, 2)[..., 2]  # where the nose points, in camera axes
    right = np.swapaxes(pose[:, :3, :3], 1, 2)[..., 0]
    yaw = np.arctan2(forward[:, 0], -forward[:, 2])
    pitch = np.arcsin(np.clip(forward[:, 1], -1, 1))
    return np.stack([yaw, pitch, np.arctan2(right[:, 1], right[:, 0])], 1)


def without_turns(
    value: Float[np.ndarray, " time"], turns: Float[np.ndarray, "time 3"], seen: Bool[np.ndarray, " time"]
) -> Float[np.ndarray, " time"]:
    """A signal less what head pose explains of it: ridge regression on turns and their squares, Huber weights."""
    value = np.asarray(value, np.float64)
    centred = turns - np.median(turns[seen], 0)
    base = np.concatenate([centred, centred**2, np.ones((len(turns), 1))], 1)
    scale = base[seen].std(0) + 1e-3  # a head that hardly moves explains nothing
    base = base / np.where(np.arange(7) < 6, scale, 1.0)
    middle = np.median(value[seen])
    x, y = base[seen], value[seen] - middle
    weight = np.ones(len(x))
    fitted = np.zeros(7)
    hold = np.diag([0.02 * len(x)] * 6 + [1e-6])
    for _ in range(5):
        fitted = np.linalg.solve(x.T @ (weight[:, None] * x) + hold, x.T @ (weight * y))
        residual = np.abs(y - x @ fitted)
        weight = np.minimum(1.0, 1.5 * np.median(residual) / np.maximum(residual, 1e-12))
    return value - base[:, :6] @ fitted[:6] - middle


def eye_opening(
    face: Float[np.ndarray, "time 478 3"], turns: Float[np.ndarray, "time 3"], seen: Bool[np.ndarray, " time"]
) -> Float[np.ndarray, " time"]:
    """How open the eyes are, 0 to 1: lid distance over eye width, both eyes' mean, over its own 80th percentile.

    A lowered head shows narrower eyes without closing them: what is open depends on pitch, learned from open frames.
    """
    share = np.zeros(len(face))
    for upper, lower, corners in (
        (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_EYE_CORNERS),
        (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_EYE_CORNERS),
    ):
        lids = np.linalg.norm(face[:, upper, :2] - face[:, lower, :2], axis=-1).mean(1)
        share += 0.5 * lids / np.maximum(_distance(face, *corners), 1e-6)
    level = np.percentile(share[seen], OPEN_PERCENTILE)
    pitch = turns[:, 1] - np.median(turns[seen, 1])
    awake = seen & (share > 0.6 * level)  # blinks must not pull the line
    slope = (pitch[awake] @ (share[awake] - share[awake].mean())) / (pitch[awake] @ pitch[awake] + 0.02 * awake.sum() * 0.1)
    usual = np.clip(1 + slope * pitch / level, 0.7, 1.3)
    even = share / usual
    level = max(float(np.percentile(even[seen], OPEN_PERCENTILE)), 1e-6)
    return np.clip((even / level - CLOSED_SHARE) / (1 - CLOSED_SHARE), 0, 1).astype(np.float32)


def gaze(
    face: Float[np.ndarray, "time 478 3"], eyes: Float[np.ndarray, " time"], seen: Bool[np.ndarray, " time"]
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """Where the irises are between the eye corners, mean of both eyes: see `NAMES`."""
    offset = np.zeros((len(face), 2))
    for iris, corners in ((RIGHT_IRIS, RIGHT_EYE_CORNERS), (LEFT_IRIS, LEFT_EYE_CORNERS)):
        a, b = face[:, corners[0], :2], face[:, corners[1], :2]
        along = np.where((b - a)[:, :1] < 0, a - b, b - a)  # to the right of the picture
        half = 0.5 * np.maximum(np.linalg.norm(along, axis=1), 1e-6)
        along = along / (2 * half[:, None])
        across = np.stack([-along[:, 1], along[:, 0]], 1)
        away = face[:, iris[0], :2] - 0.5 * (a + b)
        offset += 0.5 * np.stack([(away * along).sum(1), (away * across).sum(1)], 1) / half[:, None]
    watching = seen & (eyes >= BLINK)
    if not watching.any():
        return np.zeros(len(face)), np.zeros(len(face))
    t = np.arange(len(face))
    x, y = (np.interp(t, t[watching], offset[watching, i]) for i in range(2))
    return x, y


def read_action_units(
    path: str | Path,
) -> tuple[tuple[str, ...], Float[np.ndarray, "time units"], Bool[np.ndarray, " time"]]:
    """Intensities (0-5) of an OpenFace `au.csv`: names such as "AU45" in the file's order, a row per frame, and in
    which frames the face was found. Blanks in the column names do not matter; of several faces the one seen longest
    counts.

    Raises BadInput where the file is not OpenFace's.
    """
    path = Path(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [{(k or "").strip(): v for k, v in row.items()} for row in csv.DictReader(file)]
        columns = [name for name in (rows[0] if rows else {}) if name.startswith("AU") and name.endswith("_r")]
        if not columns:
            raise BadInput(f"{path}: no columns such as AU45_r. Export action units with OpenFace's FeatureExtraction.")
        faces = [row.get("face_id", "0").strip() for row in rows]
        kept = max(dict.fromkeys(faces), key=faces.count)
        rows = [row for row, face in zip(rows, faces, strict=True) if face == kept]
        values = np.array([[float(row[name]) for name in columns] for row in rows], np.float32)
        found = np.array([float(row.get("success", "1")) > 0.5 for row in rows])
        place = np.array([int(float(row.get("frame", i + 1))) - 1 for i, row in enumerate(rows)])  # OpenFace counts from 1
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as OpenFace's au.csv ({error}). Export it again.") from error
    if place.min() < 0 or place.max() > 10_000_000:
        raise BadInput(f"{path}: frame numbers must start at 1. Export it again.")
    units = np.zeros((place.max() + 1, len(columns)), np.float32)
    seen = np.zeros(len(units), bool)
    units[place], seen[place] = values, found
    return tuple(name[:-2] for name in columns), units, seen


def _distance(face: Float[np.ndarray, "time k 3"], a: int, b: int) -> Float[np.ndarray, " time"]:
    return np.linalg.norm(face[:, a] - face[:, b], axis=1).astype(np.float64)
