"""Curves in text files: CSV with a header, one row a moment, what lies between two rows smoothly filled in.

The first line names the columns, in any order: `frame` (from 0, 25 a second) or `time` (seconds), rising from row to row,
and values. Columns are parted by commas, semicolons or tabs; blank lines and what follows a # are passed over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from likeness.errors import BadInput

MOMENTS = ("frame", "time")
LONGEST_S = 24 * 3600.0


@dataclass(frozen=True)
class Curve:
    """Values over time."""

    frames: Float[np.ndarray, " rows"]
    """When, in frames; not always whole ones."""
    values: Float[np.ndarray, "rows columns"]

    def __len__(self) -> int:
        """Frames from 0 to the last row."""
        return int(self.frames[-1]) + 1

    def at(self, frames: Float[np.ndarray, " time"]) -> Float[np.ndarray, "time columns"]:
        """Between rows without a bend and never beyond their values (Fritsch and Carlson 1980); before the first row and
        after the last as there."""
        frames = np.clip(frames, self.frames[0], self.frames[-1])
        if len(self.frames) == 1:
            return np.repeat(self.values, len(frames), axis=0)
        return PchipInterpolator(self.frames, self.values)(frames)


def read_curve(path: Path, limits: dict[str, tuple[float, float]], fps: float) -> tuple[Curve, list[str]]:
    """A curve, and which of the columns that `limits` (lowest, highest) knows are in it, in that order.

    Raises BadInput, with line and column, for what is no number or beyond its limits, moments that do not rise, and
    columns that nobody knows.
    """
    (_, names), *rows = _rows(path)
    moments = [name for name in names if name in MOMENTS]
    unknown = [name for name in names if name not in (*MOMENTS, *limits)]
    if unknown or len(moments) != 1 or len(set(names)) < len(names):
        what = f"unknown column {unknown[0]!r}" if unknown else "it needs one column of moments, and each column once"
        raise BadInput(f"{path}: line 1: {what}. Columns: frame or time, and {', '.join(limits)}.")
    if not rows:
        raise BadInput(f"{path}: no row follows the header.")
    limits = {moments[0]: (0.0, LONGEST_S * (fps if moments[0] == "frame" else 1)), **limits}
    table = np.array([[_number(path, line, name, word, limits) for name, word in zip(names, row)] for line, row in rows])
    frames = table[:, names.index(moments[0])] * (1.0 if moments[0] == "frame" else fps)
    back = np.flatnonzero(np.diff(frames) <= 0)
    if len(back):
        raise BadInput(f"{path}: line {rows[back[0] + 1][0]}, column {moments[0]}: not later than the row before.")
    found = [name for name in limits if name in names and name not in MOMENTS]
    return Curve(frames, table[:, [names.index(name) for name in found]]), found


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line numbers and words, the header first."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as text ({error}). It must be a CSV file.") from error
    held = [(n, text) for n, line in enumerate(lines, 1) if (text := line.split("#")[0].strip())]
    if not held:
        raise BadInput(f"{path}: is empty. Its first line must name its columns, such as frame,yaw,pitch.")
    parting = max(",;\t", key=held[0][1].count)
    rows = [(n, [word.strip() for word in text.split(parting)]) for n, text in held]
    width = len(rows[0][1])
    for n, words in rows:
        if len(words) != width:
            raise BadInput(f"{path}: line {n}: {len(words)} values under {width} columns.")
    return [(rows[0][0], [name.lower() for name in rows[0][1]]), *rows[1:]]


def _number(path: Path, line: int, name: str, word: str, limits: dict[str, tuple[float, float]]) -> float:
    low, high = limits[name]
    try:
        value = float(word)
    except ValueError:
        raise BadInput(f"{path}: line {line}, column {name}: {word!r} is no number.") from None
    if not (math.isfinite(value) and low <= value <= high):
        raise BadInput(f"{path}: line {line}, column {name}: {word} is not between {low:g} and {high:g}.")
    return value
