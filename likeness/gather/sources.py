"""Which videos a corpus is made of, and whose they are.

The speaker of a video is, in this order: what the table says (`--speakers`); the first folder below the one that was named
(`pretrain/SPEAKER/00001.mp4` for `likeness corpus pretrain/`); the file's own name without the number at its end
(`ann_clip1.mp4`, `ann-02.mp4`: ann).
"""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from likeness.errors import BadInput

SUFFIXES = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"}
NUMBER = re.compile(r"(?:[ _.-]+(?:clip|part|take|video|scene|utt)?[ _.-]*\d+)+$", re.IGNORECASE)

SpeakerOf = Callable[[str, str], str]
"""From a video's path and the name that its place gives."""


@dataclass(frozen=True)
class Source:
    """A video to prepare."""

    video: str
    """Absolute path."""
    speaker: str

    @property
    def id(self) -> str:
        """Stands for the video by its path: 16 letters, as good as random."""
        return hashlib.sha256(self.video.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def find(paths: Sequence[str | os.PathLike], speaker_of: SpeakerOf) -> Iterator[Source]:
    """The videos named and those in the folders named, each once. Raises BadInput for what is not there, or holds none."""
    known: set[str] = set()
    for path in map(Path, paths):
        root = Path(os.path.abspath(path))
        if not root.exists():
            raise BadInput(f"{path}: no such file or folder. Name videos, and folders of videos.")
        found = False
        for video, name in _below(root) if root.is_dir() else [(str(root), own_name(root))]:
            found = True
            if video not in known:
                known.add(video)
                yield Source(video, speaker_of(video, name))
        if not found:
            raise BadInput(f"{path}: no video in this folder or below it ({' '.join(sorted(SUFFIXES))}). Name another one.")


def _below(root: Path) -> Iterator[tuple[str, str]]:
    """Videos in and below a folder, and the speaker's name by place."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        inside = os.path.relpath(folder, root).split(os.sep)[0]
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield os.path.join(folder, name), own_name(Path(name)) if inside == "." else inside


def own_name(video: Path) -> str:
    """The speaker by the file's name: without what numbers a clip at its end."""
    return NUMBER.sub("", video.stem) or video.stem


def by_place(video: str, name: str) -> str:
    """The rule without a table."""
    return name


def read_speakers(path: str | os.PathLike) -> SpeakerOf:
    """A table of speakers: lines `video,speaker`, where video is a file's name, the end of its path (`ann/01.mp4`), or
    either with the wildcards * and ? (`grid/*`). The first line that fits counts; a line `video,speaker` is a heading.

    Raises BadInput where it cannot be read or a line has no two entries. A video that no line fits keeps its name by place.
    """
    path = Path(path)
    exact: dict[str, str] = {}
    patterns: list[tuple[str, str]] = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [(n, [cell.strip() for cell in row]) for n, row in enumerate(csv.reader(file), 1) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read ({error}). --speakers takes a table of lines `video,speaker`.") from error
    for number, row in lines:
        if row == ["video", "speaker"]:
            continue
        if len(row) != 2 or not all(row):
            raise BadInput(f"{path}, line {number}: has to be `video,speaker`, is {','.join(row)!r}.")
        if any(mark in row[0] for mark in "*?["):
            patterns.append((row[0], row[1]))
        else:
            exact.setdefault(row[0], row[1])

    def speaker_of(video: str, name: str) -> str:
        ends = _ends(video)
        for end in ends:
            if end in exact:
                return exact[end]
        for pattern, speaker in patterns:
            if any(fnmatch.fnmatchcase(end, pattern) for end in ends):
                return speaker
        return name

    return speaker_of


def _ends(video: str) -> list[str]:
    """The file's name, that with its folder, and so on up to the whole path."""
    parts = Path(video).parts
    return ["/".join(parts[i:]) for i in range(len(parts) - 1, 0, -1)] + [video]
