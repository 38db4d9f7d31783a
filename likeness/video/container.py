"""Opening and decoding media files: what is wrong with a file is said here, once, in words a person can act on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import av.stream

from likeness.errors import BadInput

STILLS = ("image2", "gif", "apng", "tty", "ico", "svg", "webp_anim", "txd", "alias_pix", "brender_pix")
LISTS = ("hls", "concat", "dash", "sdp", "applehttp", "imf")  # would make us open other files than the one named


def open_input(path: str | os.PathLike) -> av.container.InputContainer:
    """Open a media file for reading. Raises BadInput, in well under a second, for what is not one."""
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path}: a folder, not a video or sound file. Name one file.")
    if not path.exists():
        raise BadInput(f"{path}: no such file.")
    if path.is_file() and path.stat().st_size == 0:
        raise BadInput(f"{path}: the file is empty (0 bytes). Copy or download it again.")
    try:
        # an absolute path cannot be mistaken for a protocol; only local files may be opened whatever the file says
        container = av.open(str(path.absolute()), metadata_errors="replace", container_options={"protocol_whitelist": "file"})
    except PermissionError as error:
        raise BadInput(f"{path}: no permission to read it.") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise BadInput(
            f"{path}: not a video or sound file that can be read ({reason(error)}). "
            "If it should be one, it is damaged or was cut short before its index was written: copy or export it again."
        ) from error
    name = container.format.name
    if name in STILLS or name in LISTS or name.endswith("_pipe"):
        container.close()
        kind = "a playlist" if name in LISTS else "a picture or text"
        raise BadInput(f"{path}: {kind} ({name}), not a video or sound file.")
    return container


def reason(error: BaseException) -> str:
    """The cause alone, without number and file name."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def picture_stream(container: av.container.InputContainer) -> Any | None:
    """The first moving-picture track; the cover of a song is none."""
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if not s.disposition & cover), None)


def decode(container: av.container.InputContainer, stream: Any, problems: list[str]) -> Iterator[Any]:
    """Every frame of `stream` that can be decoded. What cannot is skipped and noted in `problems`, once."""
    damaged = 0
    packets = container.demux(stream)
    context = stream.codec_context
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError) as error:  # the file ends in the middle of something
            problems.append(f"reading stopped early ({reason(error)})")
            packet = None
        try:
            frames = context.decode(packet) if packet is None or packet.size else []
        except av.error.EOFError:
            frames = []
        except (av.error.FFmpegError, ValueError):
            damaged += 1
            frames = []
        for frame in frames:
            if not frame.time_base:  # frames flushed out at the end have none
                frame.time_base = stream.time_base
            yield frame
        if packet is None:
            break
    if damaged:
        problems.append(f"{damaged} damaged packets were skipped")
