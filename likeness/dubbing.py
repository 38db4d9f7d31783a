"""The settings of `dub`, and what its command may be called with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

from likeness.errors import BadInput

Longer = Literal["pingpong", "freeze", "cut"]
Shorter = Literal["cut", "keep", "rest"]
OnNoFace = Literal["pass", "hold", "error"]


@dataclass(frozen=True)
class Blend:
    """How new faces are put into the old picture."""

    feather: float = 0.08
    """Width of the mask's edge, in widths of the face."""
    colour_match: bool = True
    """Bring the new skin to the old one's colour, by a ring round the lips."""


@dataclass(frozen=True)
class Dubbing:
    """How a video is dubbed."""

    face_number: int | None = None
    """Which face, from 1 in order of prominence over the whole video. None: the most prominent of each scene."""
    on_no_face: OnNoFace = "pass"
    """In frames without the face: show them as they are, hold the last picture with it, or refuse the video."""
    when_longer: Longer = "pingpong"
    """Where the speech is longer than the video: play it back and forth, let its last picture stand, or cut the speech."""
    when_shorter: Shorter = "cut"
    """Where it is shorter: cut the video, keep the rest of it as it was, or go on with lips at rest."""
    static: bool = False
    """Use only one picture of the video: the first with a face."""
    fps: float | None = None
    """Frames a second of the result. None: the video's own, 25 for a picture."""
    resize_factor: int = 1
    """Make the video smaller by this factor first."""
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Pixels by which the square round the face grows: top, bottom, left, right. It already holds an open chin."""
    blend: Blend = field(default_factory=Blend)
    """How new lips are put into the picture."""
    restore: Path | None = None
    """A face restorer of your own as .onnx (GFPGAN, CodeFormer and their like), for the lower face; needs likeness[onnx]."""
    restore_amount: float = 0.5
    """How much of what it changes is taken over, 0 to 1."""


@dataclass(frozen=True)
class Wav2Lip:
    """The words of Wav2Lip's command for what is read and written."""

    face: Path | None = None
    """Wav2Lip's word for VIDEO."""
    audio: Path | None = None
    """Wav2Lip's word for SPEECH."""
    outfile: Path | None = None
    """Wav2Lip's word for OUT."""


def places(paths: Sequence[Path], named: Wav2Lip) -> tuple[Path, Path, Path]:
    """Video, speech and result: those that have a name, and the others in their order. Raises BadInput for more or fewer."""
    slots = [named.face, named.audio, named.outfile]
    missing = sum(slot is None for slot in slots)
    if len(paths) != missing:
        raise BadInput(
            f"likeness dub takes VIDEO SPEECH OUT.mp4, or --face VIDEO --audio SPEECH --outfile OUT.mp4: {missing} more were "
            f"expected, {len(paths)} given."
        )
    rest = iter(paths)
    video, speech, out = (next(rest) if slot is None else slot for slot in slots)
    return video, speech, out


def as_flags(words: Sequence[str]) -> list[str]:
    """Words of a command line in which Wav2Lip's `--static True` is a flag of its own."""
    found: list[str] = []
    for before, word in pairwise(["", *words]):
        if before == "--static" and word.lower() in ("true", "false"):
            found[-1] = "--static" if word.lower() == "true" else "--no-static"
        else:
            found.append(word)
    return found
