"""Write pictures and sound: .mp4 (H.264, AAC), .webm with transparency (VP9, Opus), or a folder of transparent PNG."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
import soxr
from av.video.reformatter import Colorspace, VideoReformatter
from jaxtyping import Float, UInt8

from likeness.errors import BadInput, LikenessError, Refused
from likeness.files import unwritable
from likeness.video.picture import FPS
from likeness.video.sound import mixdown, open_sound

SOUND_RATE = 48000  # one AAC packet is then 21 ms, so that sound and picture end within one frame of each other


@dataclass(frozen=True)
class Encoding:
    """How a kind of file is written."""

    video: str
    layout: str
    """Pixel layout in the file."""
    channels: int
    """Channels that a picture must have: 3 RGB, 4 RGBA."""
    sound: str
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)


# `veryfast` halves the file of `superfast` for 10 % of the time, at the same PSNR (512², 2 threads)
H264 = Encoding("libx264", "yuv420p", 3, "aac", {"preset": "veryfast", "g": "50"}, {"movflags": "+faststart"})
VP9 = Encoding(
    "libvpx-vp9", "yuva420p", 4, "libopus",
    {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "b": "0", "auto-alt-ref": "0", "lag-in-frames": "0"},
)  # fmt: skip
ENCODINGS = {".mp4": H264, ".m4v": H264, ".mov": H264, ".webm": VP9}


def encoding_of(path: Path) -> Encoding:
    """How a file of this name is written. Raises BadInput for an unknown ending."""
    if path.suffix.lower() not in ENCODINGS:
        raise BadInput(f"{path}: cannot write {path.suffix or 'this'}; use {', '.join(ENCODINGS)}.")
    return ENCODINGS[path.suffix.lower()]


SoundInput = str | os.PathLike | tuple[Float[np.ndarray, "..."], int]


class Writer:
    """Write a video: `with Writer("out.mp4", (width, height), sound="speech.wav") as video: video.write(image)`.

    `size` is (width, height) in pixels; an odd one is made even by repeating the last column or row (4:2:0 colour needs
    it). `sound` is a file, or (samples [N] or [N C], rate); it is cut or filled with silence to the length of the
    pictures. Nothing is at `path` until the block ends well; after an error what was there before is untouched.
    Raises BadInput (no such folder, not writable, unknown ending), Exhausted (disk full).
    """

    def __init__(
        self,
        path: str | os.PathLike,
        size: tuple[int, int],
        fps: float = FPS,
        sound: SoundInput | None = None,
        *,
        crf: int = 18,
        threads: int = 2,
    ) -> None:
        self.path = Path(path)
        self.size = size
        self.fps = Fraction(fps).limit_denominator(1001)
        self.frames = 0
        self.encoding = encoding_of(self.path)
        if min(size) < 2:
            raise BadInput(f"{self.path}: a picture of {size[0]} x {size[1]} pixels is too small for a video.")
        self._partial = _beside(self.path)
        self._sound = SoundTrack(sound) if sound is not None else None
        self._container: Any = None
        self._convert = VideoReformatter()  # keeps its tables from frame to frame
        with self._explained():
            self._open(crf, threads)

    def _open(self, crf: int, threads: int) -> None:
        self._partial.touch()
        kind = "webm" if self.encoding is VP9 else "mp4"
        container = av.open(str(self._partial.absolute()), "w", format=kind, container_options=self.encoding.container)
        self._container = container
        width, height = (n + n % 2 for n in self.size)
        stream = container.add_stream(self.encoding.video, rate=self.fps)
        stream.width, stream.height, stream.pix_fmt = width, height, self.encoding.layout
        context = stream.codec_context
        context.thread_count = threads
        context.time_base = 1 / self.fps
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709, in its limited range
        context.color_range = 1
        stream.options = self.encoding.options | {"crf": str(crf)}
        self._video: Any = stream
        if self._sound is not None:
            layout = "stereo" if self._sound.channels == 2 else "mono"
            self._audio: Any = container.add_stream(self.encoding.sound, rate=SOUND_RATE, layout=layout)
            self._audio.bit_rate = 160_000 if layout == "stereo" else 96_000
            wanted = self._audio.format.name if self.encoding.sound == "libopus" else "fltp"
            self._fifo = av.AudioResampler(wanted, layout, SOUND_RATE)

    def __enter__(self) -> Writer:
        return self

    def write(self, image: UInt8[np.ndarray, "height width channels"]) -> None:
        """Add one picture: RGB, or RGBA for .webm."""
        width, height = self.size
        if image.shape != (height, width, self.encoding.channels) or image.dtype != np.uint8:
            wanted = f"[{height} {width} {self.encoding.channels}] uint8"
            raise BadInput(f"{self.path}: frame {self.frames} is {list(image.shape)} {image.dtype}, not {wanted}.")
        if width % 2 or height % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        with self._explained():
            reformat, layout = self._convert.reformat, self.encoding.layout
            frame = reformat(_framed(image), format=layout, dst_colorspace=Colorspace.ITU709, threads=1)
            frame.pts, frame.time_base = self.frames, 1 / self.fps
            self.frames += 1
            self._container.mux(self._video.encode(frame))
            self._write_sound()

    def _write_sound(self) -> None:
        """Bring the sound up to the time of the pictures, so that both are interleaved and none is held in memory."""
        if self._sound is None:
            return
        upto = round(self.frames / self.fps * SOUND_RATE)
        samples = self._sound.take(upto)
        if len(samples):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", self._audio.layout.name)
            frame.rate, frame.pts, frame.time_base = SOUND_RATE, upto - len(samples), Fraction(1, SOUND_RATE)
            for piece in self._fifo.resample(frame):
                self._container.mux(self._audio.encode(piece))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None:
            self.discard()
            return
        with self._explained():
            if self.frames == 0:
                raise BadInput(f"{self.path}: no picture was written.")
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(self._audio.encode(None))
            self._container.close()
            os.replace(self._partial, self.path)

    def discard(self) -> None:
        """Give up: nothing of this video stays on disk."""
        try:
            if self._container is not None:
                self._container.close()
        except (av.error.FFmpegError, OSError, ValueError):
            pass  # the disk may be full, which is why we are here
        self._partial.unlink(missing_ok=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except LikenessError:
            self.discard()
            raise
        except (av.error.FFmpegError, OSError) as error:
            self.discard()
            raise unwritable(self.path, error) from error


def _framed(image: UInt8[np.ndarray, "height width channels"]) -> av.VideoFrame:
    """A picture as an RGB or RGBA frame. PyAV's own way there copies row by row: 1 to 10 ms of 720p instead of .1."""
    height, width, channels = image.shape
    frame = av.VideoFrame(width, height, "rgba" if channels == 4 else "rgb24")
    plane: Any = frame.planes[0]  # a buffer, which its type does not say
    rows = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)  # longer than the picture's
    rows[:, : width * channels] = image.reshape(height, -1)
    return frame


