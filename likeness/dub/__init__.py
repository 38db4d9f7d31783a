"""dub: a video and a speech in, the same video with the lips of that speech out, at its own size and rate.

    dub("a.mp4", "b.wav", "c.mp4", lips)

Two passes over the file: where the faces are (tracks, faces), then new lips (synthesis). Whatever makes them is a `Lips`
(lips); no network is known here. Memory does not grow with length but for some fifty bytes a frame.

    footage    the video as pictures at one rate, in any order; a picture that stands still
    tracks     every face, followed with its landmarks
    faces      which one is dubbed, and its square, made steady (smoothing)
    crop       the square cut out upright, and laid back
    ahead      reading, drawing and encoding side by side
    timing     which picture goes with which moment of the sound
    references pictures of the person for the lips to look at
    paste      mask, colour, blend
    restoration  the lower face restored by a model that the user brings
    command    `likeness dub`; its settings are in likeness.dubbing
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.dub.ahead import ahead
from likeness.dub.faces import Faces, choose_faces
from likeness.dub.footage import Footage
from likeness.dub.lips import SIZES, Crops, Lips, Said
from likeness.dub.restoration import Restoration
from likeness.dub.synthesis import Scene, synthesise
from likeness.dub.timing import Timing
from likeness.dub.tracks import Search
from likeness.dubbing import Blend, Dubbing
from likeness.errors import BadInput
from likeness.listening import Listening
from likeness.progress import Progress
from likeness.video import Writer, check_place, encoding_of, open_sound

__all__ = ["Blend", "Crops", "Dubbed", "Dubbing", "Faces", "Lips", "Said", "dub"]


@dataclass(frozen=True)
class Dubbed:
    """What was written."""

    path: Path
    frames: int
    fps: float
    size: tuple[int, int]
    without_face: int
    """Frames of the video in which the face was not seen."""
    notes: list[str]
    """What was odd about the video."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"path": str(self.path)}


def dub(
    video: str | os.PathLike,
    speech: str | os.PathLike,
    out: str | os.PathLike,
    lips: Lips,
    settings: Dubbing = Dubbing(),
    say: Callable[[str], None] | None = None,
) -> Dubbed:
    """Write `video` (or a picture) with the lips of `speech`, and its sound, to `out` (.mp4, .m4v or .mov).

    `say` takes the lines of progress; None draws bars on a terminal and prints elsewhere. Nothing is at `out` until all is
    well. Raises BadInput for what cannot be used, MissingAsset for a restorer without ONNX Runtime, Exhausted when
    the disk is full.
    """
    video, speech, out = Path(video), Path(speech), Path(out)
    footage = _checked(video, speech, out, lips, settings)
    restoration = None if settings.restore is None else Restoration(settings.restore, settings.restore_amount)
    with tempfile.TemporaryDirectory(prefix="likeness-") as folder, Progress(plain=say) as progress:
        faces = _find_faces(footage, Path(folder), settings, progress)
        for note in footage.notes:
            progress.say(f"note: {video}: {note}")
        listening = Listening(lips.hearing, speech)
        timing = Timing(len(faces), footage.fps, listening.seconds, settings.when_longer, settings.when_shorter)
        scene = Scene(footage, faces, timing, lips, listening, settings.blend, settings.on_no_face, restoration)
        progress.begin("lips", timing.frames)
        frames = ahead(synthesise(scene))
        with Writer(out, footage.size, footage.fps, sound=speech) as writer, closing(frames):
            for image in frames:
                writer.write(image)
                progress.advance("lips")
    missing = int((faces.rows < 0).sum())
    return Dubbed(out, writer.frames, footage.fps, footage.size, missing, footage.notes)


def _checked(video: Path, speech: Path, out: Path, lips: Lips, settings: Dubbing) -> Footage:
    """Raise what can be known to be wrong before any work; the video, opened."""
    if not SIZES[0] <= lips.size <= SIZES[1]:
        raise BadInput(f"these lips are {lips.size} pixels wide; {SIZES[0]} to {SIZES[1]} can be put into a video.")
    if not 0 < settings.blend.feather <= 0.5:
        raise BadInput(f"feather {settings.blend.feather}: must lie above 0 and up to 0.5 widths of the face.")
    if min(settings.pads) < 0:
        raise BadInput(f"pads {settings.pads}: must be four numbers of pixels, 0 or more: top, bottom, left, right.")
    if not out.suffix or encoding_of(out).channels != 3:
        raise BadInput(f"{out}: a dubbed video is .mp4, .m4v or .mov.")
    footage = Footage(video, settings.fps, settings.resize_factor)
    open_sound(speech)
    check_place(out)
    for name, path in (("video", video), ("speech", speech)):
        if out.exists() and out.samefile(path):
            raise BadInput(f"{out}: is the {name} itself. Name another file for the result.")
    return footage


def _find_faces(footage: Footage, folder: Path, settings: Dubbing, progress: Progress) -> Faces:
    """The first pass. With `static` it ends at the first face, and the footage is that picture from then on."""
    seen = None
    progress.begin("faces", footage.expected)
    with Search(folder, footage.fps) as search, closing(ahead(footage.forwards())) as images:
        for image in images:
            has_face = search.add(image)
            progress.advance("faces")
            if settings.static and has_face:
                seen = image
                break
        found = search.found()
    progress.end("faces")
    faces = choose_faces(found, footage.fps, settings.face_number, settings.pads)
    if seen is not None:
        footage.stand_still(seen)
        return faces.only(len(faces) - 1)
    missing = faces.missing()
    if settings.on_no_face == "error" and missing:
        spans = ", ".join(f"{a / footage.fps:.2f} to {b / footage.fps:.2f} s" for a, b in missing[:6])
        more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        raise BadInput(
            f"{footage.path}: the face is not seen in {int(np.sum(faces.rows < 0))} of {len(faces)} frames ({spans}{more}). "
            "Cut them out, or choose on_no_face pass or hold."
        )
    return faces
