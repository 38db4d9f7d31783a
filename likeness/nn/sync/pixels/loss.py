"""The sync expert on pixels as a loss for made faces (Prajwal et al. 2020; in HyperLips .03 of the sum, section 3.4).

What experts are known for holds here, too: made lips can please one more than real ones do. It wants a small weight, later
than the first steps, and another figure to choose a network by.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from likeness.errors import BadInput
from likeness.nn.sync.pixels.expert import FRAMES, Expert


class SyncLoss:
    """How little made faces seem to belong to their sound: -log of the probability that they do, mean over all windows.

    `features` are the names of the speech features that it asks for, `around` the frames of them beyond both ends, `id`
    stands for the expert's file.
    """

    around = 0

    def __init__(self, expert: Expert) -> None:
        self.expert = expert.freeze()
        self.features = expert.settings.features
        self.id = expert.id

    def __call__(
        self,
        made: Float[Tensor, "batch time 3 128 128"],
        features: Float[Tensor, "batch rows speech"],
        faces: Float[Tensor, "batch time 4"] | None = None,
    ) -> Float[Tensor, ""]:
        """made: squares as `dub` cuts them, RGB 0 .. 1, stretches of 5 frames or more. features: not normalised, side by side
        in the order of `features`; rows 4t .. 4t+3 belong to frame t. faces: their boxes, which only a published expert
        needs: the squares say enough. Gradients reach what the expert looks at, the rows from `expert.TOP` on. Raises
        BadInput for too few frames, or another number of rows."""
        time, rows = made.shape[1], features.shape[1]
        if time < FRAMES or rows != 4 * time:
            raise BadInput(
                f"a sync expert hears {FRAMES} frames or more with 4 rows of sound each, not {time} frames with {rows} rows."
            )
        expert = self.expert
        alike = (expert.lips(expert.look(made)) * expert.sound(expert.hear(features))).sum(-1)
        return expert.surprise(alike, alike.new_ones(alike.shape)).mean()
