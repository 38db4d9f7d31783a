"""Volume rendering by a coarse and a fine network (Mildenhall et al. 2020, sections 4 and 5.2), the background last on a ray.

AD-NeRF (Guo et al. 2021) puts the background's colour in the place of a ray's last sample, which takes all light that is left:
its weight, the *last weight*, is how much of the background is seen, so 1 - alpha of the samples before it. Here that sample is
not asked for at all, and what is seen is given without background.

The published near and far, 0.3 and 0.9, are of cameras half a unit to one away, in units of about a metre. Ours come from the
clip's own geometry in metres (`Geometry`), which is nearer round the head; the networks then measure in units of which near
to far are REACH, as published, so that an octave has the same share in what a ray goes through.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.camera import Camera
from likeness.kernels import composite
from likeness.nn.vanilla.perceptron import Perceptron
from likeness.nn.vanilla.settings import Settings

REACH = 0.9 - 0.3
"""Units from near to far."""
CHUNK = 64  # rays at a time in use, which bounds memory
SOMETHING = 1e-5  # added to each share of the fine samples, so that nothing is divided by zero


class Rays(NamedTuple):
    """Lines of sight in the head frame, or in that of the camera that a torso is looked at from."""

    origins: Float[Tensor, "n 3"]
    """Metres."""
    directions: Float[Tensor, "n 3"]
    """Of length 1."""

    def part(self, rows: slice) -> Rays:
        return Rays(self.origins[rows], self.directions[rows])


class Seen(NamedTuple):
    """What rays see, without background."""

    color: Float[Tensor, "*n 3"]
    """Premultiplied by alpha, 0..1."""
    alpha: Float[Tensor, "*n"]

    @property
    def last(self) -> Float[Tensor, "*n"]:
        """The last weight: how much is seen of what is behind."""
        return 1 - self.alpha

    def part(self, rows: slice) -> Seen:
        return Seen(self.color[rows], self.alpha[rows])

    def over(self, behind: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """With what is behind."""
        return self.color + self.last[..., None] * behind


def through(
    nets: tuple[Perceptron, Perceptron],
    rays: Rays,
    cond: Float[Tensor, "_ cond"],
    settings: Settings,
    span: Float[Tensor, "2"],
    rng: np.random.Generator | None,
) -> tuple[Seen, Seen]:
    """What rays see by the coarse and the fine network between near and far (`span`, metres), in places that `rng` shifts;
    None: in the same places every time. `cond` is one row for all rays or one for each."""
    count = len(rays.origins)
    t = spread(span, settings.coarse, None if rng is None else _uniform(rng, span, count, settings.coarse))
    first, weights = _along(nets[0], rays, t.expand(count, -1), cond, span)
    shift = None if rng is None else _uniform(rng, span, count, settings.fine)
    more = gathered(t.expand(count, -1), weights.detach(), settings.fine, shift)
    second, _ = _along(nets[1], rays, torch.cat([t.expand(count, -1), more], 1).sort(1).values, cond, span)
    return first, second


def spread(span: Float[Tensor, "2"], count: int, shift: Float[Tensor, "n count"] | None) -> Float[Tensor, "_ count"]:
    """Distances from near to far, evenly, or each anywhere (`shift`, 0..1) in its own stretch; the last is always far."""
    t = span[0] + (span[1] - span[0]) * torch.linspace(0, 1, count, device=span.device)[None]
    if shift is None:
        return t
    middle = (t[:, 1:] + t[:, :-1]) / 2
    low, high = torch.cat([t[:, :1], middle], 1), torch.cat([middle, t[:, -1:]], 1)
    anywhere = low + (high - low) * shift
    return torch.cat([anywhere[:, :-1], t[:, -1:].expand(len(shift), -1)], 1)


def gathered(
    t: Float[Tensor, "n samples"], weights: Float[Tensor, "n weights"], count: int, shift: Float[Tensor, "n count"] | None
) -> Float[Tensor, "n count"]:
    """`count` more distances, as many anywhere as the weights there (of all samples but the last) say: the inverse of their
    sum at even steps, or at `shift` (0..1)."""
    edges = (t[:, 1:] + t[:, :-1]) / 2
    share = weights[:, 1:] + SOMETHING
    below = torch.cat([torch.zeros_like(share[:, :1]), (share / share.sum(1, keepdim=True)).cumsum(1)], 1)
    if shift is None:
        shift = torch.linspace(0, 1, count, device=t.device).expand(len(t), -1)
    after = torch.searchsorted(below.contiguous(), shift.contiguous(), right=True).clamp(1, below.shape[1] - 1)
    low, high = below.gather(1, after - 1), below.gather(1, after)
    part = ((shift - low) / (high - low).clamp_min(SOMETHING)).clamp(0, 1)
    near, far = edges.gather(1, after - 1), edges.gather(1, after)
    return near + part * (far - near)


def _along(
    net: Perceptron, rays: Rays, t: Float[Tensor, "n samples"], cond: Tensor, span: Float[Tensor, "2"]
) -> tuple[Seen, Float[Tensor, "n weights"]]:
    """What is seen by the samples at t (metres) but the last, and their weights."""
    unit = (span[1] - span[0]) / REACH
    at = t[:, :-1, None]
    density, color = net((rays.origins[:, None] + at * rays.directions[:, None]) / unit, rays.directions, cond)
    count, each = density.shape
    starts = torch.arange(0, count * each + 1, each, device=t.device)
    drawn = composite(density.reshape(-1), color.reshape(-1, 3), (t.diff(dim=1) / unit).reshape(-1), starts)
    return Seen(drawn.value, drawn.alpha), drawn.weights.reshape(count, each)


def _uniform(rng: np.random.Generator, like: Tensor, *shape: int) -> Tensor:
    return torch.from_numpy(rng.random(shape, np.float32)).to(like.device)


def pixel_rays(camera: Camera, pose: Float[Tensor, "4 4"], pixels: Float[Tensor, "n 2"]) -> Rays:
    """Through some places of a picture; the middle of its first pixel is (0.5, 0.5)."""
    directions = camera.unproject(pixels, torch.ones_like(pixels[:, 0])) @ pose[:3, :3].T
    directions = directions / directions.norm(dim=1, keepdim=True)
    return Rays(pose[:3, 3].expand_as(directions), directions)


def all_rays(camera: Camera, pose: Float[Tensor, "4 4"]) -> Rays:
    """Through every pixel, row by row."""
    origins, directions = camera.rays(pose)
    return Rays(origins.reshape(-1, 3), directions.reshape(-1, 3))
