"""Any finished video, whoever made it, against its original: `evaluate_video(theirs, clip) -> Evaluation`.

The video must show the clip's own frames anew: all of them, its held-out ones, or a stretch whose beginning is given; cut out
as the clip is, or as the video that the clip was made from. A folder of PNG pictures is as good, and better: encoding
smooths a video, which hides flicker and flatters PSNR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from likeness import audio, mesh
from likeness.clip import Clip, read_picture
from likeness.errors import BadInput
from likeness.evaluate import errors_of, lips, metrics, openface
from likeness.evaluate.detection import detect
from likeness.evaluate.experts import Experts
from likeness.evaluate.figures import FEWEST, Evaluation, Pictures, ranges
from likeness.evaluate.judge import Judge, Measured, Picture
from likeness.evaluate.rows import MOST, judged, usual_frame
from likeness.evaluate.sound import Sound
from likeness.prepare.pictures import cropped
from likeness.video import FPS, probe, read

VIDEOS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")
SLACK = 2  # frames by which encoders and cutters change a length
ELSEWHERE = 0.04  # of the picture's side: beyond it the face is not where the original has it
LARGER = 0.1
BETTER_DB = 0.5  # by which a face must fit another frame better, to say that it shows that frame
THEIRS, STILL = "theirs", "still frame"


@dataclass(frozen=True)
class Showing:
    """What a video shows: frames of a clip, at `size`²."""

    path: Path
    frames: Int[np.ndarray, " shown"]
    """Which one each of its pictures is, in order."""
    size: int
    crop: tuple[int, int, int] | None
    """Where the clip's square lies in its pictures; None where they are that square."""
    certain: bool
    """False where their size fits both."""
    kind: str
    has_sound: bool


def is_video(path: Path) -> bool:
    """Whether a path names a finished video, not a portrait: by its ending, or a folder of PNG pictures (no clip)."""
    return path.suffix.lower() in VIDEOS or (any(path.glob("*.png")) and not (path / "clip.json").is_file())


@torch.no_grad()
def evaluate_video(
    theirs: Path,
    clip: Clip,
    first: int | None = None,
    action_units: Mapping[str, Path] | None = None,
    experts: Experts | None = None,
) -> Evaluation:
    """Rows "theirs", "still frame" (one usual training frame, held) and "real". Measured are the clip's held-out frames
    where the video holds at least 10 of them, otherwise its first 500 that show the face.

    `first`: frame of the clip that the video begins with; None: 0 where it is as long as the clip, that of the held-out
    stretch where it is as long as that. `action_units`, `experts`: as in `likeness.evaluate.evaluate`.
    Raises BadInput, with the reason, for a video of another size, rate, length or framing, and for one that fits the clip
    better some frames off. As nobody can know whose torso it shows, all its figures count as "own torso".
    """
    theirs = Path(theirs)
    shown = showing(theirs, clip, first)
    frames = _measured(shown, clip)
    units = errors_of(action_units, [THEIRS, STILL, "real"], len(frames))
    judge = Judge(clip, frames, shown.size, experts or Experts.in_place())
    pictures = _pictures(shown, clip, frames)
    sound = Sound(audio.load(theirs), -int(shown.frames[0])) if shown.has_sound else None
    if first is None:
        _must_be_in_time(theirs, pictures, judge, int(shown.frames[0]))
    ours = judge.row(THEIRS, None, pictures, sound)
    _must_be_in_place(theirs, ours, judge)
    if sound is None:
        reason = f"{theirs.name} has no sound, so whether its lips keep time with it cannot be told."
        judge.missing |= {"loudness": reason, "sync": reason, lips.NAME: reason}
        ours = ours.without_sound()
    held = [clip.image(usual_frame(clip), shown.size)] * len(frames)
    real, floor = judge.real_row()
    table = [row.with_samples(units.get(row.row, {})) for row in (ours, judge.row(STILL, None, held), real)]
    return Evaluation(
        method=theirs.name,
        size=shown.size,
        frames=[int(t) for t in frames],
        split={"train": ranges(clip.train), "test": ranges(clip.test)},
        silence={},
        speed={},
        delivery={"video": theirs.name, "frames": ranges(shown.frames), "sound": shown.has_sound},
        recipes=metrics.RECIPES | {"pictures": shown.kind} | lips.recipe(judge.experts.landmarks),
        pictures={"real": judge.real, THEIRS: pictures},
        missing=judge.missing | ({} if action_units else {"aue": openface.HOW}),
        floor=floor,
        setting="finished video",
        **judge.about(table),
    )


