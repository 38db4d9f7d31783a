"""Volume rendering of a field along rays (Tang et al. 2022, section 3.1; Müller et al. 2022, appendix E)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likeness.kernels import Composite, Samples, composite, march, sample_positions
from likeness.kernels.bricks import ABSENT
from likeness.nn.precision import product_type
from likeness.nn.radiance.baked import Baked
from likeness.nn.radiance.field import CHUNK, Field, Said, of_frames, rounded, view
from likeness.nn.radiance.occupancy import BOUND, UNIT, Occupancy
from likeness.nn.radiance.settings import Settings

LOW, HIGH = (-BOUND, -BOUND, -BOUND), (BOUND, BOUND, BOUND)
UNSEEN = 1 / 1024  # weight of a sample below which its colour is not worked out in use: a quarter of a grey level at most
HIDDEN = 4.5  # optical depth behind which nothing is worked out in use: a hundredth of what is there would be seen
FIRST = 4  # samples of a ray that are worked out before it is known whether the others can be seen


class Rays(NamedTuple):
    """Lines of sight in the head frame."""

    origins: Float[Tensor, "n 3"]
    """Metres."""
    directions: Float[Tensor, "n 3"]
    """Of length 1."""
    frame: Int[Tensor, " n"]
    """Row of what is said; does not fall."""


class Seen(NamedTuple):
    """What rays see."""

    color: Float[Tensor, "n 3"]
    """Premultiplied by alpha."""
    alpha: Float[Tensor, " n"]
    depth: Float[Tensor, " n"]
    """Metres, weighted by alpha."""
    heard: Float[Tensor, " n"]
    """How much speech counts there."""
    shown: Float[Tensor, " n"]
    """How much the upper face counts there."""


def look(
    field: Field,
    occupancy: Occupancy,
    rays: Rays,
    said: Said,
    config: Settings,
    jitter: Float[Tensor, " n"],
    maps: bool = True,
) -> Seen:
    """Along rays, with gradients; `jitter` shifts each ray's samples by a share of a step. The occupancy notices what is seen.
    Without `maps`, which cost a tenth of the time, `heard` and `shown` are zeros."""
    samples, xyz, ray = _sampled(occupancy.bits, rays, config, jitter)
    count, rows = len(xyz), rounded(torch.arange(len(xyz)))
    ray = ray[rows]
    frame = rays.frame[ray]
    found = field.at(xyz[rows], frame, said, maps)
    (appearance,) = of_frames(frame, said.appearance)
    color = field.colored(found.geometry, view(rays.directions)[ray], appearance)
    values = torch.cat([color, found.heard[:, None], found.shown[:, None]], 1) if maps else color
    drawn = composite(found.density[:count], values[:count], config.step, samples.rays_start, samples.t)
    occupancy.notice(xyz, drawn.weights.detach())
    return _seen(drawn, maps)


@torch.no_grad()
def glance(
    field: Field,
    bits: Bool[Tensor, "x y z"],
    rays: Rays,
    said: Said,
    config: Settings,
    maps: bool = False,
    baked: Baked | None = None,
) -> Seen:
    """As `look` without jitter and gradients, and faster: nothing is worked out behind what hides it, nor colour where it will
    not be seen, nor again what is baked. `said` is of one frame; without `maps`, which bakes have not, `heard` and `shown` are
    zeros."""
    samples, xyz, ray = _sampled(bits, rays, config, None)
    if baked is None:
        density, colors, asked = torch.zeros(len(xyz)), torch.zeros(len(xyz), 3), torch.arange(len(xyz))
    else:
        assert said.shift is not None and not maps
        apart, rest = said.shift.near_lips(xyz, 0), said.shift.carried(xyz, 0)
        density, colors, brick = baked.look_up(rest, apart.byte(), samples, rays.directions, HIDDEN)
        asked = (brick == ABSENT).nonzero()[:, 0]
    which, ray, each = torch.unique_consecutive(ray[asked], return_inverse=True, return_counts=True)
    density[asked], geometry, counts = _asked(field, xyz[asked], ray, each, said, config, maps)
    before = composite(density, colors, config.step, samples.rays_start)
    towards = view(rays.directions[which])
    for some in rounded((before.weights[asked] > UNSEEN).nonzero()[:, 0]).split(CHUNK):
        colors[asked[some]] = field.colored(geometry[some], towards[ray[some]], said.appearance)
    drawn = composite(density, torch.cat([colors, counts], 1) if maps else colors, config.step, samples.rays_start, samples.t)
    return _seen(drawn, maps)


def _asked(
    field: Field,
    xyz: Float[Tensor, "m 3"],
    ray: Int[Tensor, " m"],
    each: Int[Tensor, " rays"],
    said: Said,
    config: Settings,
    maps: bool,
) -> tuple[Float[Tensor, " m"], Float[Tensor, "m geometry"], Float[Tensor, "m 2"]]:
    """Density, geometry, and how much speech and the upper face count, of samples along rays that have `each` of them in a row.

    Where a ray's first few samples already hide the others, the others are not asked and have density 0.
    """
    density, counts = torch.zeros(len(xyz)), torch.zeros(len(xyz), 2)
    geometry = torch.empty(len(xyz), config.hidden, dtype=product_type(xyz.device))
    rank, depth = torch.arange(len(xyz)) - (each.cumsum(0) - each)[ray], torch.zeros(len(each))
    for chosen in (rank < FIRST, rank >= FIRST):
        chosen = (chosen & (depth < HIDDEN)[ray]).nonzero()[:, 0]
        for some in rounded(chosen).split(CHUNK):
            found = field.at(xyz[some], torch.zeros_like(some), said, maps)
            density[some], geometry[some] = found.density, found.geometry
            if maps:
                counts[some] = torch.stack([found.heard, found.shown], 1)
        depth.index_add_(0, ray[chosen], density[chosen] * config.step)
    return density, geometry, counts


def _seen(drawn: Composite, maps: bool) -> Seen:
    nothing = torch.zeros_like(drawn.alpha)
    heard, shown = (drawn.value[:, 3], drawn.value[:, 4]) if maps else (nothing, nothing)
    assert drawn.depth is not None
    return Seen(drawn.value[:, :3], drawn.alpha, drawn.depth / UNIT, heard, shown)


def _sampled(
    bits: Bool[Tensor, "x y z"], rays: Rays, config: Settings, jitter: Float[Tensor, " n"] | None
) -> tuple[Samples, Float[Tensor, "m 3"], Int[Tensor, " m"]]:
    """Samples of rays, where they are (UNIT), and whose."""
    origins = rays.origins * UNIT
    samples = march(origins, rays.directions, bits, LOW, HIGH, config.step, config.most, jitter)
    return samples, *sample_positions(samples, origins, rays.directions)
