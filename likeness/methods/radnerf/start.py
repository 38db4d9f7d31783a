"""A warm start: a new head that begins with what another has learned, of the same person most usefully."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from likeness.errors import BadInput
from likeness.methods.radnerf.config import Config
from likeness.methods.radnerf.head import Head
from likeness.methods.radnerf.model import Model

LIGHT = "appearance"  # of each training frame: a new clip has others, which begin with their mean


def beginning(start: Model, config: Config) -> dict[str, Tensor]:
    """What a head with these settings takes over. Raises BadInput where the other is built in another way."""
    with torch.device("meta"):
        wanted = _shapes(Head(config, 1))
    shapes = _shapes(start.head)
    different = sorted(name for name in wanted | shapes if wanted.get(name) != shapes.get(name))
    if different or start.config.original != config.original:
        more = f", {len(different) - 3} more" if len(different) > 3 else ""
        raise BadInput(
            f"the portrait to start from is built in another way (preset {start.config.preset} of "
            f"{start.config.original or 'radnerf'}): {', '.join(different[:3])}{more} differ. Choose the same preset, or start "
            "from nothing."
        )
    return {name: p.detach().clone() for name, p in start.head.named_parameters()}


def take_over(head: Head, begin: Mapping[str, Tensor]) -> None:
    """Set the parameters of a new head."""
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            parameter.copy_(begin[name].mean(0) if name == LIGHT else begin[name])


def _shapes(head: Head) -> dict[str, tuple[int, ...]]:
    """Of everything but how many frames there are."""
    return {name: tuple(p.shape[1:] if name == LIGHT else p.shape) for name, p in head.named_parameters()}


def digest(begin: Mapping[str, Tensor]) -> str:
    """By which a run knows what it began with."""
    found = hashlib.sha256()
    for name, tensor in sorted(begin.items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()
