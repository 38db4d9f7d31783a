"""What becomes of lips between whatever moves them and the picture: one chain for every method and source.

    amplitude     round the mouth at rest, by the source itself (`Voice`, `Speaker`)
    smoothing     along time, a Gaussian of some frames; only where a source asks for it, since it has to hear farther ahead
    projection    onto what the person was seen to do, as far as `Delivery.projection` says
    clamp         to the 0.3 and 99.7 percentiles of training
    silence       the gate of `likeness.audio` closes the mouth to its rest

Blinks are no part of it: lips and eyes are apart in the rig, and `Delivery.eyes` says what opens and closes them.

Every step takes each frame by itself but smoothing, which takes REACH standard deviations on both sides out of a longer
stretch: so chunks do not show.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.nn.adaptation.projection import Manifold
from likeness.rig import LIP_COEFFICIENTS, Rig

REACH = 3.0  # standard deviations


def radius(sigma: float) -> int:
    """Frames on both sides that smoothing needs."""
    return math.ceil(REACH * sigma)


def smoothed(lips: Float[Tensor, "stretch lips"], sigma: float) -> Float[Tensor, "time lips"]:
    """Along time alone, each coefficient by itself; of `radius` + T + `radius` frames the T in the middle."""
    reach = radius(sigma)
    if not reach:
        return lips
    place = torch.arange(-reach, reach + 1, dtype=lips.dtype)
    weight = torch.exp(-0.5 * (place / sigma) ** 2)
    return (lips.unfold(0, 2 * reach + 1, 1) * (weight / weight.sum())).sum(-1)


def settled(
    lips: Float[Tensor, "time lips"],
    rig: Rig,
    activity: Float[Tensor, " time"],
    own: Manifold | None = None,
    share: float = 0.0,
) -> Float[Tensor, "time lips"]:
    """Lips projected onto `own` by `share`, within what training showed, at rest where `activity` is 0."""
    if own is not None:
        lips = own(lips, share)
    low, high = rig.low[:LIP_COEFFICIENTS], rig.high[:LIP_COEFFICIENTS]
    lips = torch.minimum(torch.maximum(lips, low), high)
    return rig.rest + activity[:, None] * (lips - rig.rest)
