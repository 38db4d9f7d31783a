"""What a base face is made to: the sound of each frame, and where it is known, how the mouth is to be shaped."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Cues(NamedTuple):
    """Of frames in batches; what settings leave out is None."""

    sound: Float[Tensor, "batch time columns 20"]
    """What `hearing.normalised` gives; zeros where nothing is known of the sound, only of the shape."""
    shape: Float[Tensor, "batch time shape"] | None = None
    """The mouth's shape (`mouth.Mouth.shape`)."""
    sketch: Float[Tensor, "batch time guides 128 128"] | None = None
    """Where lips and jaw are to be (`sketch.drawn`)."""
