"""Multiplying and removing Gaussians by their screen gradients (Kerbl et al. 2023, section 5), with explicit state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likeness.kernels.harmonics import DEGREE_0
from likeness.methods.talking_gaussian.field import Field

DENSE = 0.005  # of the extent: smaller Gaussians are cloned, larger ones split
SHRINK = 1.6
HUGE = 0.1  # of the extent
WIDE_PX = 20.0  # at 256²: radius on the screen of a Gaussian that is removed
GREEN = (30 / 255, 225 / 255, 30 / 255)  # below, above, below: the screen behind the face, not the face


class Growth:
    """What was seen of each Gaussian since the last time."""

    def __init__(self, count: int) -> None:
        self.total = torch.zeros(count)
        self.seen = torch.zeros(count)
        self.radius = torch.zeros(count)

    def watch(
        self, gradient: Float[Tensor, "n 2"] | None, radii: Int[Tensor, " n"] | Float[Tensor, " n"], factor: float
    ) -> None:
        """Add a picture's gradient of `means2d`; `factor` brings it to half picture widths and to the mean over a picture."""
        if gradient is None:
            return
        visible = radii > 0
        self.total += factor * gradient.norm(dim=1) * visible
        self.seen += visible
        self.radius = torch.maximum(self.radius, radii.float())

    def mean(self) -> Float[Tensor, " n"]:
        return self.total / self.seen.clamp_min(1)

    def state(self) -> dict[str, Tensor]:
        return {"growth.total": self.total, "growth.seen": self.seen, "growth.radius": self.radius}

    @staticmethod
    def restored(state: dict[str, Tensor], count: int) -> Growth:
        growth = Growth(count)
        if "growth.total" in state:
            growth.total, growth.seen = state["growth.total"].clone(), state["growth.seen"].clone()
            growth.radius = state["growth.radius"].clone()
        return growth


@dataclass(frozen=True)
class Rule:
    """When Gaussians are multiplied and removed."""

    threshold: float
    """Mean gradient from which one is multiplied."""
    faint: float
    """Opacity below which one is removed."""
    extent: float
    """UNIT: how far the cameras are spread. Sizes are judged by it."""
    most: int
    too_large: bool
    """Whether size alone is a reason to be removed."""
    wide_px: float
    green: bool = True
    """Whether Gaussians in the colour of the green screen are removed."""


@torch.no_grad()
def grow(
    field: Field, moments: dict[str, dict[str, Tensor]], growth: Growth, rule: Rule, rng: np.random.Generator
) -> tuple[Field, dict[str, dict[str, Tensor]], Growth]:
    """A field with more and fewer Gaussians, and its Adam moments by parameter name: new ones begin with none."""
    kept = ~_unwanted(field, growth, rule)
    pull = torch.where(kept, growth.mean(), -1.0)
    room = max(0, rule.most - int(kept.sum()))
    chosen = (pull >= rule.threshold).nonzero()[:, 0]
    chosen = chosen[pull[chosen].argsort(descending=True, stable=True)][:room]
    is_chosen = torch.zeros(len(field), dtype=torch.bool)
    is_chosen[chosen] = True
    splits = is_chosen & (field.scales().amax(1) > DENSE * rule.extent)
    source = torch.cat([kept.nonzero()[:, 0], is_chosen.nonzero()[:, 0]])
    if len(source) == 0:  # a field cannot lose its last Gaussian: what is left teaches the next round
        return field, moments, Growth(len(field))
    fresh = torch.arange(len(source)) >= int(kept.sum())
    grown = Field(len(source))
    for name, old in field.named_parameters():
        dict(grown.named_parameters())[name].copy_(old[source])
    moved = {}
    for name, state in moments.items():
        moved[name] = {
            key: value.clone() if value.ndim == 0 else torch.where(_column(fresh, value), 0.0, value[source])
            for key, value in state.items()
        }
    halves = splits[source]
    scales = grown.scales()
    offset = torch.from_numpy(rng.standard_normal((len(source), 3)).astype(np.float32)) * scales
    grown.xyz += torch.where(halves[:, None], _turned(offset, grown.quats), 0.0)
    grown.scale.copy_(torch.where(halves[:, None], _raw(scales / SHRINK), grown.scale))
    return grown, moved, Growth(len(grown))


def _unwanted(field: Field, growth: Growth, rule: Rule) -> Bool[Tensor, " n"]:
    gone = field.opacity.sigmoid() < rule.faint
    if rule.too_large:
        gone |= (field.scales().amax(1) > HUGE * rule.extent) | (growth.radius > rule.wide_px)
    if rule.green:
        red, green, blue = (DEGREE_0 * field.base[:, 0] + 0.5).unbind(1)
        gone |= (red < GREEN[0]) & (green > GREEN[1]) & (blue < GREEN[2])
    return gone


def _raw(scales: Tensor) -> Tensor:
    """The inverse of softplus."""
    return scales.expm1().clamp_min(1e-12).log()


def _column(rows: Tensor, like: Tensor) -> Tensor:
    return rows.view(-1, *[1] * (like.ndim - 1))


def _turned(points: Float[Tensor, "n 3"], quats: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3"]:
    """Points turned by quaternions (w, x, y, z)."""
    w, axis = quats[:, :1], quats[:, 1:]
    norm = quats.norm(dim=1, keepdim=True).clamp_min(1e-9)
    w, axis = w / norm, axis / norm
    cross = torch.linalg.cross(axis, points) + w * points
    return points + 2 * torch.linalg.cross(axis, cross)
