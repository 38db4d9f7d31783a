"""A warm start: a new head that begins with what another has learned, of the same person most usefully."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from likeness.errors import BadInput
from likeness.nn.radiance.head import Head
from likeness.nn.radiance.performer import RadiancePerformer
from likeness.nn.radiance.settings import Settings
from likeness.rig import Rig

LIGHT = "appearance"  # of each training frame: a new clip has others, which begin with their mean
SPACE = "occupancy."  # what is occupied: a new clip finds it anew
BUILT = (
    "conditioning", "features", "space", "speech", "ambient", "warped", "upper", "appearance", "hidden",
    "plane_sizes", "plane_log2_rows", "grid_sizes", "grid_log2_rows",
)  # fmt: skip
"""Settings in which both heads must agree, whatever the method."""


class Beginning(NamedTuple):
    """What a head takes over."""

    known: dict[str, Tensor]
    """Parameters, and what they were measured by."""
    rig: Rig
    """That they were learned with."""

    @property
    def digest(self) -> str:
        """By which a run knows what it began with."""
        found = hashlib.sha256()
        for name, tensor in sorted(self.known.items()):
            found.update(name.encode() + tensor.numpy().tobytes())
        return found.hexdigest()


def beginning(start: RadiancePerformer, config: Settings, preset: str, more: tuple[str, ...] = ()) -> Beginning:
    """From a portrait, which was trained by this `preset`. Raises BadInput where its head is built in another way; `more` are
    settings of the method itself in which both must agree."""
    different = [name for name in (*more, *BUILT) if getattr(start.config, name) != getattr(config, name)]
    if different:
        raise BadInput(
            f"the portrait to start from (preset {preset}) is built in another way: its {', '.join(different)} "
            "differ. Choose the same preset, or start from nothing."
        )
    state = start.head.state_dict().items()
    return Beginning({name: v.detach().clone() for name, v in state if not name.startswith(SPACE)}, start.rig)


def begun_with(begin: Beginning | None) -> dict[str, str]:
    """What the settings of a training run say of it, so that a run is not gone on with from another beginning."""
    return {} if begin is None else {"start": begin.digest}


def take_over(head: Head, known: dict[str, Tensor]) -> None:
    """Set the parameters of a new head to what is known, in which a method has set right what its own clip measures in
    another way."""
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            parameter.copy_(known[name].mean(0) if name == LIGHT else known[name])