def showing(theirs: Path, clip: Clip, first: int | None = None) -> Showing:
    """What a video or folder holds of a clip. Raises BadInput where that cannot be told, or cannot be compared."""
    numbered = None
    if theirs.is_dir():
        files = sorted(theirs.glob("*.png"))
        if not files:
            raise BadInput(f"{theirs}: holds no PNG pictures. Name a video, or a folder of its frames.")
        height, width = read_picture(files[0]).shape[:2]
        count, kind, has_sound = len(files), metrics.RECIPES["pictures"], False
        numbered = _numbers(files)
    else:
        source = probe(theirs)
        if abs(source.fps - FPS) > 0.01:
            raise BadInput(
                f"{theirs}: {source.fps:.2f} frames a second; clips have {FPS:g}. Make it again at {FPS:g}: frames that are "
                "repeated or mixed cannot be compared one by one."
            )
        width, height, count, has_sound = source.width, source.height, source.frames, source.has_sound
        kind = f"decoded-{source.codec}/1"
    size, crop, certain = _framing(theirs, clip, width, height)
    if first is None and numbered is not None and np.isin(judged(clip), numbered).all() and numbered[-1] < len(clip):
        return Showing(theirs, numbered, size, crop, certain, kind, has_sound)
    start = _beginning(theirs, clip, count) if first is None else first
    if not 0 <= start < len(clip):
        raise BadInput(f"first is {start}; the clip has the frames 0 to {len(clip) - 1}.")
    return Showing(theirs, np.arange(start, min(start + count, len(clip))), size, crop, certain, kind, has_sound)


def _numbers(files: Sequence[Path]) -> Int[np.ndarray, " files"] | None:
    """The frames' numbers by which files are named, as `likeness evaluate --frames` names them; None where they are not."""
    if not all(file.stem.isdecimal() for file in files):
        return None
    found = np.array([int(file.stem) for file in files])
    return found if (np.diff(found) > 0).all() else None


def _framing(theirs: Path, clip: Clip, width: int, height: int) -> tuple[int, tuple[int, int, int] | None, bool]:
    """At which size a video is compared, where the clip's square lies in it, and whether its size says so for certain."""
    side, source = clip.camera.size[0], tuple(clip.header["source"].get("size", ()))
    if (width, height) == source:
        x, y, edge = clip.header["crop"]
        return side, None if edge == width == height else (x, y, edge), source != clip.camera.size
    if width == height and width <= side:
        return width, None, True
    original = f", or {source[0]} x {source[1]} as the video that it was made from" if source else ""
    raise BadInput(
        f"{theirs}: pictures of {width} x {height}; this clip's are {side} x {side} (smaller squares are compared at their own "
        f"size{original}). Export it so that it shows what the clip shows."
    )


def _beginning(theirs: Path, clip: Clip, count: int) -> int:
    """The clip's frame that a video of `count` frames begins with, if its length says so."""
    start, stop = int(clip.test[0]) if len(clip.test) else 0, clip.longest_scene[1]
    if abs(count - len(clip)) <= SLACK:
        return 0
    if abs(count - (stop - start)) <= SLACK:
        return start
    raise BadInput(
        f"{theirs}: {count} frames; the clip has {len(clip)}, of which the last {stop - start} of its longest scene are held "
        f"out (from frame {start}). Which ones are these? Say with which frame of the clip it begins: --first N."
    )


