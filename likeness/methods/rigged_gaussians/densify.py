"""Growing and pruning Gaussians, with explicit state: those that pull hardest on the screen are doubled."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.methods.rigged_gaussians.gaussians import Gaussians

GROWN = 0.15  # share of the Gaussians that is doubled
SHRINK = 1.5  # both halves of a doubled Gaussian are smaller by this factor
JITTER = 0.7  # in its own standard deviations
FAINT = 0.03  # opacity below which a Gaussian is removed


class Growth:
    """Mean length of the screen gradient of each Gaussian."""

    def __init__(self, count: int) -> None:
        self.total = torch.zeros(count)
        self.seen = torch.zeros(count)

    def watch(self, gradient: Float[Tensor, "n 2"], size: int) -> None:
        """Add one step's gradient of `means2d`; pixels are brought to a common size."""
        length = gradient.norm(dim=1) * size
        self.total += length
        self.seen += length > 0

    def mean(self) -> Float[Tensor, " n"]:
        return self.total / self.seen.clamp_min(1)

    def state(self) -> dict[str, Tensor]:
        return {"growth.total": self.total, "growth.seen": self.seen}

    @staticmethod
    def restore(state: dict[str, Tensor], count: int) -> Growth:
        growth = Growth(count)
        growth.total, growth.seen = state["growth.total"].clone(), state["growth.seen"].clone()
        return growth


PER_GAUSSIAN = {"rest": 0, "log_scale": 0, "quats": 0, "opacity_logits": 0, "color": 0, "color_by_view": 0, "response": 1}
"""Parameters with a row for each Gaussian, and the dimension along which they have it."""


@torch.no_grad()
def densify(
    gaussians: Gaussians, optimiser: torch.optim.Adam, growth: Growth, rng: np.random.Generator
) -> tuple[Gaussians, torch.optim.Adam, Growth]:
    """Double the 15 % that pull hardest and remove the faint; the optimiser's moments go along."""
    kept = gaussians.opacity_logits.sigmoid() >= FAINT
    pull = torch.where(kept, growth.mean(), -1.0)
    doubled = pull.argsort(descending=True, stable=True)[: int(GROWN * len(gaussians))]
    doubled = doubled[kept[doubled]]
    source = torch.cat([kept.nonzero()[:, 0], doubled])
    grown = Gaussians(len(source))
    is_double = torch.isin(source, doubled)
    fresh = torch.arange(len(source)) >= int(kept.sum())
    moments = {}
    for (name, old), new in zip(gaussians.named_parameters(), grown.parameters()):
        state = optimiser.state[old]
        axis = PER_GAUSSIAN.get(name)
        pick = (lambda x: x.clone()) if axis is None else (lambda x, axis=axis: x.index_select(axis, source))
        new.copy_(pick(old))
        moments[new] = {k: (v.clone() if k == "step" else pick(v)) for k, v in state.items()}
    for name in ("corners", "weights", "gain", "above"):
        getattr(grown, name).copy_(getattr(gaussians, name)[source])
    grown.node_above.copy_(gaussians.node_above)
    grown.view_centre.copy_(gaussians.view_centre)
    grown.view_spread.copy_(gaussians.view_spread)
    jitter = torch.from_numpy(rng.standard_normal((len(source), 3)).astype(np.float32)) * JITTER
    grown.rest += torch.where(fresh[:, None], jitter * grown.log_scale.exp(), 0.0)
    grown.log_scale -= is_double[:, None] * float(np.log(SHRINK))
    groups = [{**group, "params": [new]} for group, new in zip(optimiser.param_groups, grown.parameters())]
    successor = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15, fused=True)
    successor.state.update(moments)
    return grown, successor, Growth(len(grown))
