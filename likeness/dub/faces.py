"""Which face is dubbed, and the square that it is cut out of in every frame, made steady over time.

The square lies by the points on the skull, brought onto a mean face by one similarity: a jaw that opens does not move it,
as it moves a detector's box, and the aspect is kept. What the landmarks tremble is smoothed away before anything is cut
out: otherwise it becomes a trembling of the lips (HyperLips' boxes are smoothed by a forward mean of five frames alone).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from likeness.dub.crop import Place
from likeness.dub.smoothing import steady, stiffness
from likeness.dub.tracks import Found, Track
from likeness.errors import BadInput
from likeness.mesh import SKULL
from likeness.prepare.framing import BRIEF, near
from likeness.prepare.generic_face import generic_face
from likeness.prepare.parsing import similarity
from likeness.prepare.survey import SMALLEST

MIDDLE, SIDE = (0.0, 0.058), 0.165
"""Of the square on the mean face, metres: from above the eyes to 3 cm below a closed chin, as wide as a face and a quarter
more: the mouth gets as many of its pixels as an open jaw leaves room for. The nose's base lies at two fifths of it."""
CUTOFF_HZ = 2.0
"""Heads turn slower than this; landmarks tremble at all frequencies."""
BRIDGE_S = 0.4  # over shorter gaps the square moves on as one
_MEAN = generic_face()[list(SKULL), :2]


@dataclass(frozen=True)
class Faces:
    """Where the chosen face is in every frame of a video."""

    rows: Int[np.ndarray, " time"]
    """Of its landmarks in `points`; -1 in frames without it."""
    places: Float[np.ndarray, "time 4"]
    """x, y, side, turn of the square; NaN without a face."""
    stretches: Int[np.ndarray, " time"]
    """Number of the stretch of frames that follow each other without cut, jump or gap; -1 without a face."""
    points: Float[np.ndarray, "rows 478 2"]

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, t: int) -> Place:
        """The square in a frame with a face."""
        return Place(*self.places[t].tolist())

    def landmarks(self, t: int) -> Float[np.ndarray, "478 2"]:
        """The face mesh in a frame with a face, pixels."""
        return np.array(self.points[self.rows[t]], np.float64)

    def only(self, t: int) -> Faces:
        """A video of frame t alone."""
        at = slice(t, t + 1)
        return Faces(self.rows[at], self.places[at], self.stretches[at], self.points)

    def missing(self) -> list[tuple[int, int]]:
        """[start, stop) of the frames without a face."""
        edges = np.flatnonzero(np.diff(np.r_[False, self.rows < 0, False].astype(np.int8)))
        return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def choose_faces(
    found: Found, fps: float, face_number: int | None = None, pads: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> Faces:
    """The faces to dub. Raises BadInput when there is none, or none of this number.

    face_number: None for the most prominent (large and long) face of each scene; or a number from 1, in order of prominence
    over the whole video, for that one alone. pads: pixels (top, bottom, left, right) by which the square grows.
    """
    parts = [track.part(*scene) for scene in found.scenes.scenes for track in found.tracks]
    parts = [part for part in parts if part.frames]
    if not parts:
        raise BadInput(
            f"no face of {SMALLEST} pixels or more was found in the video. Give one in which somebody looks roughly at the "
            "camera, or a smaller resize_factor."
        )
    rows = np.full(found.frames, -1)
    for track in _of_number(parts, face_number) if face_number is not None else _of_scenes(parts, found):
        rows[track.frames] = track.rows
    starts = [start for start, _ in found.scenes.scenes] + found.scenes.breaks
    shot = np.cumsum(np.isin(np.arange(found.frames), starts))
    places = np.full((found.frames, 4), np.nan)
    stiff = stiffness(min(CUTOFF_HZ, fps / 2), fps)
    for start, stop in _pieces(rows, shot, max(1, round(BRIDGE_S * fps))):
        known = rows[start:stop] >= 0
        raw = np.zeros((stop - start, 4))
        raw[known] = [square(found.points[row]) for row in rows[start:stop][known]]
        raw[known, 3] = np.unwrap(raw[known, 3])
        places[start:stop][known] = padded(steady(raw, known, stiff)[known], pads)
    stretches = np.full(found.frames, -1)
    for number, (start, stop) in enumerate(_pieces(rows, shot, 1)):
        stretches[start:stop] = number
    return Faces(rows, places, stretches, found.points)


def square(points: Float[np.ndarray, "478 2"]) -> tuple[float, float, float, float]:
    """x, y, side, turn of a face's square, by its points on the skull alone."""
    fitted = similarity(_MEAN, np.asarray(points, np.float64)[list(SKULL)])
    x, y = fitted @ [*MIDDLE, 1.0]
    return float(x), float(y), float(SIDE * np.hypot(*fitted[:, 0])), float(np.arctan2(fitted[1, 0], fitted[0, 0]))


def padded(places: Float[np.ndarray, "n 4"], pads: tuple[int, int, int, int]) -> Float[np.ndarray, "n 4"]:
    """Squares that hold these squares and so many pixels more at the top, bottom, left and right."""
    top, bottom, left, right = pads
    across, down = (right - left) / 2, (bottom - top) / 2
    cos, sin = np.cos(places[:, 3]), np.sin(places[:, 3])
    x, y = places[:, 0] + cos * across - sin * down, places[:, 1] + sin * across + cos * down
    return np.column_stack([x, y, places[:, 2] + max(top + bottom, left + right), places[:, 3]])


def people(tracks: list[Track], frames: int) -> list[list[Track]]:
    """Tracks joined into people, the most prominent first: the same place and size, never at the same time. Those seen in
    fewer than BRIEF of the frames are left out unless there is nobody else."""
    joined: list[list[Track]] = []
    for track in sorted(tracks, key=lambda t: -t.weight):
        times = set(track.frames)
        fitting = (p for p in joined if near(p[0].middle, track.middle, 1.0) and not any(times & set(t.frames) for t in p))
        person = next(fitting, None)
        joined.append([track]) if person is None else person.append(track)
    lasting = [p for p in joined if sum(len(t.frames) for t in p) >= BRIEF * frames]
    return sorted(lasting or joined, key=lambda p: -sum(t.weight for t in p))


def _of_scenes(tracks: list[Track], found: Found) -> list[Track]:
    """The tracks of the most prominent person of each scene."""
    chosen: list[Track] = []
    for start, stop in found.scenes.scenes:
        here = [track for track in tracks if start <= track.frames[0] < stop]
        chosen += people(here, stop - start)[0] if here else []
    return chosen


def _of_number(tracks: list[Track], number: int) -> list[Track]:
    everybody = people(tracks, max(t.frames[-1] for t in tracks) + 1)
    if not 1 <= number <= len(everybody):
        middles = (person[0].middle for person in everybody)
        listed = ", ".join(f"{n}: {f.size:.0f} px high at {f.x:.0f},{f.y:.0f}" for n, f in enumerate(middles, 1))
        raise BadInput(f"face_number {number}: no such face. The video shows {listed}.")
    return everybody[number - 1]


def _pieces(rows: Int[np.ndarray, " time"], shot: Int[np.ndarray, " time"], bridge: int) -> list[tuple[int, int]]:
    """[start, stop) of what goes on as one: frames with a face, of one shot, less than `bridge` + 1 frames apart."""
    seen = np.flatnonzero(rows >= 0)
    cuts = np.flatnonzero((np.diff(seen) > bridge) | (np.diff(shot[seen]) != 0)) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(seen, cuts)]
