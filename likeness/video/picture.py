"""Pictures of a video at a constant rate, by timestamp, one after the other in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from jaxtyping import UInt8

from likeness.errors import BadInput
from likeness.video.container import decode, open_input, picture_stream

FPS = 25.0
"""Pictures a second of every clip, portrait and result."""
LONGEST_HOLE_S = 60.0  # a longer jump of the timestamps is an error in the file, not a pause in the picture
SAME = 0.01  # mean luma difference (of 255) under which a picture always counts as a repeat of the one before
REPEAT = 0.4  # or under this share of what changes around it: repeats that were encoded again are not exact any more
BT709_FROM = 720  # untagged video of at least this height is BT.709, below it BT.601, as players assume


@dataclass(frozen=True)
class Source:
    """What a video file holds. Sizes are as shown: after rotation, with square pixels."""

    path: Path
    width: int
    height: int
    rotation: int
    """Degrees counter-clockwise that the stored picture is turned by for showing: 0, 90, 180 or 270."""
    fps: float
    """Average of what is stored."""
    duration_s: float
    frames: int
    """As the file claims, or an estimate."""
    codec: str
    start_s: float
    """Timestamp of the first picture, which is time 0 for everything else."""
    has_sound: bool
    sound_rate: int
    """Samples a second, 0 without sound."""
    sound_channels: int


@dataclass(frozen=True)
class Picture:
    """One output frame."""

    index: int
    """From 0 without gaps; it is shown at index / fps."""
    source_index: int
    """Which stored picture it is, counted from 0."""
    time_s: float
    """When the stored picture is shown, from the first one."""
    image: UInt8[np.ndarray, "height width 3"]
    repeated: bool
    """The same stored picture has filled the output frame before."""


def probe(path: str | os.PathLike) -> Source:
    """What `path` holds, found by decoding its first picture. Raises BadInput when it is no readable video."""
    path = Path(path)
    with open_input(path) as container:
        stream = picture_stream(container)
        if stream is None:
            what = "only sound" if container.streams.audio else "no picture track"
            raise BadInput(f"{path}: not a video, it holds {what}.")
        first = next(decode(container, stream, []), None)
        if first is None:
            raise BadInput(f"{path}: no picture in it can be decoded ({stream.codec_context.name}). Export it again.")
        turn = _quarter_turns(first)
        width, height = _square(first, stream)
        fps = float(stream.average_rate or stream.guessed_rate or 25)
        duration = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
        sound = container.streams.audio[0] if container.streams.audio else None
        return Source(
            path=path,
            width=height if turn % 2 else width,
            height=width if turn % 2 else height,
            rotation=turn * 90,
            fps=fps,
            duration_s=duration,
            frames=stream.frames or round(duration * fps),
            codec=stream.codec_context.name,
            start_s=float(first.time or 0.0),
            has_sound=sound is not None,
            sound_rate=sound.rate if sound else 0,
            sound_channels=sound.channels if sound else 0,
        )


def read(path: str | os.PathLike, fps: float = FPS, *, made_fps: float | None = None) -> Reader:
    """The pictures of `path` at a constant `fps`: each output frame shows the stored picture nearest in time.

    `made_fps` (from `cadence`) first drops stored repeats and puts the pictures back on that rate.
    Raises BadInput when nothing can be read; what is missing or damaged in between is told in `Reader.problems`.
    """
    return Reader(path, fps, made_fps)


class Reader(Iterator[Picture]):
    """Pictures of one video, in order, once. `problems` is complete when the pictures are through."""

    def __init__(self, path: str | os.PathLike, fps: float, made_fps: float | None = None) -> None:
        self.source = probe(path)
        self.fps = fps
        self.made_fps = made_fps
        self.problems: list[str] = []
        self._pictures = self._read()

    def __next__(self) -> Picture:
        return next(self._pictures)

    def close(self) -> None:
        self._pictures.close()

    def _read(self) -> Iterator[Picture]:
        with open_input(self.source.path) as container:
            stream: Any = picture_stream(container)
            stream.thread_type = "AUTO"
            frames = timed(decode(container, stream, self.problems), 1 / self.source.fps, self.problems)
            if self.made_fps:
                frames = retimed(frames, self.made_fps)
            end_s = 0.0
            for picture in constant(frames, self.fps, 1 / (self.made_fps or self.source.fps), stream):
                end_s = picture.time_s
                yield picture
        missing = self.source.duration_s - end_s
        if missing > max(0.5, 3 / self.source.fps):
            self.problems.append(f"the pictures end at {end_s:.1f} s of {self.source.duration_s:.1f} s: the file was cut short")


def timed(frames: Iterator[Any], step_s: float, problems: list[str]) -> Iterator[tuple[int, float, Any]]:
    """Number the frames and give each a time that only grows, 0 for the first. Missing timestamps continue by `step_s`;
    a frame at or before the last one's time is dropped; a jump (back, or over a minute on) is closed."""
    origin = last = 0.0
    jumps = 0
    for index, frame in enumerate(frames):
        if frame.time is None:
            time = last + step_s if index else 0.0
            origin = origin if index else -0.0
        else:
            origin = frame.time if index == 0 else origin
            time = frame.time - origin
        if index and (time < last - 1.0 or time > last + LONGEST_HOLE_S):
            jumps += 1
            origin += time - (last + step_s)
            time = last + step_s
        if index and time <= last:
            continue
        last = time
        yield index, time, frame
    if jumps:
        problems.append(f"the timestamps jump in {jumps} place(s); the pictures were joined there")


