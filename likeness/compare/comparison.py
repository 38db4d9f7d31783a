"""What a comparison found: entries, failures, and where it was measured."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from likeness.compare.entries import Entry, Failure
from likeness.compare.players import Sound
from likeness.compare.portraits import Settings
from likeness.compare.tables import Line, compared, marked, spoken_lines
from likeness.errors import LikenessError
from likeness.evaluate.catalogue import COLUMNS
from likeness.evaluate.figures import plain

FORMAT = "likeness-comparison"


@dataclass(frozen=True)
class Comparison:
    """What `compare` found and wrote to `folder`: report.html, report.json, tables as CSV and TeX, portraits/, videos/."""

    folder: Path
    clip: str
    """Name of the clip's folder."""
    frames: int
    """Held out."""
    settings: Settings
    entries: list[Entry]
    failures: list[Failure]
    provenance: dict[str, str | int | float | None]
    sounds: list[Sound]
    real_film: Path | None = None
    seconds: float = 0.0
    """That all of it took."""
    lines: list[Line] = field(init=False)
    """The table: each entry by sound, then what it is read against; those that can be ranked with one another together."""
    spoken: dict[str, list[Line]] = field(init=False)
    """The tables of other sounds by their keys, likewise; empty where no entry has said them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", compared(self.entries))
        tables = {sound.key: spoken_lines(self.entries, sound.row) for sound in self.sounds if sound.file is not None}
        object.__setattr__(self, "spoken", {key: lines for key, lines in tables.items() if lines})

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"

    @property
    def marks(self) -> dict[str, dict[str, str]]:
        """By column: "best" and "second" by name."""
        return _by_name(self.lines)

    def as_json(self) -> dict[str, Any]:
        """Everything but pictures. What is no number (a correlation with nothing) is null."""
        return plain(
            {
                "format": FORMAT,
                "version": 1,
                "clip": self.clip,
                "frames": self.frames,
                "settings": asdict(self.settings),
                "seconds": round(self.seconds, 1),
                "provenance": self.provenance,
                "sounds": [{"key": sound.key, "title": sound.title} for sound in self.sounds],
                "marks": self.marks,
                "speech_marks": {key: _by_name(lines) for key, lines in self.spoken.items()},
                "entries": [entry.as_json() for entry in self.entries],
                "failures": [failure.as_json() for failure in self.failures],
            }
        )

    def must_be_whole(self) -> None:
        """Raise what went wrong, if anything did: the first failure's kind of error."""
        if not self.failures:
            return
        first = self.failures[0]
        if not isinstance(first.error, LikenessError):
            raise first.error
        others = f" (and {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
        raise type(first.error)(f"{first.name}{others}: {first.text} What was made is in {self.report}.") from first.error


def _by_name(lines: list[Line]) -> dict[str, dict[str, str]]:
    """By column: which mark by name. Two are "best" only where they are not ranked with each other, or share the place."""
    return {
        column: {line.name: mark for line, mark in zip(lines, found) if mark is not None}
        for column, found in marked(lines, COLUMNS).items()
    }


def is_ours(path: Path) -> bool:
    """Whether a report.json is a comparison's."""
    try:
        held = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(held, dict) and held.get("format") == FORMAT
