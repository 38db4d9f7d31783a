"""Pictures of a video from the last to the first, in constant memory: stretches are sought out, decoded and turned round."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import av.error

from likeness.video.container import decode, open_input, picture_stream
from likeness.video.picture import Picture, constant, probe, timed

HELD = 256_000_000  # bytes of pictures held at a time: 41 of 1080p. Each stretch decodes from a key frame on
LEAD = 2.5  # frames before a stretch that decide with it which picture is nearest in time


def backwards(
    path: str | os.PathLike, fps: float, start: int, stop: int, *, held: int | None = None, seek: bool = True
) -> Iterator[Picture]:
    """The pictures stop-1 .. start that `read(path, fps)` gives, in that order; their `source_index` is not known (-1).

    held: how many are in memory at a time. seek: False for files whose timestamps jump (`Reader.problems` says so): each
    stretch is then decoded from the beginning of the file.
    """
    source = probe(path)
    held = held or max(2, HELD // (3 * source.width * source.height))
    while stop > start:
        first = max(start, stop - held)
        stretch = _stretch(Path(path), fps, first, stop, seek)
        if stretch is None:  # the place was not found
            stretch = _stretch(Path(path), fps, first, stop, False) or []
        yield from reversed(stretch)
        stop = first


def _stretch(path: Path, fps: float, start: int, stop: int, seek: bool) -> list[Picture] | None:
    """Pictures start .. stop-1; None where seeking went past them."""
    source = probe(path)
    step_s = 1 / source.fps
    before_s = start / fps - LEAD * max(step_s, 1 / fps)
    with open_input(path) as container:
        stream: Any = picture_stream(container)
        stream.thread_type = "AUTO"
        offset = 0.0
        frames = decode(container, stream, [])
        if seek and before_s > 0:
            try:
                container.seek(round((source.start_s + before_s) / stream.time_base), stream=stream)
            except (av.error.FFmpegError, OSError):
                return None
            head = next(frames, None)
            if head is None or head.time is None or head.time - source.start_s > before_s:
                return None
            offset = head.time - source.start_s
            frames = chain([head], frames)
        placed = ((-1, time + offset, frame) for _, time, frame in timed(frames, step_s, []))
        found = takewhile(lambda picture: picture.index < stop, constant(placed, fps, step_s, stream))
        return [picture for picture in found if picture.index >= start]
