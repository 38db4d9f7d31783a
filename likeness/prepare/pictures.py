"""The frames of a clip: decoded, cropped, resized, searched for the face and written, in one pass over the video.

Three things happen at once: a thread decodes and crops, the calling thread runs the face mesh, two write JPEGs.
"""

from __future__ import annotations

import queue
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from likeness.errors import BadInput
from likeness.files import unwritable, write_atomically
from likeness.mesh import FACE_OVAL
from likeness.prepare.framing import Face, Person, near
from likeness.prepare.landmarks import FaceMesh
from likeness.prepare.scenes import Changes, find_scenes
from likeness.prepare.survey import SHORTEST_S, person_of
from likeness.video import FPS, Picture, Reader

QUALITY = 97
AHEAD = 8  # pictures decoded ahead, and JPEGs waiting to be written: bounds the memory
OUTSIDE = 0.15  # share of the face's outline that may lie outside the picture
AWAY = 0.8  # face sizes from where the survey saw the person: farther, it is somebody else


def make_frames(video: Path, folder: Path, survey: dict[str, Any], size: int, advance: Callable[[int], None]) -> dict[str, Any]:
    """Write frames/ and steps/frames.npz; return what steps/frames.json holds.

    frames.npz: pixels [T 478 2] float32 (landmarks, NaN where unseen), seen [T], repeated [T], source_index [T],
    difference [T]. Raises BadInput when too little can be read or no face is seen, Exhausted when the disk is full.
    """
    partial = folder / "frames.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        found, arrays = _read_frames(video, partial, survey, size, advance)
        write_arrays(folder / "steps" / "frames.npz", arrays)
        replace_folder(partial, folder / "frames")
    finally:  # begun again from the first frame: what a full disk or Ctrl-C cut off would only take room
        shutil.rmtree(partial, ignore_errors=True)
    return found


