"""The faces of a video: found, and followed from frame to frame with their landmarks, while the pictures stream by.

A detector looks for new faces a few times a second; a face mesh follows each in a window that stays where it is until the
face leaves its middle, since a window that moved would move the landmarks. Landmarks go to a file: memory holds some
fifty bytes a frame and face.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from likeness.files import unwritable
from likeness.mesh import FACE_OVAL
from likeness.prepare.framing import Face, near
from likeness.prepare.landmarks import FaceFinder, FaceMesh
from likeness.prepare.pictures import AWAY, inside
from likeness.prepare.scenes import THUMB, Changes, Scenes, find_scenes
from likeness.prepare.survey import SMALLEST, TILED, find_small_faces

LOOK_S = 0.2  # between looks for new faces: 15 ms each, as long as five frames of a mesh
GAP_S = 0.4  # a face unseen for longer is gone; when it comes back it is a new track
MOST = 8  # faces followed at once
MESH_PX = 448  # the mesh looks at 192² of the face: a larger window is no gain
ROUND = 2.0  # side of the window in face heights
OFF = 0.3  # face heights from the window's middle, and share of its size, from which the window is laid anew


@dataclass
class Track:
    """One face, frame after frame, within one scene of the search."""

    frames: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    """Where in the file its landmarks are."""
    faces: list[Face] = field(default_factory=list)

    def part(self, start: int, stop: int) -> Track:
        """What lies in frames start .. stop-1."""
        chosen = slice(*np.searchsorted(self.frames, [start, stop]).tolist())
        return Track(self.frames[chosen], self.rows[chosen], self.faces[chosen])

    @property
    def weight(self) -> float:
        """How long and how large the face is seen: the sum of its sizes."""
        return float(sum(face.size for face in self.faces))

    @property
    def middle(self) -> Face:
        """The median sighting."""
        x, y, size = np.median([(f.x, f.y, f.size) for f in self.faces], axis=0)
        return Face(float(x), float(y), float(size))


@dataclass(frozen=True)
class Found:
    """What the search saw."""

    tracks: list[Track]
    frames: int
    scenes: Scenes
    points: Float[np.ndarray, "rows 478 2"]
    """Landmarks in pixels of the picture, on disk."""


class Search:
    """Finds and follows all faces: `with Search(folder, fps) as search`, `search.add(image)` for each frame in order, then
    `search.found()`. The landmarks lie in `folder`. Raises Exhausted when the disk is full."""

    def __init__(self, folder: Path, fps: float) -> None:
        self._path = folder / "points.f32"
        self._every, self._gap = max(1, round(LOOK_S * fps)), max(1, round(GAP_S * fps))
        self._changes = Changes()
        self._tracks: list[Track] = []
        self._live: list[_Follower] = []
        self._spare: list[FaceMesh] = []
        self._find = FaceFinder()
        self._rows, self._tiled, self._tiles_help = 0, 0, False

    def __enter__(self) -> Search:
        try:
            self._file = open(self._path, "wb")
        except OSError as error:
            raise unwritable(self._path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._find.close()
        for mesh in [*self._spare, *(follower.mesh for follower in self._live)]:
            mesh.close()

    def add(self, image: UInt8[np.ndarray, "height width 3"]) -> bool:
        """The next picture. Whether a face was seen in it."""
        index = len(self._changes)
        self._changes.add(_halved(image))
        if self._changes.jumped():  # else a mesh is drawn from where the face was
            self._let_go(list(self._live))
        seen = {f: points for f in self._live if (points := f.look(image)) is not None}
        self._let_go(self._doubles(seen))
        if any(f not in seen for f in self._live) or not self._live or index % self._every == 0:
            self._look_for_more(image, seen)
        for follower in self._live:
            if (points := seen.get(follower)) is not None:
                self._keep(follower, index, points)
            else:
                follower.missed += 1
        self._let_go([f for f in self._live if f.missed > self._gap])
        return bool(seen)

    def found(self) -> Found:
        """What was seen in all pictures so far."""
        self._file.flush()
        shape = (self._rows, 478, 2)
        points = np.memmap(self._path, np.float32, "r", shape=shape) if self._rows else np.zeros(shape, np.float32)
        scenes = find_scenes(self._changes.differences, self._changes.shares)
        return Found(self._tracks, len(self._changes), scenes, points)

    def _keep(self, follower: _Follower, index: int, points: Float[np.ndarray, "478 2"]) -> None:
        if not follower.track.frames:
            self._tracks.append(follower.track)
        try:
            self._file.write(np.ascontiguousarray(points, np.float32).tobytes())
        except OSError as error:
            raise unwritable(self._path, error) from error
        follower.missed = 0
        follower.track.frames.append(index)
        follower.track.rows.append(self._rows)
        follower.track.faces.append(follower.face)
        self._rows += 1

    def _look_for_more(self, image: UInt8[np.ndarray, "height width 3"], seen: dict[_Follower, np.ndarray]) -> None:
        """Faces that nobody follows; one that was lost is taken up again where it is found."""
        boxes = self._find(image)
        if not boxes and not self._live and (self._tiles_help or self._tiled < TILED):
            self._tiled += 1
            boxes = find_small_faces(image)
            self._tiles_help = self._tiles_help or bool(boxes)
        for x, y, w, h in boxes:
            face = Face(x + w / 2, y + h / 2, h)
            if h < SMALLEST or any(near(f.face, face) for f in self._live if f in seen):
                continue
            lost = next((f for f in self._live if f not in seen and near(f.face, face, AWAY)), None)
            if lost is None and len(self._live) >= MOST:
                continue
            follower = lost or _Follower(self._spare.pop() if self._spare else FaceMesh(), face)
            follower.aim(face)
            points = follower.look(image)
            if points is not None:
                seen[follower] = points
            if lost is None:
                self._live.append(follower)
                self._let_go([follower] if points is None else self._doubles(seen))

    def _doubles(self, seen: dict[_Follower, np.ndarray]) -> list[_Follower]:
        """Followers of a face that one before them follows already."""
        firsts = [[a for a in self._live[:i] if a in seen] for i in range(len(self._live))]
        return [b for b, others in zip(self._live, firsts, strict=True) if any(near(a.face, b.face, 0.3) for a in others)]

    def _let_go(self, followers: list[_Follower]) -> None:
        for follower in followers:
            self._live.remove(follower)
            follower.mesh.reset()
            self._spare.append(follower.mesh)


class _Follower:
    """The face mesh of one face, in its window."""

    def __init__(self, mesh: FaceMesh, face: Face) -> None:
        self.mesh, self.track, self.missed = mesh, Track(), 0
        self.aim(face)

    def aim(self, face: Face) -> None:
        """Lay the window round a face."""
        self.face, self._aimed = face, face
        self.mesh.reset()

    def look(self, image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "478 2"] | None:
        """The landmarks in the next picture; None where this face is not seen."""
        half = ROUND / 2 * self._aimed.size
        left, top = max(0, int(self._aimed.x - half)), max(0, int(self._aimed.y - half))
        part = image[top : int(self._aimed.y + half) + 1, left : int(self._aimed.x + half) + 1]
        if min(part.shape[:2]) < SMALLEST / 2:
            return None
        scale = min(1.0, MESH_PX / max(part.shape[:2]))
        size = (round(part.shape[1] * scale), round(part.shape[0] * scale))
        points = self.mesh(part if scale == 1 else cv2.resize(part, size, interpolation=cv2.INTER_AREA))
        if points is None:
            return None
        points = points * (np.array(part.shape[1::-1], np.float32) / np.array(size, np.float32))
        points = points + np.array([left, top], np.float32)
        face = bounds(points)
        if not inside(points, image.shape[1], image.shape[0]) or not near(face, self.face, AWAY):
            return None
        self.face = face
        aside = np.hypot(face.x - self._aimed.x, face.y - self._aimed.y) / face.size
        if aside > OFF or abs(face.size / self._aimed.size - 1) > OFF:
            self.aim(face)
        return points


def _halved(image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "high wide 3"]:
    """A large picture averaged by a whole factor, which is the fast way to thumbnails."""
    factor = min(image.shape[:2]) // (3 * THUMB)
    if factor < 2:
        return image
    height, width = (n - n % factor for n in image.shape[:2])
    return cv2.resize(image[:height, :width], (width // factor, height // factor), interpolation=cv2.INTER_AREA)


def bounds(points: Float[np.ndarray, "478 2"]) -> Face:
    """Middle and height of the face's outline."""
    low, high = points[list(FACE_OVAL)].min(0), points[list(FACE_OVAL)].max(0)
    return Face(float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2, float(high[1] - low[1]))
