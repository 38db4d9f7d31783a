"""Sound of any sound or video file, in blocks, placed against the pictures by timestamp."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float

from likeness.errors import BadInput
from likeness.video.container import decode, open_input, picture_stream
from likeness.video.picture import LONGEST_HOLE_S, probe

HOLE_S = 0.1  # shorter holes between packets are rounding of timestamps (.mkv rounds to 1 ms), longer ones silence
CENTRE = np.array([0.25, 0.25, 0.5, 0.0, 0.125, 0.125], np.float32)  # 5.1: speech is in the middle, LFE has none


@dataclass
class Sound:
    """A sound being read. `problems` is complete when the blocks are through."""

    rate: int
    """Samples a second."""
    channels: int
    blocks: Iterator[Float[np.ndarray, "samples channels"]]
    problems: list[str] = field(default_factory=list)


def open_sound(path: str | os.PathLike, block_s: float = 10.0) -> Sound:
    """The first sound track of any sound or video file, in blocks of about `block_s` seconds: memory stays bounded.

    Time 0 is the first picture of a video: a track that starts later is preceded by silence, one that starts earlier
    is cut. Values are in -1 .. 1 (a float file may exceed it). Raises BadInput when there is no readable sound.
    """
    path = Path(path)
    container = open_input(path)
    if not container.streams.audio:
        container.close()
        raise BadInput(f"{path}: it has no sound.")
    stream = container.streams.audio[0]
    origin = probe(path).start_s if picture_stream(container) is not None else None
    problems: list[str] = []
    frames = decode(container, stream, problems)
    first = next(frames, None)
    if first is None or first.sample_rate <= 0:
        container.close()
        raise BadInput(f"{path}: its sound ({stream.codec_context.name}) cannot be decoded. Export it again.")

    def pieces() -> Iterator[Float[np.ndarray, "samples channels"]]:
        with container:
            yield from _placed(first, frames, origin)

    rate = first.sample_rate
    return Sound(rate, first.layout.nb_channels, _regrouped(pieces(), int(block_s * rate)), problems)


def mixdown(samples: Float[np.ndarray, "samples channels"]) -> Float[np.ndarray, " samples"]:
    """One channel: the mean, or for 5.1 mostly the centre, which carries the speech. Weights sum to 1: no clipping."""
    if samples.shape[1] == 1:
        return samples[:, 0]
    if samples.shape[1] == len(CENTRE):
        return samples @ CENTRE / CENTRE.sum()
    return samples.mean(1, dtype=np.float32)


def _placed(first: Any, rest: Iterator[Any], origin: float | None) -> Iterator[Float[np.ndarray, "samples channels"]]:
    """Samples from time 0 on without holes: late ones after silence, early ones cut."""
    rate, layout = first.sample_rate, first.layout
    resampler = None
    origin = (first.time or 0.0) if origin is None else origin
    written, frame, started = 0, first, False
    while frame is not None:
        if frame.sample_rate != rate or frame.layout.nb_channels != layout.nb_channels:
            resampler = resampler or av.AudioResampler("fltp", layout, rate)
            changed = resampler.resample(frame)
            samples = np.concatenate([_values(f) for f in changed]) if changed else np.zeros((0, layout.nb_channels), "f4")
        else:
            samples = _values(frame)
        due = written if frame.time is None else round((frame.time - origin) * rate)
        if not started and due < 0:
            samples = samples[-due:]
            if due + frame.samples < 0 and frame.time is not None:  # all of it is before the first picture
                frame = next(rest, None)
                continue
        late = due - written
        started, slack = True, (HOLE_S * rate if started else 0)
        if slack < late <= LONGEST_HOLE_S * rate:
            yield np.zeros((late, layout.nb_channels), np.float32)
            written += late
        elif late > LONGEST_HOLE_S * rate or late < -LONGEST_HOLE_S * rate:
            origin += late / rate
        written += len(samples)
        yield samples
        frame = next(rest, None)


def _values(frame: Any) -> Float[np.ndarray, "samples channels"]:
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if values.dtype.kind == "u":
        return (values.astype(np.float32) - 128) / 128
    if values.dtype.kind == "i":
        return (values / -float(np.iinfo(values.dtype).min)).astype(np.float32)
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0)


def _regrouped(
    pieces: Iterator[Float[np.ndarray, "samples channels"]], size: int
) -> Iterator[Float[np.ndarray, "samples channels"]]:
    held: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= size:
            yield np.concatenate(held)
            held, count = [], 0
    if count:
        yield np.concatenate(held)
