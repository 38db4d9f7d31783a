"""What participants are sent: copies of the videos that hold picture and sound, and nothing that tells where they are from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av
import av.error
from av.bitstream import BitStreamFilterContext

from likeness.errors import BadInput
from likeness.files import unwritable
from likeness.study.videos import Videos
from likeness.video.container import open_input, picture_stream, reason

KEPT = ".served"
# bitexact: no date, no program; faststart: the index comes first, so that a video plays before all of it is there
CONTAINER = {"movflags": "+faststart", "fflags": "+bitexact"}
NO_NOTES = "filter_units=remove_types=6"  # H.264's supplemental units (ITU-T H.264, 7.4.1): where encoders write their settings


def copies(videos: Videos) -> dict[tuple[str, str], Path]:
    """A copy of every video, by (method, name), in FOLDER/.served; one that is there already is used again.

    Picture and sound are not encoded again; tags, dates, names of programs, chapters and further tracks stay behind. Raises
    BadInput for a video that is damaged and a folder that cannot be written, Exhausted on a full disk.
    """
    kept = videos.folder / KEPT
    try:
        kept.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(kept, error) from error
    made = {}
    for each in videos:
        made[each] = kept / f"{videos.fingerprints[each]}.mp4"
        if not made[each].is_file():
            _copy(videos.path(*each), made[each])
    return made


def _copy(source: Path, out: Path) -> None:
    partial = out.with_suffix(".partial")  # the study's lock is held: what lies there is of a server that was killed
    try:
        output = av.open(str(partial), "w", format="mp4", options=CONTAINER)
    except (av.error.FFmpegError, OSError) as error:
        raise unwritable(out, error) from error
    try:
        with output, open_input(source) as container:
            _copy_tracks(source, container, output)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, out)
    except (av.error.FFmpegError, OSError) as error:
        raise unwritable(out, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _copy_tracks(source: Path, container: Any, output: Any) -> None:
    picture: Any = picture_stream(container)
    sound = container.streams.audio[0]
    to = {stream: output.add_stream_from_template(stream) for stream in (picture, sound)}
    for track in to.values():
        track.metadata.clear()
    notes = BitStreamFilterContext(NO_NOTES, picture, to[picture]) if picture.codec_context.name == "h264" else None
    pictures = 0
    for packet in _packets(source, container, picture, sound):
        stream = packet.stream
        pictures += stream is picture
        for part in notes.filter(packet) if notes and stream is picture else [packet]:
            part.stream = to[stream]
            output.mux(part)
    for part in notes.filter(None) if notes else []:
        part.stream = to[picture]
        output.mux(part)
    if pictures < picture.frames:
        raise _damaged(source, f"{pictures} of {picture.frames} pictures are there")


def _packets(source: Path, container: Any, *streams: Any) -> Any:
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError) as error:
            raise _damaged(source, reason(error)) from error
        if packet is None:
            return
        if packet.is_corrupt:
            raise _damaged(source, f"a part of {packet.size} bytes is cut short")
        if packet.dts is not None:  # the empty ones at the end have none
            yield packet


def _damaged(source: Path, why: str) -> BadInput:
    return BadInput(f"{source}: damaged, or cut short ({why}). Copy or export it again.")
