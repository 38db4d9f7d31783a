"""What a portrait costs: the columns of that table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Cost:
    """A column."""

    title: str
    unit: str
    better: Literal["higher", "lower"] | None
    """None: not ranked."""
    digits: int


COSTS: dict[str, Cost] = {
    "training_steps_s": Cost("training, steps", "s", "lower", 0),
    "portrait_mb": Cost("portrait file", "MB", "lower", 1),
    "render_fps": Cost("head", "frames/s", "higher", 1),
    "picture_fps": Cost("whole picture", "frames/s", "higher", 1),
    "p99_ms": Cost("slowest of 100", "ms", "lower", 1),
    "peak_mb": Cost("memory", "MB", None, 0),  # holds what the process loaded for those before it, too
}
