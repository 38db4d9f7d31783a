"""Face landmarks: where faces are in a picture, and where the 478 points of the face mesh are.

The mesh is MediaPipe's: 468 surface points and 2 x 5 iris points (Kartynnik et al. 2019; Grishchenko et al. 2020, whose
attention mesh refines lips, eyes and irises); `likeness.mesh` says which point is what. Another tracker can be added by
anything that fulfils `Landmarks` with the same 478 points.
"""

from __future__ import annotations

import ctypes.util
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, UInt8

from likeness.errors import MissingAsset

_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libGLESv2.so.2": "libgles2",
}
Box = tuple[float, float, float, float]
"""Left, top, width, height."""


class Landmarks(Protocol):
    """Finds the face mesh in the frames of one take, in order."""

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "478 2"] | None:
        """Where the points are in the next RGB frame, in pixels (0, 0 is the picture's corner); None without a face."""
        ...

    def reset(self) -> None:
        """Forget what was seen: the next frame is on the other side of a cut."""
        ...


class FaceMesh:
    """The face mesh of MediaPipe 0.10.21, which carries its models in the wheel. About 3 ms a frame at 512².

    Follows one face from frame to frame. Its detector sees faces larger than about a fifth of the picture: crop first.

    Raises MissingAsset on construction where a system library is missing.
    """

    def __init__(self, confidence: float = 0.5) -> None:
        self._confidence = confidence
        self._mesh = self._new()
        self._spoken = False

    def _new(self) -> Any:
        with _quiet():
            return _solutions().face_mesh.FaceMesh(
                static_image_mode=False,  # tracking jitters less than detecting anew
                max_num_faces=1,
                refine_landmarks=True,
                min_detection_confidence=self._confidence,
                min_tracking_confidence=self._confidence,
            )

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "478 2"] | None:
        """See `Landmarks`."""
        image = np.ascontiguousarray(image)
        if self._spoken:
            found = self._mesh.process(image).multi_face_landmarks
        else:  # the graph's own warnings appear with the first frame
            with _quiet():
                found = self._mesh.process(image).multi_face_landmarks
            self._spoken = True
        if not found:
            return None
        points = np.array([(p.x, p.y) for p in found[0].landmark], np.float32)
        points *= np.array([image.shape[1], image.shape[0]], np.float32)
        return points if np.isfinite(points).all() else None

    def reset(self) -> None:
        """See `Landmarks`."""
        self._mesh.reset()

    def close(self) -> None:
        """Free the graph and its threads."""
        self._mesh.close()

    def __enter__(self) -> FaceMesh:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_faces(image: UInt8[np.ndarray, "height width 3"], confidence: float = 0.5) -> list[Box]:
    """All faces of one RGB picture, see `FaceFinder`."""
    with FaceFinder(confidence) as find:
        return find(image)


class FaceFinder:
    """Finds all faces of RGB pictures, each by itself, as boxes from hairline to chin, largest first; small, near ones alike.

    Source: MediaPipe's BlazeFace, full-range model; faces that it misses are added from the short-range model, whose boxes
    are tighter by a seventh. 15 ms a picture of 720p, and 26 ms to begin with.
    Raises MissingAsset on construction where a system library is missing.
    """

    def __init__(self, confidence: float = 0.5) -> None:
        with _quiet():
            self._detectors = [_solutions().face_detection.FaceDetection(confidence, model) for model in (1, 0)]
        self._spoken = False

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> list[Box]:
        """(x, y, width, height) of each, in pixels."""
        image = np.ascontiguousarray(image)
        if self._spoken:
            return self._find(image)
        with _quiet():  # the graphs' own warnings appear with the first picture
            found = self._find(image)
        self._spoken = True
        return found

    def _find(self, image: UInt8[np.ndarray, "height width 3"]) -> list[Box]:
        height, width = image.shape[:2]
        scored = []
        for model, detector in zip((1, 0), self._detectors, strict=True):
            for found in detector.process(image).detections or []:
                box = found.location_data.relative_bounding_box
                scored.append(
                    ((model, found.score[0]), (box.xmin * width, box.ymin * height, box.width * width, box.height * height))
                )
        boxes: list[Box] = []
        for _, box in sorted(scored, reverse=True):
            if all(_overlap(box, other) < 0.3 for other in boxes):
                boxes.append(box)
        return sorted(boxes, key=lambda b: -b[2] * b[3])

    def close(self) -> None:
        """Free the graphs and their threads."""
        for detector in self._detectors:
            detector.close()

    def __enter__(self) -> FaceFinder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(w, 0.0) * max(h, 0.0)
    return common / max(a[2] * a[3] + b[2] * b[3] - common, 1e-9)


def _solutions() -> Any:
    """mediapipe.solutions, imported late: it takes a second and needs system libraries."""
    os.environ.setdefault("GLOG_minloglevel", "3")
    warnings.filterwarnings("ignore", message="SymbolDatabase.GetPrototype", category=UserWarning)
    try:
        import mediapipe
    except (ImportError, OSError) as error:
        raise _missing(error) from error
    return mediapipe.solutions


def _missing(error: Exception) -> MissingAsset:
    """An import error of mediapipe or OpenCV as something that a person can act on."""
    library = next((name for name in _PACKAGES if name in str(error)), None)
    if library is None and ctypes.util.find_library("GL") is None and "libGL" in str(error):
        library = "libGL.so.1"
    if library is None:
        return MissingAsset(
            f"mediapipe cannot be imported ({error}). Install it with `pip install mediapipe==0.10.21`; "
            "without it no face can be found."
        )
    return MissingAsset(
        f"The system library {library} is missing: mediapipe's OpenCV needs it to find faces. "
        f"On Debian or Ubuntu: apt-get install {_PACKAGES[library]}"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what native code writes to file descriptor 2 to nowhere: mediapipe has no switch for its start-up notes."""
    try:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # no stderr at all
        yield
        return
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
