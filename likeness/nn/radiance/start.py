"""A warm start: a new head that begins with what another has learned, of the same person most usefully."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.errors import BadInput
from likeness.methods.radnerf.config import Config
from likeness.methods.radnerf.head import Head
from likeness.methods.radnerf.model import Model
from likeness.rig import LIP_COEFFICIENTS, Rig

LIGHT = "appearance"  # of each training frame: a new clip has others, which begin with their mean
LIPS = "code.0.weight"  # what lip coefficients are first multiplied by, where the rig moves the face
BUILT = (
    "original", "conditioning", "features", "space", "speech", "ambient", "warped", "upper", "appearance",
    "plane_sizes", "plane_log2_rows", "grid_sizes", "grid_log2_rows",
)  # fmt: skip
"""Settings in which both heads must agree."""


class Beginning(NamedTuple):
    """What a head takes over."""

    parameters: dict[str, Tensor]
    rig: Rig
    """That they were learned with."""

    @property
    def digest(self) -> str:
        """By which a run knows what it began with."""
        found = hashlib.sha256()
        for name, tensor in sorted(self.parameters.items()):
            found.update(name.encode() + tensor.numpy().tobytes())
        return found.hexdigest()


def beginning(start: Model, config: Config) -> Beginning:
    """From a portrait. Raises BadInput where its head is built in another way."""
    different = [name for name in BUILT if getattr(start.config, name) != getattr(config, name)]
    if different:
        raise BadInput(
            f"the portrait to start from (preset {start.config.preset}) is built in another way: its {', '.join(different)} "
            "differ. Choose the same preset, or start from nothing."
        )
    return Beginning({name: p.detach().clone() for name, p in start.head.named_parameters()}, start.rig)


def take_over(head: Head, begin: Beginning, rig: Rig) -> None:
    """Set the parameters of a new head, which moves with `rig`."""
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            known = begin.parameters[name]
            if name == LIGHT:
                known = known.mean(0)
            elif name == LIPS and head.config.conditioning == "motion":
                known = known @ between(rig, begin.rig).T
            parameter.copy_(known)


def between(new: Rig, old: Rig) -> Float[Tensor, "lips lips"]:
    """By which a rig's lip coefficients are multiplied, from the right, to become another's, but for what their mean faces
    differ by: two clips of one person have other components, in another order, with other signs."""
    lips = slice(LIP_COEFFICIENTS)
    return new.spread[lips, None] * (new.components @ old.components.T) / old.spread[lips]
