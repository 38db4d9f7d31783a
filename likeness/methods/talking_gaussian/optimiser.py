"""Adam over what a stage teaches, its rates over the steps, and its moments by name, so that Gaussians can come and go."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from likeness.methods.talking_gaussian.config import Config
from likeness.methods.talking_gaussian.curriculum import FACE_SHARE, MOUTH_SHARE

FIELD = {"xyz": "xyz_rate", "base": "base_rate", "views": "views_rate", "opacity": "opacity_rate", "scale": "scale_rate",
         "quats": "quats_rate"}  # fmt: skip
SHAPES = ("xyz", "scale", "quats")
GRID_DECAY, ATTENTION_DECAY = 0.01, 1e-4  # AdamW's
LATE = 0.1  # share of the other rates at the end
CHOICE = {"face_motion": FACE_SHARE, "code": FACE_SHARE, "mouth_motion": MOUTH_SHARE, "mouth_code": MOUTH_SHARE}
"""Share of the steps at which the curriculum ends, and with it the first fall of the published rates."""
XYZ_SHARE = 0.9  # of the steps, over which the published rate of positions falls


@dataclass(frozen=True)
class Rate:
    """Of a parameter: where it starts, and the share that is left at the end."""

    start: float
    end: float
    weight_decay: float = 0.0


def published(name: str, share: float, end: float) -> float:
    """Factor of a rate at a share of the steps, as TalkingGaussian's training sets it."""
    parts = name.split(".")
    if parts[0] in ("face", "mouth"):
        return end ** min(share / XYZ_SHARE, 1.0) if parts[1] == "xyz" else 1.0
    until = CHOICE.get(parts[0], 0.0)
    return 0.5 ** (share / until) if share < until else 0.1**share


def rate_of(name: str, config: Config, extent: float = 1.0) -> Rate:
    """Of the parameter of a Head with this name."""
    parts = name.split(".")
    if parts[0] in ("face", "mouth"):
        rate = getattr(config, FIELD[parts[1]])
        return Rate(rate * extent if parts[1] == "xyz" else rate, config.xyz_end if parts[1] in SHAPES else LATE)
    if "table" in parts:
        return Rate(config.grid_rate, LATE, GRID_DECAY)
    if "attention" in parts or "weigh" in parts:
        return Rate(config.attention_rate, LATE, ATTENTION_DECAY)
    return Rate(config.network_rate, LATE)


class Teacher:
    """AdamW over some parameters of a head; the others stand still."""

    def __init__(self, head: nn.Module, names: list[str], config: Config, factor: float = 1.0, extent: float = 1.0) -> None:
        """`names` of parameters; a `factor` on all rates; `extent` (UNIT) is one on those of positions."""
        self.names, self.config, self.factor = names, config, factor
        self.rates = {name: rate_of(name, config, extent) for name in names}
        self.optimiser = self._made(head)

    def _made(self, head: nn.Module) -> torch.optim.AdamW:
        parameters = dict(head.named_parameters())
        for name, parameter in parameters.items():  # or gradients of the others pile up until the stage that teaches them
            parameter.requires_grad_(name in self.rates)
            parameter.grad = None
        groups = []
        for name in self.names:
            gaussians = name.split(".")[0] in ("face", "mouth")
            groups.append({
                "params": [parameters[name]],
                "lr": self.rates[name].start * self.factor,
                "weight_decay": self.rates[name].weight_decay,
                "eps": 1e-15 if gaussians else 1e-8,
            })  # fmt: skip
        return torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)

    def at(self, share: float, only: tuple[str, ...] | None = None) -> None:
        """Set the rates for a share of the steps; with `only`, whatever is called otherwise stands still."""
        for name, group in zip(self.names, self.optimiser.param_groups):
            rate = self.rates[name]
            fall = published(name, share, rate.end) if self.config.published_rates else rate.end**share
            group["lr"] = self.factor * rate.start * fall if only is None or name.split(".")[-1] in only else 0.0

    def step(self) -> None:
        """Move by the gradients that there are, and forget them."""
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def moments(self) -> dict[str, dict[str, Tensor]]:
        """What Adam remembers, by parameter."""
        found = {}
        for name, group in zip(self.names, self.optimiser.param_groups):
            state = self.optimiser.state.get(group["params"][0])
            if state:
                found[name] = dict(state)
        return found

    def adopt(self, head: nn.Module, moments: dict[str, dict[str, Tensor]]) -> None:
        """Go on with other parameters of the same names."""
        self.optimiser = self._made(head)
        for name, group in zip(self.names, self.optimiser.param_groups):
            if name in moments:
                self.optimiser.state[group["params"][0]] = moments[name]

    def named(self) -> dict[str, Tensor]:
        """For a run's checkpoint."""
        return {f"adam.{name}.{key}": value for name, state in self.moments().items() for key, value in state.items()}

    def restore(self, head: nn.Module, state: dict[str, Tensor]) -> None:
        """From a run's checkpoint."""
        moments: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            if key.startswith("adam."):
                name, what = key.removeprefix("adam.").rsplit(".", 1)
                moments.setdefault(name, {})[what] = value.clone()
        self.adopt(head, moments)