class SoundTrack:
    """Sound of a file or an array at SOUND_RATE, one or two channels, taken piece by piece."""

    def __init__(self, sound: SoundInput) -> None:
        if isinstance(sound, tuple):
            samples, rate = np.atleast_2d(np.asarray(sound[0], np.float32).T).T, int(sound[1])
            blocks, channels = iter(np.array_split(samples, max(1, len(samples) // (10 * rate)))), samples.shape[1]
        else:
            opened = open_sound(sound)
            blocks, channels, rate = opened.blocks, opened.channels, opened.rate
        self.channels = 2 if channels == 2 else 1
        self._blocks = resampled(blocks, self.channels, rate, SOUND_RATE)
        self._held = np.zeros((0, self.channels), np.float32)
        self._taken = 0

    def take(self, upto: int) -> Float[np.ndarray, "samples channels"]:
        """The samples from where the last call ended to `upto`; silence once the sound is over."""
        wanted = upto - self._taken
        while len(self._held) < wanted:
            block = next(self._blocks, None)
            if block is None:
                block = np.zeros((wanted - len(self._held), self.channels), np.float32)
            self._held = np.concatenate([self._held, block])
        samples, self._held = self._held[:wanted], self._held[wanted:]
        self._taken = upto
        return samples


def resampled(
    blocks: Iterator[Float[np.ndarray, "samples any"]], channels: int, rate: int, wanted: int
) -> Iterator[Float[np.ndarray, "samples channels"]]:
    """Blocks of sound at another rate (soxr, high quality), mixed down when `channels` is 1; round(N w / r) in all."""
    stream = soxr.ResampleStream(rate, wanted, channels, dtype="float32")
    taken = given = 0
    for block in blocks:
        taken += len(block)
        mixed = mixdown(block)[:, None] if channels == 1 else block
        out = stream.resample_chunk(np.ascontiguousarray(mixed, np.float32)).reshape(-1, channels)
        given += len(out)
        yield out
    rest = stream.resample_chunk(np.zeros((0, channels), np.float32), last=True).reshape(-1, channels)
    missing = round(taken * wanted / rate) - given
    yield np.pad(rest, ((0, max(0, missing - len(rest))), (0, 0)))[: max(0, missing)]


class PngWriter:
    """Write RGBA pictures as `folder`/000000.png, …; the folder appears, whole, when the block ends well.

    Raises Refused when `folder` exists and is not empty, BadInput or Exhausted when it cannot be written.
    """

    def __init__(self, folder: str | os.PathLike, size: tuple[int, int]) -> None:
        self.folder, self.size, self.frames = Path(folder), size, 0
        _must_be_empty(self.folder)
        self._partial = _beside(self.folder)
        try:
            self._partial.mkdir()
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def __enter__(self) -> PngWriter:
        return self

    def write(self, image: UInt8[np.ndarray, "height width 4"]) -> None:
        """Add one picture, RGBA with straight (not premultiplied) alpha."""
        if image.shape != (self.size[1], self.size[0], 4) or image.dtype != np.uint8:
            wanted = f"[{self.size[1]} {self.size[0]} 4] uint8"
            raise BadInput(f"{self.folder}: frame {self.frames} is {list(image.shape)} {image.dtype}, not {wanted}.")
        _, coded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        try:
            (self._partial / f"{self.frames:06d}.png").write_bytes(coded.tobytes())
        except OSError as error:
            self.discard()
            raise unwritable(self.folder, error) from error
        self.frames += 1

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None:
            self.discard()
            return
        if self.folder.exists():
            self.folder.rmdir()
        os.replace(self._partial, self.folder)

    def discard(self) -> None:
        """Give up: nothing of the sequence stays on disk."""
        shutil.rmtree(self._partial, ignore_errors=True)


def _must_be_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder}: exists and is not an empty folder. Name another one, or remove it first.")


def check_place(path: Path) -> None:
    """Raise at once what `Writer` (or, without an ending, `PngWriter`) would raise for this path once there is something
    to write."""
    if path.suffix:
        encoding_of(path)
    else:
        _must_be_empty(path)
    partial = _beside(path)
    try:
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise unwritable(path, error) from error


def _beside(path: Path) -> Path:
    """Where to write until all is well: the same folder, so that the last step is one rename."""
    parent = path.parent
    if not parent.is_dir():
        raise BadInput(f"{path}: there is no folder {parent}. Make it first, or choose another place.")
    if path.is_dir() and path.suffix.lower() in ENCODINGS:
        raise BadInput(f"{path}: is a folder. Name a file.")
    if not os.access(parent, os.W_OK):
        raise BadInput(f"{path}: the folder {parent} is not writable. Choose another place.")
    return parent / f".{path.name[:100]}.{os.getpid()}.partial"