def _measured(shown: Showing, clip: Clip) -> np.ndarray:
    """Frame numbers that are compared."""
    test = clip.test[np.isin(clip.test, shown.frames)]
    if len(test) >= FEWEST:
        return test[:MOST]
    start, stop = clip.longest_scene
    covered = shown.frames[(shown.frames >= start) & (shown.frames < stop)]
    covered = covered[clip.seen.numpy()[covered]][:MOST]
    if len(covered) < FEWEST:
        raise BadInput(
            f"{shown.path}: only {len(covered)} of its frames lie in the clip's longest scene ({start} to {stop - 1}) and show "
            f"the face there; at least {FEWEST} are needed."
        )
    return covered


def _pictures(shown: Showing, clip: Clip, frames: np.ndarray) -> Pictures:
    """The video's pictures of these frames of the clip."""
    wanted = set(np.flatnonzero(np.isin(shown.frames, frames)).tolist())
    found: Pictures = []
    if shown.path.is_dir():
        files = sorted(shown.path.glob("*.png"))
        found = [read_picture(files[t]) for t in sorted(wanted)]
    else:
        with closing(read(shown.path)) as reader:
            for picture in reader:
                if picture.index > max(wanted):
                    break
                if picture.index in wanted:
                    found.append(picture.image)
    if len(found) < len(wanted):
        raise BadInput(
            f"{shown.path}: it ends before the clip's frame {int(frames[-1])}, which it should show. Export it again."
        )
    if shown.crop is not None and (shown.certain or _is_source(found[0], shown.crop, clip, int(frames[0]))):
        found = [cropped(image, shown.crop, shown.size) for image in found]
    if any(image.shape[:2] != (shown.size, shown.size) for image in found):
        raise BadInput(f"{shown.path}: its pictures are not all {shown.size} x {shown.size}.")
    return found


def _is_source(picture: Picture, crop: tuple[int, int, int], clip: Clip, frame: int) -> bool:
    """Whether the face lies where the clip's source has it, rather than where the clip does."""
    skull = list(mesh.SKULL)
    shown, there = detect("theirs", [picture]).pixels[0, skull], clip.pixels[frame, skull].numpy()
    x, y, edge = crop
    before = there * (edge / clip.camera.size[0]) + (x, y)
    return float(np.linalg.norm(shown - before, axis=1).mean()) < float(np.linalg.norm(shown - there, axis=1).mean())


def _must_be_in_time(theirs: Path, pictures: Pictures, judge: Judge, start: int) -> None:
    """Raise BadInput where the faces are those of frames a little earlier or later: a video may have lost some at its front."""
    at, _, _ = max(judge.pieces, key=lambda piece: piece[2] - piece[1])
    shown, real, boxes = pictures[at], judge.real[at], judge.faces[at]
    fits = {}
    for off in range(-SLACK, SLACK + 1):
        inner = range(SLACK, len(shown) - SLACK)  # the same pictures for each
        fits[off] = np.mean([metrics.psnr(shown[t], real[t + off], boxes[t + off]) for t in inner]) if inner else 0.0
    best = max(fits, key=lambda off: fits[off])
    if fits[best] - fits[0] > BETTER_DB:
        raise BadInput(
            f"{theirs}: taken to begin with the clip's frame {start}, but its faces fit those {abs(best)} frames "
            f"{'later' if best > 0 else 'earlier'} better, by {fits[best] - fits[0]:.1f} dB. Say with which frame of the clip "
            f"it begins: --first {start + best} (or --first {start} if its movement is late by itself)."
        )


def _must_be_in_place(theirs: Path, ours: Measured, judge: Judge) -> None:
    """Raise BadInput where the face is not where the original has it."""
    skull = list(mesh.SKULL)
    a, b = ours.landmarks.pixels[:, skull], judge.real_pixels[:, skull]
    away = float(np.median(np.linalg.norm(a.mean(1) - b.mean(1), axis=-1)))
    spread = [np.linalg.norm(x - x.mean(1, keepdims=True), axis=-1).mean() for x in (a, b)]
    if away > ELSEWHERE * judge.size or abs(spread[0] / spread[1] - 1) > LARGER:
        raise BadInput(
            f"{theirs}: its face is {away:.0f} pixels away from where the original has it, and {spread[0] / spread[1]:.2f} "
            "times as large. It is cropped in another way, or these are other frames: cut it like the clip, or say by --first "
            "with which frame of the clip it begins."
        )
