"""Landmarks of finished pictures, by the tracker that prepared the clip."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from likeness.errors import BadInput
from likeness.evaluate.metrics import opening
from likeness.prepare.landmarks import FaceMesh

MOST_MISSED = 0.05
"""Share of a row's pictures: where more show no face, figures of landmarks would be of the better ones alone."""


@dataclass(frozen=True)
class Landmarks:
    """Of neighbouring pictures."""

    pixels: Float[np.ndarray, "time 478 2"]
    """Where no face was found, those of the picture before."""
    found: Bool[np.ndarray, " time"]

    def __getitem__(self, at: slice) -> Landmarks:
        return Landmarks(self.pixels[at], self.found[at])

    @property
    def missed(self) -> int:
        """In how many pictures no face was found."""
        return int((~self.found).sum())

    @property
    def enough(self) -> bool:
        """Whether figures of them mean something."""
        return self.missed <= MOST_MISSED * len(self.found)

    @property
    def opening(self) -> list[float | None]:
        """Of the lips, pixels; None where no face was found."""
        return [float(value) if found else None for value, found in zip(opening(self.pixels), self.found)]


def detect(name: str, pictures: Iterable[UInt8[np.ndarray, "height width 3"]]) -> Landmarks:
    """Landmarks in pixels. Raises BadInput where no picture shows a face; `name` says which row it was."""
    with closing(FaceMesh()) as mesh:
        each = [mesh(picture) for picture in pictures]
    last = next((its for its in each if its is not None), None)
    if last is None:
        raise BadInput(f"no face is found in the pictures of {name!r}: these figures would mean nothing.")
    held = []
    for its in each:
        last = last if its is None else its
        held.append(last)
    return Landmarks(np.stack(held), np.array([its is not None for its in each]))
