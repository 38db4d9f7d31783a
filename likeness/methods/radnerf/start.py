"""What RAD-NeRF's head hears lips by, of another clip's rig: see `likeness.nn.radiance.start`."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from likeness.methods.radnerf.config import Config
from likeness.methods.radnerf.head import Head
from likeness.methods.radnerf.model import Model
from likeness.nn.radiance import start
from likeness.nn.radiance.start import Beginning
from likeness.rig import LIP_COEFFICIENTS, Rig

LIPS = "code.0.weight"  # what lip coefficients are first multiplied by, where the rig moves the face


def beginning(portrait: Model, config: Config) -> Beginning:
    """From a portrait. Raises BadInput where its head is built in another way."""
    return start.beginning(portrait, config, portrait.config.preset, ("original",))


def take_over(head: Head, begin: Beginning, rig: Rig) -> None:
    """Set the parameters of a new head, which moves with `rig`."""
    own = {}
    if head.config.conditioning == "motion":
        own = {LIPS: begin.known[LIPS] @ between(rig, begin.rig).T}
    start.take_over(head, begin.known | own)


def between(new: Rig, old: Rig) -> Float[Tensor, "lips lips"]:
    """By which a rig's lip coefficients are multiplied, from the right, to become another's, but for what their mean faces
    differ by: two clips of one person have other components, in another order, with other signs."""
    lips = slice(LIP_COEFFICIENTS)
    return new.spread[lips, None] * (new.components @ old.components.T) / old.spread[lips]