def retimed(frames: Iterator[tuple[int, float, Any]], made_fps: float) -> Iterator[tuple[int, float, Any]]:
    """Drop stored repeats and put what remains back on the rate that it was made at.

    Each kept picture takes the next place of the original rate while that stays within 1.2 places of its own time:
    regular repeats give an even motion, and irregular ones (a straight fit drifts up to .2 s) are caught up with.
    """
    place = 0
    for index, time, frame in (f for f, same in marked(frames) if not same):
        ahead = place - time * made_fps
        if ahead > 1.2:  # a repeat was not recognised, as happens when nothing moves
            continue
        if ahead < -1.2:
            place = round(time * made_fps)
        yield index, place / made_fps, frame
        place += 1


def marked(frames: Iterator[tuple[int, float, Any]]) -> Iterator[tuple[tuple[int, float, Any], bool]]:
    """Each frame and whether it repeats the one before it, judged by the change two frames before and after."""
    around: list[tuple[Any, float]] = []
    for item in chain(changes(frames), [(None, np.inf)] * 2):
        around.append(item)
        if len(around) < 3:
            continue
        frame, change = around[-3]
        others = [c for _, c in around[:-3] + around[-2:] if np.isfinite(c)]
        yield frame, bool(change < SAME or (len(others) > 1 and change < REPEAT * np.median(others)))
        around = around[-4:]


def changes(frames: Iterator[tuple[int, float, Any]]) -> Iterator[tuple[tuple[int, float, Any], float]]:
    """Each frame and the mean absolute change of its luma (0 .. 255) from the one before; infinite for the first."""
    previous = None
    for item in frames:
        plane = item[2].planes[0]
        luma = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].astype(np.int16)
        same_size = previous is not None and previous.shape == luma.shape
        yield item, float(np.abs(luma - previous).mean()) if same_size else np.inf
        previous = luma


def cadence(path: str | os.PathLike, frames: int = 600) -> tuple[float | None, float]:
    """(rate that the video was made at if repeats show it to differ from the stored one, share of stored repeats).

    Files made at 25 but stored at 30 hold 1 repeat in 6; give the rate to `read` as `made_fps`. Looks at the first
    `frames` pictures. None when there are no repeats, or too irregular ones for a made rate (a still picture).
    """
    source = probe(path)
    with open_input(path) as container:
        stream: Any = picture_stream(container)
        stream.thread_type = "AUTO"
        found = timed(decode(container, stream, []), 1 / source.fps, [])
        same = np.array([s for _, s in marked(islice(found, frames))])
    share = float(same[1:].mean()) if len(same) > 1 else 0.0
    gaps = np.diff(np.flatnonzero(same))
    if len(gaps) < 8:
        return None, share
    period = int(np.bincount(gaps).argmax())
    # half of the repeats in step, and not so few that they are accidents
    clear = 1 < period <= 12 and (gaps == period).mean() > 0.4 and share > 0.5 / period
    return (source.fps * (1 - 1 / period) if clear else None), share


def made_rate(source: Source) -> tuple[float | None, float]:
    """`cadence` of a video that is stored faster than FPS, the only kind put back on its own rate; (None, 0) for others."""
    return cadence(source.path) if source.fps > FPS + 0.5 else (None, 0.0)


def constant(frames: Iterator[tuple[int, float, Any]], fps: float, step_s: float, stream: Any) -> Iterator[Picture]:
    """Fill the places 0, 1/fps, … with the frame nearest in time, but none with one still to come after a hole: what a
    player would show stays. `step_s` is the usual distance of frames; the last one lasts that long."""
    place = 0
    early = max(1 / fps, step_s) / 2
    convert = VideoReformatter()
    held: tuple[int, float, Any] | None = None
    for following in frames:
        if held is not None:
            until = following[1] - min((following[1] - held[1]) / 2, early)
            for picture in _fill(held, place, until * fps, stream, convert):
                place += 1
                yield picture
        held = following
    if held is not None:
        end = max(round((held[1] + step_s) * fps), place + (place == 0)) - 0.5
        yield from _fill(held, place, end, stream, convert)


def _fill(held: tuple[int, float, Any], place: int, end: float, stream: Any, convert: VideoReformatter) -> Iterator[Picture]:
    index, time, frame = held
    image = None
    while place < end - 1e-6:
        repeated = image is not None
        image = to_rgb(frame, stream, convert) if image is None else image
        yield Picture(place, index, time, image, repeated)
        place += 1


def to_rgb(frame: Any, stream: Any, convert: VideoReformatter | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """A decoded frame upright, with square pixels, in full-range RGB. `convert` keeps its tables from frame to frame, which is
    half of the time at 720p."""
    width, height = _square(frame, stream)
    guess = Colorspace.ITU709 if frame.height >= BT709_FROM else Colorspace.ITU601
    unknown = int(frame.colorspace) in (0, 2) and "rgb" not in frame.format.name
    convert = convert or VideoReformatter()
    image = convert.reformat(frame, width, height, "rgb24", src_colorspace=guess if unknown else None).to_ndarray()
    turn = _quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(image, turn)) if turn else image


def _quarter_turns(frame: Any) -> int:
    return round(frame.rotation / 90) % 4


def _square(frame: Any, stream: Any) -> tuple[int, int]:
    """Size with square pixels: old television formats store them oblong, which would make every face thin."""
    aspect = stream.sample_aspect_ratio
    wide = float(aspect) if aspect else 1.0
    return (round(frame.width * wide) if 0.25 < wide < 4 and wide != 1 else frame.width), frame.height
