"""The videos of a study: FOLDER/METHOD/NAME.mp4, the same NAMEs for every METHOD."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from likeness.errors import BadInput
from likeness.video import Source, probe

PLAYED = ("h264", "vp9", "av1")  # what every current browser plays from an .mp4
UNEQUAL_S = 0.1
SHORTEST = 3  # letters; shorter names occur in a file's tables by chance
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

    def check(self) -> list[str]:
        """Open every video; returns notes on what participants could tell methods apart by.

        Raises BadInput for a video that browsers do not play, or that names a method or a video in its metadata.
        """
        sources = {(method, name): _playable(self.path(method, name)) for method, name in self}
        for method, name in self:
            self._must_be_blind(self.path(method, name))
        return [note for name in self.names for note in _differences(name, {m: sources[m, name] for m in self.methods})]

    def _must_be_blind(self, path: Path) -> None:
        words = "".join(f"{run}\n" for run in _texts(path))
        for name in (*self.methods, *self.names):
            if len(name) >= SHORTEST and re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", words, re.IGNORECASE):
                raise BadInput(
                    f"{path}: its metadata names “{name}”, which a participant could read. Copy it without metadata "
                    "(ffmpeg -i OLD.mp4 -map_metadata -1 -c copy NEW.mp4)."
                )

    def fingerprints(self) -> dict[tuple[str, str], str]:
        """SHA-256 of every video, by (method, name)."""
        return {(method, name): _sha256(self.path(method, name)) for method, name in self}


def _is_method(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _names(method: Path) -> set[str]:
    return {file.stem for file in method.iterdir() if file.suffix == ".mp4" and not file.name.startswith(".")}


def _playable(path: Path) -> Source:
    source = probe(path)
    if source.codec not in PLAYED:
        raise BadInput(f"{path}: browsers do not play {source.codec}. Encode it as H.264 (ffmpeg -i OLD.mp4 NEW.mp4).")
    return source


def _differences(name: str, sources: dict[str, Source]) -> list[str]:
    """What tells the methods' videos of one name apart beside what is to be judged."""
    notes = []
    for what, shown in (
        ("sizes", {m: f"{s.width}x{s.height}" for m, s in sources.items()}),
        ("lengths", {m: f"{round(s.duration_s / UNEQUAL_S) * UNEQUAL_S:.1f} s" for m, s in sources.items()}),
        ("sound", {m: "with" if s.has_sound else "without" for m, s in sources.items()}),
    ):
        if len(set(shown.values())) > 1:
            listed = ", ".join(f"{value} {method}" for method, value in shown.items())
            notes.append(f"{name}.mp4: {what} differ, by which participants can tell methods apart: {listed}")
    return notes


def _texts(path: Path) -> list[str]:
    """Readable text in an MP4 file outside its media data: titles, comments, handler names, and what any box may hold.

    Raises BadInput where a box ends beyond the file.
    """
    texts = []
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        at = 0
        while at + 8 <= end:
            file.seek(at)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            size = int.from_bytes(head[8:16], "big") if size == 1 else size or end - at  # ISO/IEC 14496-12, 4.2
            if size < 8 or at + size > end:
                raise BadInput(f"{path}: damaged, or cut short after {end} bytes. Copy or export it again.")
            if head[4:8] != b"mdat":
                file.seek(at)
                text = file.read(size).decode("utf-8", "replace")
                texts += re.findall(rf"[^\x00-\x1f\x7f\ufffd]{{{SHORTEST},}}", text)
            at += size
    return texts


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
