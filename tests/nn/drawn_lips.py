"""Pages of an album without files: drawn mouths that open as what is said asks, each person's in other colours and places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from likeness.corpus import split_of
from likeness.mesh import INNER_LIPS, OUTER_LIPS
from likeness.phones import PHONES
from likeness.prepare.sound import OPENING
from tests import talkers


@dataclass(frozen=True)
class Drawn:
    """As a `likeness.album.Page`."""

    speaker: str
    key: str
    frames: int
    seed: int
    late: int = 0
    """Frames by which the lips come after the sound."""

    def __len__(self) -> int:
        return self.frames

    @property
    def split(self) -> str:
        return split_of(self.speaker)

    @cached_property
    def said(self) -> np.ndarray:
        return talkers.said(self.frames, self.seed)

    @cached_property
    def opening(self) -> np.ndarray:
        """0 to 1, of every frame."""
        rows = (np.exp(self.said) @ np.array([OPENING[p] for p in PHONES])).reshape(-1, 4).mean(1)
        return np.roll(np.convolve(rows, [0.25, 0.5, 0.25], "same"), self.late).clip(0, 1)

    def features(self, name: str) -> np.ndarray:
        return self.said if name == "phones" else talkers.mel(self.said)

    @property
    def middle(self) -> np.ndarray:
        """Of the mouth, 0 .. 1 of the square."""
        return np.array([0.5, 0.66]) + 0.02 * np.random.default_rng(sum(self.speaker.encode())).normal(size=2)

    @cached_property
    def points(self) -> np.ndarray:
        points = np.zeros((self.frames, 478, 2), np.float32)
        for ring, thick in ((OUTER_LIPS, 0.03), (INNER_LIPS, 0.0)):
            angle = np.pi - 2 * np.pi * np.arange(len(ring)) / len(ring)
            points[:, ring, 0] = self.middle[0] + (0.15 + thick) * np.cos(angle)
            points[:, ring, 1] = self.middle[1] + (0.1 * self.opening[:, None] + thick) * np.sin(angle)
        return points

    @cached_property
    def paints(self) -> np.ndarray:
        """Skin, lips, the mouth's inside."""
        random = np.random.default_rng([sum(self.speaker.encode()), 1])
        return np.stack([random.uniform(0.4, 0.9, 3), random.uniform(0.3, 0.6, 3), np.full(3, 0.05)]).astype(np.float32)

    def crop(self, t: int, size: int, jitter: Any = None) -> tuple[np.ndarray, np.ndarray]:
        x, y = ((np.arange(size, dtype=np.float32) + 0.5) / size - middle for middle in self.middle)
        inner = (x / 0.15) ** 2 + (y[:, None] / (0.1 * self.opening[t] + 0.005)) ** 2 < 1
        outer = (x / 0.18) ** 2 + (y[:, None] / (0.1 * self.opening[t] + 0.04)) ** 2 < 1
        grain = np.random.default_rng([self.seed, t]).standard_normal((size, size, 1), np.float32)
        return (self.paints[outer + inner.astype(int)] + 0.02 * grain).clip(0, 1), self.points[t] * size


def pages(frames: int = 200) -> list[Drawn]:
    """One of each of the people of `talkers`."""
    return [Drawn(person, f"{person}-video-0000000", frames, 900 + n) for n, person in enumerate(talkers.PEOPLE)]
