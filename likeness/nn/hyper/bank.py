"""Pictures of a person from which new faces begin."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Float
from torch import Tensor

from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.mouth import MOUTH, Person
from likeness.nn.hyper.warp import brought, control


class Bank:
    """Crops as large as the networks' pictures, with the face mesh in each, 0..1 across it."""

    def __init__(
        self,
        net: LipNet,
        images: list[Float[np.ndarray, "size size 3"]],
        points: Float[Tensor, "bank 478 2"],
        person: Person,
    ) -> None:
        self.net, self.images, self.points, self.person = net, images, points, person

    @cached_property
    def looks(self) -> tuple[Float[Tensor, "bank turns"], Float[Tensor, "bank mouth 2"]]:
        """How their heads are turned and where their mouths are, as `mouth.choose` wants it."""
        return self.net.mouth.turned(self.points, self.person), self.points[:, list(MOUTH)]

    def picture(self, number: int, wanted: Float[Tensor, "control 2"]) -> Float[np.ndarray, "size size 3"]:
        """One of them, with skull and mouth where they are wanted, where the settings say so."""
        image = self.images[number]
        return brought(image, control(self.points[number]), wanted) if self.net.settings.warped else image
