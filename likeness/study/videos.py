"""The videos of a study: FOLDER/METHOD/NAME.mp4, the same NAMEs for every METHOD."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from likeness.errors import BadInput
from likeness.video import Source, probe
from likeness.video.container import open_input, picture_stream

# what every current browser plays from an .mp4
CODECS = ("h264", "vp9", "av1")
LAYOUTS = ("yuv420p", "yuvj420p")
SOUNDS = ("aac", "mp3", "mp3float", "opus", "libopus", "flac")
AS_PLAYED = "ffmpeg -i OLD.mp4 -pix_fmt yuv420p NEW.mp4"
UNEQUAL_S = 0.1
LAYOUT = "A study needs FOLDER/METHOD/NAME.mp4: a folder for each method, with videos of the same names in each."


@dataclass(frozen=True)
class Videos:
    """Which methods are compared, on which videos; both sorted by name."""

    folder: Path
    methods: tuple[str, ...]
    names: tuple[str, ...]

    @staticmethod
    def open(folder: str | os.PathLike) -> Videos:
        """List what is in `folder`. Raises BadInput, naming every file that is missing, when it is no study."""
        folder = Path(folder)
        if not folder.is_dir():
            raise BadInput(f"{folder}: {'is a file' if folder.exists() else 'no such folder'}. {LAYOUT}")
        found = {each.name: _names(each) for each in sorted(folder.iterdir()) if _is_method(each)}
        if len(found) < 2:
            held = f"only {next(iter(found))}/" if found else "no folder of videos"
            raise BadInput(f"{folder}: holds {held}, but a study compares at least two methods. {LAYOUT}")
        names = sorted(set().union(*found.values()))
        if not names:
            raise BadInput(f"{folder}: no .mp4 file in {', '.join(f'{m}/' for m in found)}. {LAYOUT}")
        lacking = [(method, [n for n in names if n not in has]) for method, has in found.items()]
        told = [f"{method}/ lacks {', '.join(f'{n}.mp4' for n in missing)}" for method, missing in lacking if missing]
        if told:
            raise BadInput(f"{folder}: not every method has every video: {'; '.join(told)}. Add them, or remove the rest.")
        return Videos(folder, tuple(found), tuple(names))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Every (method, name)."""
        return ((method, name) for method in self.methods for name in self.names)

    def path(self, method: str, name: str) -> Path:
        """Where a video lies."""
        return self.folder / method / f"{name}.mp4"

    @cached_property
    def sources(self) -> dict[tuple[str, str], Source]:
        """What every video is, by (method, name). Raises BadInput for one that browsers do not play, or without sound."""
        return {each: _playable(self.path(*each)) for each in self}

    @cached_property
    def fingerprints(self) -> dict[tuple[str, str], str]:
        """SHA-256 of every video, by (method, name)."""
        return {each: _sha256(self.path(*each)) for each in self}

    def notes(self) -> list[str]:
        """What participants could tell methods apart by, beside what is to be judged. Raises BadInput as `sources` does."""
        return [note for name in self.names for note in _differences(name, {m: self.sources[m, name] for m in self.methods})]


def _is_method(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _names(method: Path) -> set[str]:
    return {file.stem for file in method.iterdir() if file.suffix == ".mp4" and not file.name.startswith(".")}


def _playable(path: Path) -> Source:
    source = probe(path)
    with open_input(path) as container:
        stream = picture_stream(container)
        layout = stream.codec_context.pix_fmt if stream else None
        sound = container.streams.audio[0].codec_context.name if container.streams.audio else None
    if source.codec not in CODECS:
        raise BadInput(f"{path}: browsers do not play {source.codec}. Encode it as H.264 ({AS_PLAYED}).")
    if layout not in LAYOUTS:
        raise BadInput(f"{path}: not every browser plays pictures stored as {layout}. Encode it as yuv420p ({AS_PLAYED}).")
    if sound is None:
        raise BadInput(f"{path}: has no sound, but participants are asked whether lips and speech match. Add the speech.")
    if sound not in SOUNDS:
        raise BadInput(f"{path}: not every browser plays sound stored as {sound}. Encode it as AAC ({AS_PLAYED}).")
    return source


def _differences(name: str, sources: dict[str, Source]) -> list[str]:
    """What tells the methods' videos of one name apart beside what is to be judged."""
    sizes = {m: f"{s.width}x{s.height}" for m, s in sources.items()}
    lengths, rates = [s.duration_s for s in sources.values()], [s.fps for s in sources.values()]
    notes = []
    for what, differ, shown in (
        ("sizes", len(set(sizes.values())) > 1, sizes),
        ("lengths", max(lengths) - min(lengths) > UNEQUAL_S, {m: f"{s.duration_s:.2f} s" for m, s in sources.items()}),
        ("frame rates", max(rates) - min(rates) > 0.01, {m: f"{s.fps:.2f} fps" for m, s in sources.items()}),
    ):
        if differ:
            listed = ", ".join(f"{value} {method}" for method, value in shown.items())
            notes.append(f"{name}.mp4: {what} differ, by which participants can tell methods apart: {listed}")
    return notes


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
