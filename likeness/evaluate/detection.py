"""Landmarks of finished pictures, by the tracker that prepared the clip."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

import numpy as np
from jaxtyping import Float, UInt8

from likeness.errors import BadInput
from likeness.prepare.landmarks import FaceMesh


def detect(name: str, pictures: Iterable[UInt8[np.ndarray, "height width 3"]]) -> tuple[Float[np.ndarray, "time 478 2"], int]:
    """Landmarks in pixels, and in how many pictures there was no face: those repeat the one before.

    Raises BadInput where no picture shows a face; `name` says which row it was.
    """
    with closing(FaceMesh()) as mesh:
        found = [mesh(picture) for picture in pictures]
    missed = sum(f is None for f in found)
    last = next((f for f in found if f is not None), None)
    if last is None:
        raise BadInput(f"no face is found in the pictures of {name!r}: these figures would mean nothing.")
    for t, f in enumerate(found):
        found[t] = last = last if f is None else f
    return np.stack([f for f in found if f is not None]), missed
