"""The first look at a video: is it one, how long, who is in it, and which square of it becomes the clip."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from likeness import audio
from likeness.errors import BadInput
from likeness.prepare.framing import Face, Person, choose, find_crop, find_people
from likeness.prepare.landmarks import find_faces
from likeness.video import made_rate, probe, read

SHORTEST_S = 5.0  # s: below it neither lips nor voice can be learned
SAMPLES = 400  # at most so many pictures are searched for faces; 20 ms each
EVERY_S = 0.5  # s between them in short videos
TILED = 16  # pictures without a face in which small ones are looked for: after that there are none
SILENT = 1e-4  # of full scale
SMALLEST = 48  # source pixels: a smaller face has lips of a few pixels


def survey(
    video: Path, person: str | None, sound: Path | None, advance: Callable[[int], None], shortest_s: float = SHORTEST_S
) -> dict[str, Any]:
    """What `steps/survey.json` holds: source, crop, the chosen person's way through the picture, warnings.

    `sound` is where the sound comes from when it is not the video. Raises BadInput for what cannot become a clip.
    `advance` is told how many of 100 parts are newly done; `shortest_s` is the length from which a video will do.
    """
    source = probe(video)
    if source.duration_s and source.duration_s < shortest_s:
        raise BadInput(
            f"{video}: {source.duration_s:.1f} s long; at least {shortest_s:.3g} s of its person speaking are needed, "
            "and for a portrait one to five minutes are best."
        )
    if sound is None and not source.has_sound:
        raise BadInput(
            f"{video}: it has no sound. A portrait learns its lips together with the voice: "
            "give the recording that belongs to it with --sound FILE."
        )
    _listen(sound or video)
    warnings: list[str] = []
    made_fps, share = made_rate(source)
    if made_fps:  # made at 25 or less and stored at 30 or more: every few pictures repeat
        warnings.append(
            f"stored at {source.fps:.2f} frames/s but made at {made_fps:.2f} ({share:.0%} repeats): "
            "the repeats are dropped and the rest put back on its own rate"
        )
    samples = _sample(video, source.duration_s, advance)
    people = find_people(samples)
    chosen, warning = choose(people, person)
    if warning:
        warnings.append(warning)
    if chosen.middle.size < SMALLEST:
        raise BadInput(
            f"{video}: the face is only {chosen.middle.size:.0f} pixels high; at least {SMALLEST} are needed, "
            "200 or more are good. Film closer, or use the original resolution."
        )
    return {
        "width": source.width,
        "height": source.height,
        "fps": source.fps,
        "made_fps": made_fps,
        "duration_s": source.duration_s,
        "frames": source.frames,
        "codec": source.codec,
        "crop": list(find_crop(chosen, source.width, source.height)),
        "face_height": chosen.middle.size,
        "people": len(people),
        "person": [[t, f.x, f.y, f.size] for t, f in zip(chosen.times_s, chosen.faces, strict=True)],
        "seen_share": len(chosen.faces) / max(1, len(samples)),
        "warnings": warnings,
    }


def audible(path: Path) -> bool:
    """Whether there is something to hear, found within a second where there is. Raises BadInput without a sound track."""
    return any(float(np.abs(block).max(initial=0.0)) > SILENT for block in audio.stream(path))


def sound_of(video: Path) -> Path | None:
    """The file with the video's sound: None for the video itself, which is taken unless it is silent; else the .wav of the
    same name beside it. Raises BadInput when there is none to hear."""
    own = probe(video).has_sound
    if own and audible(video):
        return None
    for beside in (video.with_suffix(suffix) for suffix in (".wav", ".WAV")):
        if beside.is_file() and audible(beside):
            return beside
    what = "its sound is silent" if own else "it has no sound"
    raise BadInput(f"{video}: {what}. Put the recording that belongs to it beside it as {video.stem}.wav.")


def _listen(path: Path) -> None:
    """Raise BadInput where there is nothing to hear."""
    if not audible(path):
        raise BadInput(f"{path}: its sound is silent. Give the recording that belongs to it with --sound FILE.")


def person_of(found: dict[str, Any]) -> Person:
    """The chosen person as `survey` stored them."""
    rows = found["person"]
    return Person([r[0] for r in rows], [Face(*r[1:]) for r in rows])


def _sample(video: Path, duration_s: float, advance: Callable[[int], None]) -> list[tuple[float, list[Face]]]:
    """(time, faces) of a few pictures a second. Raises BadInput when not one can be read."""
    step_s = max(EVERY_S, (duration_s or 60.0) / SAMPLES)
    samples: list[tuple[float, list[Face]]] = []
    tiled, tiles_help, told = 0, False, 0
    for picture in read(video, fps=1 / step_s):
        boxes = find_faces(picture.image)
        if not boxes and (tiles_help or tiled < TILED):
            tiled += 1
            boxes = find_small_faces(picture.image)
            tiles_help = tiles_help or bool(boxes)
        samples.append((picture.time_s, [Face(x + w / 2, y + h / 2, h) for x, y, w, h in boxes]))
        part = min(100, int(100 * len(samples) * step_s / max(duration_s, step_s)))
        advance(part - told)
        told = part
    if not samples:
        raise BadInput(f"{video}: no picture in it can be read. Export it again.")
    return samples


def find_small_faces(image: UInt8[np.ndarray, "height width 3"]) -> list[tuple[float, float, float, float]]:
    """Faces too small for the detector in the whole picture: it sees 192² pixels of it. Looks at overlapping tiles."""
    height, width = image.shape[:2]
    side = max(min(height, width) // 2, min(192, height, width))
    found: list[tuple[float, float, float, float]] = []
    for y in np.unique(np.linspace(0, height - side, max(1, round(1.5 * height / side))).astype(int)):
        for x in np.unique(np.linspace(0, width - side, max(1, round(1.5 * width / side))).astype(int)):
            for box in find_faces(image[y : y + side, x : x + side]):
                face = (box[0] + x, box[1] + y, box[2], box[3])
                if all(abs(face[0] - f[0]) + abs(face[1] - f[1]) > 0.5 * face[3] for f in found):
                    found.append(face)
    return found


def file_hash(path: str | os.PathLike) -> str:
    """sha256 of a file, read in pieces. Raises BadInput when it cannot be read."""
    import hashlib

    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}).") from error
    return digest.hexdigest()
