"""Whatever makes the faces: what it is given and what it gives back. No network is known here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from likeness.audio import Hearing

SIZES = (128, 512)
"""Smallest and largest side of a crop, pixels."""


@dataclass(frozen=True)
class Crops:
    """Faces cut out upright, and where their points are."""

    images: Float[Tensor, "n size size 3"]
    """RGB, 0 .. 1."""
    points: Float[Tensor, "n 478 2"]
    """The face mesh in pixels of the crop (0, 0 is its corner)."""


@dataclass(frozen=True)
class Said:
    """What is said at n frames of a video, whatever its rate."""

    features: Float[Tensor, "n rows dim"]
    """One window a frame, as the `Hearing` has it: rows of 10 ms, the frame begins after `past` x 4 of them."""
    mean: Float[Tensor, " dim"]
    """Over the whole sound, while somebody speaks."""
    usual: Float[Tensor, "some rows dim"]
    """Windows out of the whole sound, while somebody speaks; the same tensor at every call."""
    activity: Float[Tensor, " n"]
    """1 where somebody speaks, 0 in silence, gliding between."""


@runtime_checkable
class Lips(Protocol):
    """Gives faces new lips."""

    size: int
    """Side of its crops in pixels, 128 to 512."""
    hearing: Hearing
    references: int
    """How many crops of the person it wants to see, chosen from the first minute by how far the mouth is open."""

    def __call__(self, faces: Crops, references: Crops, said: Said, state: Any) -> tuple[Float[Tensor, "n size size 3"], Any]:
        """The same faces with the lips that go with the sound, RGB 0 .. 1, and the state to pass on.

        The frames follow each other in the result. State is None at the first frame and wherever the picture does not go
        on: after a cut, a jump, or frames without the face. `references` come sorted by opening, widest last.
        """
        ...
