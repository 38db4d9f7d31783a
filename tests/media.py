"""Small media files for tests, with contents that can be read back: a picture tells its number."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from likeness.video import open_sound

TICK = 90000


def numbered(number: int, size: tuple[int, int] = (128, 64)) -> np.ndarray:
    """A picture that says `number` (below 256) in 8 bars, white for 1; its upper half is red."""
    width, height = size
    bars = np.repeat([(number >> b) & 1 for b in range(8)], width // 8)
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2] = (200, 30, 30)
    image[height // 2 :, : len(bars)] = (bars * 255)[None, :, None]
    return image


def number_in(image: np.ndarray) -> int:
    """What `numbered` says."""
    height, width = image.shape[:2]
    row = image[height * 3 // 4, :, 1].astype(int)
    step = width // 8
    return sum(int(row[b * step + step // 2] > 128) << b for b in range(8))


def make_video(
    path: Path,
    times_s: list[float],
    size: tuple[int, int] = (128, 64),
    *,
    rotation: int = 0,
    numbers: list[int] | None = None,
    sound: tuple[np.ndarray, int, float] | None = None,
    codec: str = "libx264",
) -> Path:
    """Write pictures at the given times; `sound` is (samples, rate, start in seconds)."""
    numbers = numbers if numbers is not None else list(range(len(times_s)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICK)
        stream.options = {"preset": "ultrafast", "crf": "10", "bf": "0"} if codec == "libx264" else {}
        if rotation:
            stream.set_display_rotation(rotation)
        if sound is not None:
            audio = container.add_stream("aac", rate=sound[1], layout="mono")
            audio.codec_context.time_base = Fraction(1, sound[1])
        for number, time in zip(numbers, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(numbered(number, size), "rgb24")
            frame.pts, frame.time_base = round(time * TICK), Fraction(1, TICK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            samples, rate, start_s = sound
            for first in range(0, len(samples), 1024):
                piece = av.AudioFrame.from_ndarray(samples[None, first : first + 1024].astype(np.float32), "fltp", "mono")
                piece.rate, piece.pts, piece.time_base = rate, round(start_s * rate) + first, Fraction(1, rate)
                container.mux(audio.encode(piece))
            container.mux(audio.encode(None))
    return path


def make_sound(path: Path, samples: np.ndarray, rate: int, codec: str, layout: str) -> Path:
    """Write samples [N C] with any codec into any container."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.format.name, layout, rate, frame_size=stream.frame_size or None)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T, np.float32), "fltp", layout)
        frame.rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def read_sound(path: Path) -> tuple[np.ndarray, int]:
    """All samples [N C] of the sound that `open_sound` reads in blocks, and their rate."""
    sound = open_sound(path)
    blocks = list(sound.blocks)
    return (np.concatenate(blocks) if blocks else np.zeros((0, sound.channels), np.float32)), sound.rate


def tone(seconds: float, rate: int, hertz: float = 440.0, level: float = 0.5) -> np.ndarray:
    """A sine wave [N] float32."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