def _read_frames(
    video: Path, out: Path, survey: dict[str, Any], size: int, advance: Callable[[int], None]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Write the pictures into `out`; return what steps/frames.json and steps/frames.npz hold."""
    reader = Reader(video, FPS, survey["made_fps"])
    pixels, seen, source_index, same = [], [], [], []
    changes = Changes()
    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(2) as writers:
        for picture, image, found in faces(reader, survey, size, changes):
            seen.append(found is not None)
            pixels.append(np.full((478, 2), np.nan, np.float32) if found is None else found)
            source_index.append(picture.source_index)
            same.append(picture.repeated)
            waiting.append(writers.submit(write_jpeg, out / f"{picture.index:06d}.jpg", image))
            while len(waiting) > AHEAD:
                waiting.popleft().result()
            advance(1)
        for write in waiting:
            write.result()
    if len(seen) < SHORTEST_S * FPS:
        why = f" ({'; '.join(reader.problems)})" if reader.problems else ""
        raise BadInput(f"{video}: only {len(seen) / FPS:.1f} s of it can be read{why}; at least {SHORTEST_S:.0f} s are needed.")
    if sum(seen) < SHORTEST_S * FPS:
        raise BadInput(
            f"{video}: the face is seen for {sum(seen) / FPS:.1f} s only, at least {SHORTEST_S:.0f} s are needed. "
            "The person has to look roughly at the camera; with several people, choose with --person."
        )
    scenes = find_scenes(changes.differences, changes.shares)
    repeated = scenes.repeated | np.array(same)
    arrays = {"pixels": np.stack(pixels), "seen": np.array(seen), "repeated": repeated}
    arrays |= {"source_index": np.array(source_index), "difference": changes.differences[:, 0]}
    marked = {"frames": len(seen), "scenes": [list(s) for s in scenes.scenes], "breaks": scenes.breaks}
    return marked | {"problems": reader.problems}, arrays


def faces(
    reader: Reader, survey: dict[str, Any], size: int, changes: Changes
) -> Iterator[tuple[Picture, UInt8[np.ndarray, "size size 3"], Float[np.ndarray, "478 2"] | None]]:
    """Every picture of the video, its window at `size`², and there the landmarks of the person that `survey` found, or None.

    Each picture has been added to `changes` when it comes.
    """
    crop = tuple(survey["crop"])
    with _Finder(person_of(survey), survey["people"] > 1, crop, size) as finder:
        for picture, image in _ahead(reader, crop, size):
            changes.add(image)
            yield picture, image, finder(image, picture.time_s, changes)


class _Finder:
    """The face mesh of the chosen person, frame by frame."""

    def __init__(self, person: Person, company: bool, crop: tuple[int, int, int], size: int) -> None:
        self._person, self._company = person, company
        self._crop, self._scale = crop, size / crop[2]
        self._mesh = FaceMesh()

    def __enter__(self) -> _Finder:
        return self

    def __exit__(self, *_: object) -> None:
        self._mesh.close()

    def __call__(
        self, image: UInt8[np.ndarray, "size size 3"], time_s: float, changes: Changes
    ) -> Float[np.ndarray, "478 2"] | None:
        if changes.jumped():
            self._mesh.reset()  # else the mesh is drawn from where the face was
        points = self._mesh(image)
        if points is None or not inside(points, image.shape[1], image.shape[0]):
            return None
        if not self._company or self._is_expected(points, time_s):
            return points
        # Somebody else's face: look again where the person should be, and nowhere else.
        expected = self._expected(time_s)
        x, y = int(expected.x - expected.size), int(expected.y - expected.size)
        side = int(2 * expected.size)
        x, y = max(0, x), max(0, y)
        window = image[y : y + side, x : x + side]
        self._mesh.reset()
        points = self._mesh(window) if min(window.shape[:2], default=0) > 32 else None
        self._mesh.reset()
        if points is None:
            return None
        points = points + np.array([x, y], np.float32)
        return points if self._is_expected(points, time_s) and inside(points, image.shape[1], image.shape[0]) else None

    def _expected(self, time_s: float) -> Face:
        face = self._person.at(time_s)
        x, y, _ = self._crop
        return Face((face.x - x) * self._scale, (face.y - y) * self._scale, face.size * self._scale)

    def _is_expected(self, points: Float[np.ndarray, "478 2"], time_s: float) -> bool:
        low, high = points[list(FACE_OVAL)].min(0), points[list(FACE_OVAL)].max(0)
        x, y = (low + high) / 2
        found = Face(float(x), float(y), float(high[1] - low[1]))
        return near(found, self._expected(time_s), AWAY)


def inside(points: Float[np.ndarray, "478 2"], width: int, height: int) -> bool:
    """Whether enough of the face lies in the picture: the mesh also draws what it cannot see."""
    outline = points[list(FACE_OVAL)]
    out = (outline < 0).any(1) | (outline >= [width, height]).any(1)
    return bool(out.mean() <= OUTSIDE)


def cropped(
    image: UInt8[np.ndarray, "height width 3"], crop: tuple[int, int, int], size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """The square window (x, y, side) at `size`²."""
    x, y, side = crop
    window = image[y : y + side, x : x + side]
    if side == size:
        return np.ascontiguousarray(window)
    return cv2.resize(window, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)


def _ahead(reader: Reader, crop: tuple[int, int, int], size: int) -> Iterator[tuple[Picture, np.ndarray]]:
    """Decode and crop in a thread, a few pictures ahead. What goes wrong there is raised here."""
    done = threading.Event()
    ready: queue.Queue = queue.Queue(AHEAD)

    def put(item: Any) -> bool:
        while not done.is_set():
            try:
                ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for picture in reader:
                small = cropped(picture.image, crop, size)
                # The full picture is not kept waiting: eight of 4K would be 200 MB.
                light = Picture(picture.index, picture.source_index, picture.time_s, small, picture.repeated)
                if not put((light, small)):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        done.set()
        thread.join()


def write_jpeg(path: Path, image: UInt8[np.ndarray, "height width 3"]) -> None:
    """RGB to JPEG 4:4:4. Raises Exhausted on a full disk."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)
    write_bytes(path, encoded.tobytes())


def write_bytes(path: Path, content: bytes) -> None:
    """A file whose folder is put in place later: no need for care. Raises Exhausted on a full disk."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise unwritable(path, error) from error


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An .npz, whole or not at all."""
    import io

    held = io.BytesIO()
    np.savez(held, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, held.getvalue())


def replace_folder(partial: Path, place: Path) -> None:
    """Put a finished folder in its place."""
    old = place.with_name(place.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    try:
        if place.exists():
            place.rename(old)
        partial.rename(place)
    except OSError as error:
        raise unwritable(place, error) from error
    shutil.rmtree(old, ignore_errors=True)
