"""The settings of `speak`, and the first look at them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from likeness.errors import BadInput

MOST_SEED = (1 << 64) - 1


@dataclass(frozen=True)
class Delivery:
    """How a portrait says something."""

    voice: Literal["auto", "own", "other"] = "auto"
    """Whether the speaker is the person of the portrait. auto: by the sound's likeness to the clip's."""
    amplitude: float = 1.0
    """Factor on the movement of the mouth."""
    projection: float = 0.0
    """How far lips are brought onto what the person was seen to do: 0 not at all, 1 wholly (locally linear embedding)."""
    pose: Literal["clip", "fixed", "orbit"] | str | Path = "clip"
    """Head movement: the portrait's own; none; orbit[:DEGREES[:SECONDS]]; another clip's folder; a .csv, .npy or .json file."""
    smooth: float = 1.0
    """Smoothing of the head movement along time, standard deviation in frames."""
    start: int = 0
    """Frame of the head movement to begin with."""
    eyes: Literal["clip", "blinks"] | float | str | Path = "clip"
    """Eye opening: the clip's; random blinks; 0 closed to 1 open; or a .csv file, a curve or the times of blinks."""
    background: Literal["clip", "transparent"] | str = "clip"
    """Behind the person: the clip's, nothing (for .webm or a folder of PNG), a picture file, or a colour like #20a040."""
    fov: float | None = None
    """Vertical field of view in degrees, at most the clip's: smaller is nearer. None: the clip's."""
    appearance: Literal["mean"] | int = "mean"
    """Light, where a method (radnerf, geneface) knows it: of the N-th frame of its training, from 0; or the mean of all."""
    quick: bool = False
    """Draw faster at some quality, where a method (radnerf, geneface) can: what changes little is worked out once and kept."""
    close_in_silence: bool = True
    """Whether the mouth closes when nobody speaks."""
    blink_seed: int = 0
    """Of the times of the blinks."""
    temperature: float = 0.0
    """Where a portrait's motion comes from a generator: how freely it varies, 0 the likeliest motion, 1 as learned."""
    motion_seed: int = 0
    """Of what varies under --temperature."""

    def check_numbers(self) -> None:
        """Raise BadInput for what no head or camera can do."""
        for name, value, low, high in (
            ("amplitude", self.amplitude, 0, 10),
            ("projection", self.projection, 0, 1),
            ("smooth", self.smooth, 0, 1000),
            ("eyes", self.eyes, 0, 1),
            ("fov", self.fov, 1, 179),
            ("appearance", self.appearance, 0, math.inf),
            ("blink_seed", self.blink_seed, 0, math.inf),
            ("temperature", self.temperature, 0, 10),
            ("motion_seed", self.motion_seed, 0, MOST_SEED),
        ):
            if isinstance(value, float | int) and not low <= value <= high:
                raise BadInput(f"{name} is {value}; it must lie between {low} and {high}.")
